# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A drop-in of sysctl.d, and the record from which the drop-in and its values can be rolled back."""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils import (
    _boot_files,
    _coupling,
    _durable,
    _foreign_file,
    _value,
)
from ansible_collections.autotune.kernel.plugins.module_utils._change import Failure

STATE_DIRECTORY = "/var/lib/autotune"
DROPIN_DIRECTORY = "/etc/sysctl.d"
OTHER_DIRECTORIES = ("/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
_ANY = "any value"  # no file says this
FORMAT = 4
MARK = "# Written by autotune.kernel.sysctl"
_HEADER_LINES = 3
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Snapshot:
    """A file: its content in base64, permissions and owner."""

    content: str
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True)
class Record:
    """What was changed under one name. former: the drop-in that was there before, if any.

    last: what the latest call changed, if that call confirmed a lease.
    """

    originals: dict[str, str]
    requested: dict[str, str]
    applied: dict[str, str]
    former: Snapshot | None
    last: Confirmation | None = None
    format: int = FORMAT


@dataclass(frozen=True)
class Confirmation:
    """The call that confirmed the lease of `nonce`, and what was there before it: values, drop-in and record."""

    nonce: str
    values: dict[str, str]
    file: Snapshot | None
    record: Record | None


def check_name(name: str) -> None:
    """Raises Failure for an invalid name, or if something other than a file has that name."""
    if not _NAME.fullmatch(name) or name.endswith(".conf"):
        raise Failure(
            f"persist: {name!r} is not a valid name: use letters, digits, _ . and -, without the suffix .conf."
        )
    path = path_of(name)
    if os.path.islink(path):
        raise Failure(
            f"persist: {path} is a link to {os.readlink(path)}, which this module does not write to: "
            "choose another name, or remove the link."
        )
    if os.path.lexists(path) and not os.path.isfile(path):
        raise Failure(f"persist: {path} is not a regular file: choose another name, or remove it.")


def check_is_free(name: str) -> None:
    """Raises Failure if the drop-in would replace or hide somebody else's file."""
    path = path_of(name)
    for directory in OTHER_DIRECTORIES:
        hidden = os.path.join(directory, os.path.basename(path))
        if os.path.lexists(hidden):
            raise Failure(
                f"persist: {path} would hide {hidden}, whose settings would be lost at the next boot: "
                "choose another name."
            )
    present = take(name)
    if present and not decoded(present).startswith(MARK) and not os.path.lexists(record_path_of(name)):
        raise Failure(
            f"persist: {path} was not written by autotune.kernel, and its settings would be lost: "
            "choose another name, or move the file away."
        )


def path_of(name: str) -> str:
    """The drop-in's file."""
    return os.path.join(DROPIN_DIRECTORY, f"{name}.conf")


def record_path_of(name: str) -> str:
    """The file of the roll-back record."""
    return os.path.join(STATE_DIRECTORY, f"{name}.json")


def lasting(values: Mapping[str, str], originals: Mapping[str, str]) -> dict[str, str]:
    """The values that the drop-in can set, in an order in which they can be written over the originals."""
    lines = {name: value for name, value in _coupling.lasting(values).items() if _boot_files.can_express(name)}
    differing = {parameter: value for parameter, value in originals.items() if lines.get(parameter) != value}
    return dict(_coupling.writes(dict(sorted(lines.items())), differing))


def text_for(name: str, values: Mapping[str, str]) -> str:
    """The drop-in's content."""
    lines = "".join(f"{parameter} = {value}\n" for parameter, value in values.items())
    return (_header(name, lines.encode()) + lines.encode()).decode()


def overridden(name: str, values: Mapping[str, str]) -> list[str]:
    """Warnings about what overrides these values of the drop-in."""
    return _boot_files.warnings(path_of(name), values, (DROPIN_DIRECTORY, *OTHER_DIRECTORIES))


def overrides_of_any(name: str, parameters: Iterable[str]) -> list[_boot_files.Override]:
    """What would override the drop-in, whatever values it gave these parameters."""
    values = {parameter: _ANY for parameter in parameters if _boot_files.can_express(parameter)}
    return _boot_files.overrides(path_of(name), values, (DROPIN_DIRECTORY, *OTHER_DIRECTORIES), [])


def is_edited(name: str) -> bool:
    """Whether somebody has changed the drop-in since it was written; raises OSError."""
    present = take(name)
    content = base64.b64decode(present.content) if present else b""
    lines = content.split(b"\n", _HEADER_LINES)[-1]
    return bool(content) and content != _header(name, lines) + lines


def keep_copy(name: str) -> str:
    """Keep the present drop-in under a second name, which nothing applies: its path; raises OSError."""
    path = path_of(name)
    number = 1
    while True:
        copy = f"{path}.edited-{number}"
        try:
            os.link(path, copy, follow_symlinks=False)
            return copy
        except FileExistsError:
            if os.path.samefile(path, copy):
                return copy  # from an earlier call that was interrupted
        number += 1


def text_of(name: str) -> str:
    """The present content of the drop-in, empty if there is none; raises OSError."""
    return decoded(take(name))


def take(name: str) -> Snapshot | None:
    """The present drop-in, or None if there is none; raises OSError."""
    path = path_of(name)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        content = file.read(_foreign_file.LARGEST + 1)
    if len(content) > _foreign_file.LARGEST:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    return Snapshot(base64.b64encode(content).decode(), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def write(name: str, text: str) -> None:
    """Write the drop-in; raises OSError."""
    os.makedirs(DROPIN_DIRECTORY, mode=0o755, exist_ok=True)
    _durable.write(path_of(name), text.encode())


def restore(name: str, former: Snapshot | None) -> None:
    """Restore the drop-in, owner and permissions included; raises OSError."""
    if former is None:
        _durable.remove(path_of(name))
    elif take(name) != former:
        _durable.write(path_of(name), base64.b64decode(former.content), former.mode, (former.uid, former.gid))


def recorded() -> list[str]:
    """The names with a roll-back record."""
    with contextlib.suppress(OSError):
        return sorted(name.removesuffix(".json") for name in os.listdir(STATE_DIRECTORY) if name.endswith(".json"))
    return []


def read_record(name: str) -> Record | None:
    """The roll-back record, or None if there is none; raises Failure if it cannot be read."""
    path = record_path_of(name)
    try:
        content = _durable.read_json(path)
        if content is None:
            return None
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, this release reads {FORMAT}")
        return _record(content)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise Failure(
            f"The roll-back record {path} cannot be read ({error}): restore the values by hand, then remove it."
        ) from None


def _record(content: Any) -> Record:
    originals, requested, applied = (
        _value.checked(name, content[name]) for name in ("originals", "requested", "applied")
    )
    last = content["last"]
    return Record(originals, requested, applied, _snapshot(content["former"]), last and _confirmation(last))


def _confirmation(content: Any) -> Confirmation:
    if not isinstance(content["nonce"], str):
        raise TypeError("last: its nonce is not a text")
    values, record = _value.checked("last", content["values"]), content["record"]
    return Confirmation(content["nonce"], values, _snapshot(content["file"]), record and _record(record))


def _snapshot(content: Any) -> Snapshot | None:
    if content is None:
        return None
    former = Snapshot(**content)
    base64.b64decode(former.content, validate=True)
    if not all(isinstance(number, int) for number in (former.mode, former.uid, former.gid)):
        raise TypeError("former: not a file")
    return former


def write_record(name: str, record: Record) -> None:
    """Write the record; raises OSError."""
    os.makedirs(STATE_DIRECTORY, mode=0o755, exist_ok=True)
    _durable.write_json(record_path_of(name), asdict(record), mode=0o600)


def remove_record(name: str) -> None:
    """Remove a record, and the folder with the last one; raises OSError."""
    _durable.remove(record_path_of(name))
    with contextlib.suppress(OSError):
        os.rmdir(STATE_DIRECTORY)


def _header(name: str, lines: bytes) -> bytes:
    """The comment above these lines, from which it follows whether they have been edited."""
    return (
        f"{MARK}, which replaces it: put your own lines into another file.\n"
        f"# To undo: state=restored persist={name}\n"
        f"# SHA-256 of the lines below begins with {hashlib.sha256(lines).hexdigest()[:16]}\n"
    ).encode()


def decoded(former: Snapshot | None) -> str:
    """The content of a file, empty if there was none."""
    return base64.b64decode(former.content).decode("utf-8", "replace") if former else ""
