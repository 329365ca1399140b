# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Replacing files atomically and durably: a crash at any moment leaves the old file or the new one."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils import _trust

# O_EXCL: in a folder that others can write to, a file of theirs must not be used.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write(
    path: str, content: bytes, mode: int = 0o644, owner: tuple[int, int] | None = None, locked: bool = True
) -> None:
    """Replace a file and return once it is on disk; raises OSError with the old file intact.

    locked: the caller holds a lock, so there is one writer at a time, and leftovers of a killed call are reused.
    Without one, processes may write the file at the same time: the last one prevails.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.new" if locked else f".{name}.{os.getpid()}.new")
    try:
        descriptor = os.open(temporary, _NEW, 0o600)
    except FileExistsError:
        os.unlink(temporary)
        descriptor = os.open(temporary, _NEW, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if owner is not None:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        os.rename(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync(folder)


def write_json(path: str, content: dict[str, Any], mode: int = 0o644) -> None:
    """Replace a file with this content as JSON; raises OSError."""
    write(path, json.dumps(content, indent=1).encode() + b"\n", mode)


def read_json(path: str, any_owner: bool = False) -> dict[str, Any] | None:
    """The content of a JSON file that only root and this account can write, or None if there is no file.

    any_owner: accept it whoever can write it. Raises OSError, and ValueError if it does not hold an object.
    """
    try:
        content = json.loads(_trust.read(path, any_owner))
    except FileNotFoundError:
        return None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} does not hold a JSON object")
    return content


def remove(path: str) -> None:
    """Remove a file, if it exists, and return once that is on disk; raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
        _sync(os.path.dirname(path))


def _sync(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
