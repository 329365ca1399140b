# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Locks on a byte of a file, which end with their holder and can be tested without being taken.

To test a lock by taking it would hold it for a moment, in which another process could not take it.
"""

from __future__ import annotations

import fcntl
from typing import IO

from ansible_collections.autotune.kernel.plugins.module_utils import _lock


def take(file: IO[bytes], byte: int) -> bool:
    """Take the lock until `file` is closed; False if it is held elsewhere. Raises OSError.

    Unlike a process's lock, it survives when the process closes another descriptor of the same file.
    """
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _lock.request(byte, 1))
    except BlockingIOError:
        return False
    return True


def is_taken(file: IO[bytes], byte: int) -> bool:
    """Whether the lock is held elsewhere, by take() or take_as_process(). Raises OSError."""
    return not _lock.is_free(fcntl.fcntl(file, fcntl.F_OFD_GETLK, _lock.request(byte, 1)))


def take_as_process(file: IO[bytes], byte: int) -> bool:
    """Take the lock for this process, whose id holder() then returns; False if it is held elsewhere. Raises OSError.

    The lock is lost when the process closes any descriptor of the same file.
    """
    try:
        fcntl.fcntl(file, fcntl.F_SETLK, _lock.request(byte, 1))
    except (BlockingIOError, PermissionError):
        return False
    return True


def holder(file: IO[bytes], byte: int) -> int | None:
    """The id of the process that holds the lock by take_as_process(), from the kernel; None if there is none."""
    return _lock.owner(file.fileno(), byte, 1)
