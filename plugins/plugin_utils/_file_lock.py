# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Locks on a byte of a file, which end with whoever holds them, and which can be looked at without being taken.

To try a lock is to hold it for a moment, and whoever comes at that moment is refused: who only wants to know asks here.
"""

from __future__ import annotations

import fcntl
from typing import IO

from ansible_collections.autotune.kernel.plugins.module_utils import _lock


def take(file: IO[bytes], byte: int) -> bool:
    """For as long as `file` is open, whatever else the process opens and closes; False where somebody else has it.

    Raises OSError.
    """
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _lock.request(byte, 1))
    except BlockingIOError:
        return False
    return True


def is_taken(file: IO[bytes], byte: int) -> bool:
    """Whether somebody has taken it, by take() or take_as_process(). Raises OSError."""
    return not _lock.is_free(fcntl.fcntl(file, fcntl.F_OFD_GETLK, _lock.request(byte, 1)))


def take_as_process(file: IO[bytes], byte: int) -> bool:
    """The same for the process, of which holder() then knows the id; lost when it closes the same file elsewhere."""
    try:
        fcntl.fcntl(file, fcntl.F_SETLK, _lock.request(byte, 1))
    except (BlockingIOError, PermissionError):
        return False
    return True


def holder(file: IO[bytes], byte: int) -> int | None:
    """The id of the process that has taken it by take_as_process(), from the kernel; None without one."""
    return _lock.owner(file.fileno(), byte, 1)
