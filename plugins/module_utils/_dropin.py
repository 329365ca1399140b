# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A drop-in of sysctl.d, and the record from which it and the values it set can be rolled back."""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils import _boot_files, _coupling, _durable, _value
from ansible_collections.autotune.kernel.plugins.module_utils._transaction import Failure

STATE_DIRECTORY = "/var/lib/autotune"
DROPIN_DIRECTORY = "/etc/sysctl.d"
OTHER_DIRECTORIES = ("/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
FORMAT = 2
MARK = "# Written by autotune.kernel.sysctl"
_HEADER_LINES = 3
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Former:
    """A file as it was: its content in base64, permissions and owner."""

    content: str
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True)
class Record:
    """What was changed under one name.

    originals: the host's own values. asked: the values that were asked for. kept: what the kernel made of them. former:
    the drop-in that was there before, if there was one.
    """

    originals: dict[str, str]
    asked: dict[str, str]
    kept: dict[str, str]
    former: Former | None
    format: int = FORMAT


def check_name(name: str) -> None:
    """Raises Failure for what cannot name a drop-in, and where something else than a file has that name."""
    if not _NAME.fullmatch(name) or name.endswith(".conf"):
        raise Failure(
            f"persist: {name!r} cannot name a drop-in: use letters, digits, _ . and -, without the ending .conf."
        )
    path = path_of(name)
    if os.path.islink(path):
        raise Failure(
            f"persist: {path} is a link to {os.readlink(path)}, which is not for us to write: "
            "choose another name, or remove the link."
        )
    if os.path.lexists(path) and not os.path.isfile(path):
        raise Failure(f"persist: {path} is no regular file: choose another name, or remove it.")


def check_is_free(name: str) -> None:
    """Raises Failure where writing the drop-in would take away a file of somebody else's, now or at the next boot."""
    path = path_of(name)
    for directory in OTHER_DIRECTORIES:
        hidden = os.path.join(directory, os.path.basename(path))
        if os.path.lexists(hidden):
            raise Failure(
                f"persist: {path} would hide {hidden}, whose settings would be missing at the next boot: "
                "choose another name."
            )
    present = take(name)
    if present and not _decoded(present).startswith(MARK) and not os.path.lexists(record_path_of(name)):
        raise Failure(
            f"persist: {path} was not written by autotune.kernel, and its settings would be missing at the next boot: "
            "choose another name, or move it away."
        )


def path_of(name: str) -> str:
    """The drop-in's file."""
    return os.path.join(DROPIN_DIRECTORY, f"{name}.conf")


def record_path_of(name: str) -> str:
    """The file of the roll-back record."""
    return os.path.join(STATE_DIRECTORY, f"{name}.json")


def lasting(targets: Mapping[str, str], originals: Mapping[str, str]) -> dict[str, str]:
    """What the drop-in can set of these, in the order in which it can be written where the originals are in force."""
    values = {name: value for name, value in _coupling.lasting(targets).items() if _boot_files.can_express(name)}
    differing = {parameter: value for parameter, value in originals.items() if values.get(parameter) != value}
    return dict(_coupling.writes(dict(sorted(values.items())), differing))


def text_for(name: str, values: Mapping[str, str]) -> str:
    """The drop-in's content."""
    lines = "".join(f"{parameter} = {value}\n" for parameter, value in values.items())
    return (_header(name, lines.encode()) + lines.encode()).decode()


def overridden(name: str, values: Mapping[str, str]) -> list[str]:
    """Warnings of what keeps these values in the drop-in from lasting."""
    return _boot_files.warnings(path_of(name), values, (DROPIN_DIRECTORY, *OTHER_DIRECTORIES))


def is_edited(name: str) -> bool:
    """Whether somebody has changed the drop-in since it was written; raises OSError."""
    present = take(name)
    content = base64.b64decode(present.content) if present else b""
    lines = content.split(b"\n", _HEADER_LINES)[-1]
    return bool(content) and content != _header(name, lines) + lines


def set_aside(name: str) -> str:
    """Give the drop-in as it is a second name, under which nobody applies it: that name's path; raises OSError."""
    path = path_of(name)
    number = 1
    while True:
        copy = f"{path}.edited-{number}"
        try:
            os.link(path, copy, follow_symlinks=False)
            return copy
        except FileExistsError:
            if os.path.samefile(path, copy):
                return copy  # of an earlier call that was cut short
        number += 1


def text_of(name: str) -> str:
    """The content of the drop-in now, empty if there is none; raises OSError."""
    former = take(name)
    return _decoded(former)


def former_text(record: Record) -> str:
    """The content which rolling back brings back, empty if there was no file."""
    return _decoded(record.former)


def take(name: str) -> Former | None:
    """The drop-in as it is, None if there is none; raises OSError."""
    path = path_of(name)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        content = file.read(_boot_files.LARGEST + 1)
    if len(content) > _boot_files.LARGEST:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    return Former(base64.b64encode(content).decode(), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def write(name: str, text: str) -> None:
    """Write the drop-in; raises OSError."""
    os.makedirs(DROPIN_DIRECTORY, mode=0o755, exist_ok=True)
    _durable.write(path_of(name), text.encode())


def put_back(name: str, former: Former | None) -> None:
    """Make the drop-in what it was, owner and permissions included; raises OSError."""
    if former is None:
        _durable.remove(path_of(name))
    elif take(name) != former:
        _durable.write(path_of(name), base64.b64decode(former.content), former.mode, (former.uid, former.gid))


def read_record(name: str) -> Record | None:
    """The roll-back record, None if there is none; raises Failure if it cannot be understood."""
    path = record_path_of(name)
    try:
        content = _durable.read_json(path)
        if content is None:
            return None
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, this release understands {FORMAT}")
        originals, asked, kept = (_value.stored(name, content[name]) for name in ("originals", "asked", "kept"))
        return Record(originals, asked, kept, _former(content["former"]))
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise Failure(
            f"The roll-back record {path} cannot be read ({error}): put the values back by hand, then remove it."
        ) from None


def _former(content: Any) -> Former | None:
    if content is None:
        return None
    former = Former(**content)
    base64.b64decode(former.content, validate=True)
    if not all(isinstance(number, int) for number in (former.mode, former.uid, former.gid)):
        raise TypeError("its former drop-in is not a file")
    return former


def write_record(name: str, record: Record) -> None:
    """Put the record in its place; raises OSError."""
    os.makedirs(STATE_DIRECTORY, mode=0o755, exist_ok=True)
    _durable.write_json(record_path_of(name), asdict(record), mode=0o600)


def remove_record(name: str) -> None:
    """Forget a record, and the folder with the last of them; raises OSError."""
    _durable.remove(record_path_of(name))
    with contextlib.suppress(OSError):
        os.rmdir(STATE_DIRECTORY)


def _header(name: str, lines: bytes) -> bytes:
    """What stands above these lines; it tells whether they are still those that were written."""
    return (
        f"{MARK}, which replaces it: lines of your own belong in another file.\n"
        f"# To undo: state=restored persist={name}\n"
        f"# SHA-256 of the lines below begins with {hashlib.sha256(lines).hexdigest()[:16]}\n"
    ).encode()


def _decoded(former: Former | None) -> str:
    return base64.b64decode(former.content).decode("utf-8", "replace") if former else ""
