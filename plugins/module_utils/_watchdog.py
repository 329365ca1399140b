# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The process on the host that gives a lease's values back when nobody renewed it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import socket
import time
from typing import NoReturn

from ansible_collections.autotune.kernel.plugins.module_utils import _journal, _watchdog_unit

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
            _watchdog_unit.start(_journal.RUN_DIRECTORY)
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
    while True:
        pause = POLL_SECONDS
        # Nothing may end this loop while values are on loan: whatever goes wrong is tried again.
        with contextlib.suppress(Exception):
            lease = _journal.read()
            if lease and not lease.is_stale:
                pause = min(pause, max(lease.expires_in, 0.01))  # it may run out between these two lines
            else:
                with _journal.locked(seconds=5, insist=True):
                    if _settled():
                        # Before the journal's lock: a new lease must not count on a watchdog that is about to leave.
                        os.close(guard)
                        return
                    pause = RETRY_SECONDS
        time.sleep(pause)


def _settled() -> bool:
    """Whether nothing is on loan any more, after restoring what ran out."""
    lease = _journal.read()
    if lease is None:
        return True
    if not lease.is_stale:
        return False
    verdict = _journal.restore(lease)
    _journal.write_verdict(verdict)
    if verdict["verified"]:
        _journal.end()
    return bool(verdict["verified"])


def _take_guard() -> int | None:
    """The lock which the one watchdog holds, None if another process is on guard; raises OSError."""
    path = os.path.join(_journal.RUN_DIRECTORY, "watchdog.lock")
    guard = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(guard)
        return None
    return guard


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
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        for name in os.listdir("/proc/self/fd"):
            if int(name) > 2 and int(name) != guard:
                with contextlib.suppress(OSError):
                    os.close(int(name))
        # A benchmark that eats the memory must not take the watchdog with it; the name is for `ps`.
        for path, text in (("/proc/self/oom_score_adj", "-1000"), ("/proc/self/comm", "autotune-lease")):
            with contextlib.suppress(OSError), open(path, "w", encoding="ascii") as file:
                file.write(text)
        watch(guard)
    finally:
        # Not sys.exit: the caller's clean-up is the caller's.
        os._exit(1)
