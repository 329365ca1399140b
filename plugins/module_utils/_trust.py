# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Opening what a process obeys: files that nobody but root and its own account can have written or put there."""

from __future__ import annotations

import errno
import os
import stat

LARGEST = 16 << 20  # bytes; no file of ours comes close
_MOST_LINKS = 40  # as the kernel has it
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Untrusted(OSError):
    """A file, or a folder on the way to it, that another account owns or can write to."""

    def __init__(self, why: str, path: str) -> None:
        super().__init__(errno.EPERM, why, path)


def check_folder(path: str) -> None:
    """Raise Untrusted if anybody but root and this account can change what is in a folder, else OSError."""
    os.close(_open_folder(path, anybodys=False))


def open_file(path: str, flags: int = _FILE, anybodys: bool = False) -> int:
    """A descriptor of a regular file, reached by no link but those which only root can have made, as /home or /var may
    be; the file itself is never one.

    anybodys: do not look at who owns the file and the folders. Raises Untrusted, or OSError.
    """
    if not _can_be_path(path):
        raise OSError(errno.EINVAL, "it cannot be a path", path)
    folder = _open_folder(os.path.dirname(path), anybodys)
    try:
        descriptor = os.open(os.path.basename(path), flags | _FILE, 0o600, dir_fd=folder)
    except OSError as error:
        raise _with_path(error, path) from None
    finally:
        os.close(folder)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", path)
        if not anybodys:
            _refuse_others(status, path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read(path: str, anybodys: bool = False) -> bytes:
    """The content of such a file; raises Untrusted, or OSError."""
    with open(open_file(path, anybodys=anybodys), "rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise OSError(errno.EFBIG, f"it is larger than {LARGEST} bytes", path)
    return content


def _open_folder(path: str, anybodys: bool) -> int:
    descriptor, walked = os.open(os.sep, _FOLDER), os.sep
    pending, links, is_roots_alone = path.split(os.sep)[::-1], 0, True
    try:
        while pending:
            if not (name := pending.pop()):
                continue
            status = os.fstat(descriptor)
            if not anybodys:
                _refuse_others(status, walked, is_passage=True)
            is_roots_alone = is_roots_alone and status.st_uid == 0 and not _is_shared(status)
            if is_roots_alone and (target := _target(name, descriptor)) is not None:
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, "too many links", walked)
                pending += target.split(os.sep)[::-1]
                if not target.startswith(os.sep):
                    continue
                name = os.sep
            walked = os.path.normpath(os.path.join(walked, name))
            outer = descriptor
            descriptor = os.open(name, _FOLDER, dir_fd=outer)
            os.close(outer)
        if not anybodys:
            _refuse_others(os.fstat(descriptor), walked)
    except OSError as error:
        os.close(descriptor)
        raise _with_path(error, walked) from None
    return descriptor


def _can_be_path(path: str) -> bool:
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _target(name: str, folder: int) -> str | None:
    """Where a link in a folder leads, None if it is none."""
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError:
        return None


def _refuse_others(status: os.stat_result, path: str, is_passage: bool = False) -> None:
    if status.st_uid not in (0, os.getuid()):
        raise Untrusted(f"it belongs to user id {status.st_uid}", path)
    # In a folder like /tmp nobody can replace what is another's, so that the next step tells.
    if _is_shared(status) and not (is_passage and status.st_mode & stat.S_ISVTX):
        raise Untrusted("others than its owner can write to it", path)


def _is_shared(status: os.stat_result) -> bool:
    return bool(status.st_mode & stat.S_IWOTH or (status.st_mode & stat.S_IWGRP and status.st_gid != 0))


def _with_path(error: OSError, path: str) -> OSError:
    """The same error with all of the path."""
    if isinstance(error, Untrusted):
        return error
    is_link = error.errno == errno.ELOOP or (error.errno == errno.ENOTDIR and os.path.islink(path))
    return OSError(error.errno, "it is a link" if is_link else error.strerror, path)
