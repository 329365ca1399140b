# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Opening files that only root and this process's account can have written or put there."""

from __future__ import annotations

import errno
import os
import stat

LARGEST = 16 << 20  # bytes; far more than any of our files
_MOST_LINKS = 40  # as in the kernel
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Untrusted(OSError):
    """A file, or a folder on its path, that another account owns or can write to."""

    def __init__(self, why: str, path: str) -> None:
        super().__init__(errno.EPERM, why, path)


def check_folder(path: str) -> None:
    """Raise Untrusted if an account other than root and this one can change what is in a folder; raises OSError too."""
    os.close(_open_folder(path, any_owner=False))


def open_file(path: str, flags: int = _FILE, any_owner: bool = False) -> int:
    """A descriptor of a regular file. Links are followed only if nobody but root can have made them, as /var may be
    one; the file itself must not be a link.

    any_owner: do not check who owns the file and the folders. Raises Untrusted, or OSError.
    """
    if not _can_be_path(path):
        raise OSError(errno.EINVAL, "it is not a valid path", path)
    folder = _open_folder(os.path.dirname(path), any_owner)
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
        if not any_owner:
            _check_owner(status, path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read(path: str, any_owner: bool = False) -> bytes:
    """The content of a file, opened by open_file(); raises Untrusted, or OSError."""
    with open(open_file(path, any_owner=any_owner), "rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise OSError(errno.EFBIG, f"it is larger than {LARGEST} bytes", path)
    return content


def _open_folder(path: str, any_owner: bool) -> int:
    descriptor, walked = os.open(os.sep, _FOLDER), os.sep
    pending, links, only_root = path.split(os.sep)[::-1], 0, True
    try:
        while pending:
            if not (name := pending.pop()):
                continue
            status = os.fstat(descriptor)
            if not any_owner:
                _check_owner(status, walked, is_passage=True)
            only_root = only_root and status.st_uid == 0 and not _is_shared(status)
            if only_root and (target := _target(name, descriptor)) is not None:
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
        if not any_owner:
            _check_owner(os.fstat(descriptor), walked)
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
    """The target of a link in a folder, or None if it is not a link."""
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError:
        return None


def _check_owner(status: os.stat_result, path: str, is_passage: bool = False) -> None:
    if status.st_uid not in (0, os.getuid()):
        raise Untrusted(f"it belongs to user id {status.st_uid}", path)
    # In a folder like /tmp nobody can replace what belongs to others, so the next component decides.
    if _is_shared(status) and not (is_passage and status.st_mode & stat.S_ISVTX):
        raise Untrusted("accounts other than its owner can write to it", path)


def _is_shared(status: os.stat_result) -> bool:
    return bool(status.st_mode & stat.S_IWOTH or (status.st_mode & stat.S_IWGRP and status.st_gid != 0))


def _with_path(error: OSError, path: str) -> OSError:
    """The same error with the whole path."""
    if isinstance(error, Untrusted):
        return error
    is_link = error.errno == errno.ELOOP or (error.errno == errno.ENOTDIR and os.path.islink(path))
    return OSError(error.errno, "it is a link" if is_link else error.strerror, path)
