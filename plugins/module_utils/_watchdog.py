# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The process on the host that restores a lease's originals if the lease is not renewed."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import time
from dataclasses import replace
from typing import Any, NoReturn

from ansible_collections.autotune.kernel.plugins.module_utils import _journal, _lock, _verdict, _watchdog_unit

_terminated = False  # asked to end, by SIGTERM
POLL_SECONDS = 0.5
RETRY_SECONDS = 2.0


def ensure() -> list[str]:
    """Start the watchdog unless it runs; returns once it watches, with warnings. Raises OSError.

    The caller holds the journal's lock. Where systemd is the init, the watchdog is a systemd unit, which is not part of
    the SSH session and is restarted when it is killed. Elsewhere, or if systemd refuses, it is a process of its own.
    """
    warnings = []
    if _watchdog_unit.is_possible():
        if _is_running():
            return []
        try:
            _watchdog_unit.start(_journal.folder())
        except OSError as error:
            warnings = [f"systemd did not start the lease watchdog ({error}); it runs as a process instead"]
        if _is_running():
            return []
    guard = _take_guard()
    if guard is not None:
        _fork(guard)
    return warnings


def main() -> None:
    """The watchdog as a program: takes its lock, notifies systemd, returns when there is no lease."""
    guard = _take_guard()
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.connect(address.replace("@", "\0", 1) if address.startswith("@") else address)
            connection.send(b"READY=1")
    if guard is not None:
        with contextlib.suppress(ValueError):  # in another thread than the main one, signals are the caller's
            signal.signal(signal.SIGTERM, _terminate)
        watch(guard)


def _terminate(number: int, frame: Any) -> None:
    """Whoever ends the watchdog, such as `systemctl stop` or a soft reboot, ends the lease: no one else restores it."""
    global _terminated
    _terminated = True


def watch(guard: int) -> None:
    """Restore the originals if the lease expires; returns when there is no lease.

    guard: the descriptor of the watchdog's lock.
    """
    verdict = None
    while True:
        pause = POLL_SECONDS
        # Nothing may end this loop while there is a lease: whatever fails is tried again.
        with contextlib.suppress(Exception):
            lease = _journal.read()
            if lease and not _is_over(lease):
                pause = min(pause, max(lease.expires_in, 0.01))  # it may expire between these two lines
            else:
                # Without a lease there is no hurry, and the holder of the lock must not be killed.
                with _journal.locked(5, _is_overdue) if lease else _journal.locked(0):
                    verdict = _settle(verdict)
                    if _journal.read() is None:
                        # While the lock is held: a new lease must not rely on a watchdog that is about to end.
                        os.close(guard)
                        return
                    pause = RETRY_SECONDS
        time.sleep(pause)


def _is_over(lease: _journal.Lease) -> bool:
    return lease.is_expired or _terminated


def _is_overdue() -> bool:
    lease = _journal.read()
    return lease is not None and _is_over(lease)


def _settle(former: dict[str, Any] | None) -> dict[str, Any] | None:
    """End the lease if it is over: the verdict, or None if there is nothing to do.

    former: the verdict of the previous attempt. Values that were restored are not restored again, even if the journal
    could not be removed: whoever sets them from now on means it.
    """
    lease = _journal.read()
    if lease is None or not _is_over(lease):
        return None
    verdict = former if former and former["nonce"] == lease.nonce else None
    if verdict is None or not verdict["verified"]:
        # Interference can only be seen by the first attempt.
        seen = {**lease.interference, **(verdict["interference"] if verdict else {})}
        verdict = _verdict.restore(replace(lease, interference=seen))
    with contextlib.suppress(OSError):
        _verdict.conclude(verdict)
    return verdict


def _take_guard() -> int | None:
    """The watchdog's lock, or None if another watchdog has it; raises OSError."""
    guard = _lock.opened(os.path.join(_journal.folder(), "watchdog.lock"))
    if _lock.take(guard):
        return guard
    os.close(guard)
    return None


def _is_running() -> bool:
    guard = _take_guard()
    if guard is not None:
        os.close(guard)
    return guard is None


def _fork(guard: int) -> None:
    # The lock belongs to the open file, so the child has it from the start until its end.
    try:
        child = os.fork()
        if child == 0:
            _become_watchdog(guard)
        if os.waitpid(child, 0)[1] != 0:
            raise OSError(errno.EAGAIN, "the watchdog could not be started")
    finally:
        os.close(guard)


def _become_watchdog(guard: int) -> NoReturn:
    """Detach from the session, the terminal and every open file of the caller, which would wait for them."""
    try:
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, _terminate)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        os.chdir("/")
        with contextlib.suppress(OSError):
            os.close(0)  # first, so that a descriptor is available for what follows
        for name in os.listdir("/proc/self/fd"):
            if int(name) != guard:
                with contextlib.suppress(OSError):
                    os.close(int(name))
        null = os.open(os.devnull, os.O_RDWR)
        for standard in {0, 1, 2} - {guard}:
            os.dup2(null, standard)
        # The OOM killer must spare the watchdog when a benchmark exhausts memory; the name is for `ps`.
        for path, text in (("/proc/self/oom_score_adj", "-1000"), ("/proc/self/comm", "autotune-lease")):
            with contextlib.suppress(OSError), open(path, "w", encoding="ascii") as file:
                file.write(text)
        # Last: whoever waits for this process may rely on all of the above.
        if os.fork():
            os._exit(0)
        watch(guard)
    finally:
        # Not sys.exit: the cleanup handlers are the caller's.
        os._exit(1)
