# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Locks on files. The kernel says who holds one: a process ID in a file may belong to another process by now."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct

from ansible_collections.autotune.kernel.plugins.module_utils import _process_group, _trust

_FLOCK = struct.Struct("hhqqi0q")  # struct flock: type, whence, start, length, pid


def opened(path: str) -> int:
    """A descriptor of the lock's file, which is created if need be; raises Untrusted, or OSError.

    It is read-only, so that the lock can be taken on a file system that has become read-only.
    """
    return _trust.open_file(path, os.O_RDONLY | os.O_CREAT)


def take(descriptor: int) -> bool:
    """Take the lock until the descriptor is closed; False if another process has it. A forked child shares it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    # This second lock excludes nobody, but the kernel can say which process holds it.
    with contextlib.suppress(OSError):
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return True


def request(start: int = 0, length: int = 0) -> bytes:
    """For fcntl(2): a write lock on these bytes of a file; a length of 0 extends to its end."""
    return _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)


def is_free(answer: bytes) -> bool:
    """Whether nobody holds the requested lock, by the answer to F_GETLK."""
    kind, *dummy = _FLOCK.unpack(answer)
    return bool(kind == fcntl.F_UNLCK)


def owner(descriptor: int, start: int = 0, length: int = 0) -> int | None:
    """The process that holds a lock on these bytes, by default on any; None if the kernel does not know."""
    answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, request(start, length))
    *dummy, pid = _FLOCK.unpack(answer)
    return pid if pid > 0 and not is_free(answer) else None


def kill_owner(descriptor: int) -> bool:
    """Kill the process that holds the lock; returns whether there was one."""
    pid = owner(descriptor)
    return pid is not None and _process_group.kill(pid, lambda: owner(descriptor) == pid)
