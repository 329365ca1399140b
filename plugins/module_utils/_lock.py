# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Locks on files. Who holds one is asked of the kernel, as a number in a file may be another process's by now."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct

from ansible_collections.autotune.kernel.plugins.module_utils import _process_group, _trust

_FLOCK = struct.Struct("hhqqi0q")  # struct flock: type, whence, start, length, pid


def opened(path: str) -> int:
    """A descriptor of the lock's file, made if there is none; raises Untrusted, or OSError.

    It is for reading alone: a lock must be had where nothing can be written any more.
    """
    return _trust.open_file(path, os.O_RDONLY | os.O_CREAT)


def take(descriptor: int) -> bool:
    """Whether the lock is this process's now, until it closes the descriptor. A forked child shares it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    # This second lock keeps nobody out: it is the one of which the kernel tells, and checks, the process.
    with contextlib.suppress(OSError):
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return True


def request(start: int = 0, length: int = 0) -> bytes:
    """For fcntl(2): a lock for writing on these bytes of a file; a length of 0 reaches to its end."""
    return _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)


def is_free(answer: bytes) -> bool:
    """Whether nobody has what the request asked for, by the answer to a fcntl(2) that only looks."""
    kind, *dummy = _FLOCK.unpack(answer)
    return bool(kind == fcntl.F_UNLCK)


def owner(descriptor: int, start: int = 0, length: int = 0) -> int | None:
    """The process that has a lock of its own on these bytes, by default on any; None if the kernel cannot tell."""
    answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, request(start, length))
    *dummy, pid = _FLOCK.unpack(answer)
    return pid if pid > 0 and not is_free(answer) else None


def kill_owner(descriptor: int) -> bool:
    """Kill the process that holds the lock; returns whether there was one to be killed."""
    pid = owner(descriptor)
    return pid is not None and _process_group.kill(pid, lambda: owner(descriptor) == pid)
