# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The process on the host that gives a lease's values back when nobody renewed it."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import time
from dataclasses import replace
from typing import Any, NoReturn

from ansible_collections.autotune.kernel.plugins.module_utils import _journal, _lock, _watchdog_unit

POLL_SECONDS = 0.5
RETRY_SECONDS = 2.0


def ensure() -> list[str]:
    """Start the watchdog unless one runs; returns when it is on guard, with warnings. Raises OSError.

    The caller holds the journal's lock. Where systemd is the init, it is a unit of systemd's: that is no part of the
    SSH session, and comes back when it is killed. Elsewhere, or if systemd will not, it is a process of its own.
    """
    warnings = []
    if _watchdog_unit.is_possible():
        if _is_on_guard():
            return []
        try:
            _watchdog_unit.start(_journal.folder())
        except OSError as error:
            warnings = [f"systemd did not start the watchdog of the lease ({error}); it runs as a process instead"]
        if _is_on_guard():
            return []
    guard = _take_guard()
    if guard is not None:
        _fork(guard)
    return warnings


def main() -> None:
    """The watchdog as a program of its own: takes the guard, tells systemd, returns when nothing is on loan."""
    guard = _take_guard()
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.connect(address.replace("@", "\0", 1) if address.startswith("@") else address)
            connection.send(b"READY=1")
    if guard is not None:
        watch(guard)


def watch(guard: int) -> None:
    """Wait for the lease to end or to run out, and restore in the second case; returns when nothing is on loan."""
    verdict = None
    while True:
        pause = POLL_SECONDS
        # Nothing may end this loop while values are on loan: whatever goes wrong is tried again.
        with contextlib.suppress(Exception):
            lease = _journal.read()
            if lease and not lease.is_stale:
                pause = min(pause, max(lease.expires_in, 0.01))  # it may run out between these two lines
            else:
                # Without a lease there is no hurry: who holds the lock has a right to, and is not to be killed.
                with _journal.locked(5, _is_overdue) if lease else _journal.locked(0):
                    verdict = _settled(verdict)
                    if _journal.read() is None:
                        # Before the journal's lock: a new lease must not count on a watchdog that is about to leave.
                        os.close(guard)
                        return
                    pause = RETRY_SECONDS
        time.sleep(pause)


def _is_overdue() -> bool:
    lease = _journal.read()
    return lease is not None and lease.is_stale


def _settled(former: dict[str, Any] | None) -> dict[str, Any] | None:
    """Restore what ran out, and forget it once its values are back: the verdict, None if there is nothing to settle.

    former: the verdict of the attempt before. Values that are back stay as they are, even if the journal cannot be
    removed: whoever sets them from now on sets his own.
    """
    lease = _journal.read()
    if lease is None or not lease.is_stale:
        return None
    verdict = former if former and former["nonce"] == lease.nonce else None
    if verdict is None or not verdict["verified"]:
        # Others' values are to be seen in the first attempt alone.
        seen = {**lease.foreign_seen, **(verdict["foreign"] if verdict else {})}
        verdict = _journal.restore(replace(lease, foreign_seen=seen))
    with contextlib.suppress(OSError):
        _journal.conclude(verdict)
    return verdict


def _take_guard() -> int | None:
    """The lock which the one watchdog holds, None if another process is on guard; raises OSError."""
    guard = _lock.opened(os.path.join(_journal.folder(), "watchdog.lock"))
    if _lock.take(guard):
        return guard
    os.close(guard)
    return None


def _is_on_guard() -> bool:
    guard = _take_guard()
    if guard is not None:
        os.close(guard)
    return guard is None


def _fork(guard: int) -> None:
    # The lock belongs to the open file, so the child has it from its first moment and until its end.
    try:
        child = os.fork()
        if child == 0:
            _become_watchdog(guard)
        if os.waitpid(child, 0)[1] != 0:
            raise OSError(errno.EAGAIN, "no process for the watchdog")
    finally:
        os.close(guard)


def _become_watchdog(guard: int) -> NoReturn:
    """Leave the session, the terminal and every file of the caller, who would wait for them to be closed."""
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        os.chdir("/")
        with contextlib.suppress(OSError):
            os.close(0)  # first of all, so that there is a descriptor to be had for what follows
        for name in os.listdir("/proc/self/fd"):
            if int(name) != guard:
                with contextlib.suppress(OSError):
                    os.close(int(name))
        null = os.open(os.devnull, os.O_RDWR)
        for standard in {0, 1, 2} - {guard}:
            os.dup2(null, standard)
        # A benchmark that eats the memory must not take the watchdog with it; the name is for `ps`.
        for path, text in (("/proc/self/oom_score_adj", "-1000"), ("/proc/self/comm", "autotune-lease")):
            with contextlib.suppress(OSError), open(path, "w", encoding="ascii") as file:
                file.write(text)
        watch(guard)
    finally:
        # Not sys.exit: the caller's clean-up is the caller's.
        os._exit(1)
