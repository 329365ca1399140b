# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A drop-in of sysctl.d, and the record from which it and the values it set can be rolled back."""

from __future__ import annotations

import base64
import contextlib
import glob
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from ansible_collections.autotune.kernel.plugins.module_utils import _constraints, _durable, _procfs
from ansible_collections.autotune.kernel.plugins.module_utils._transaction import Failure

STATE_DIRECTORY = "/var/lib/autotune"
DROPIN_DIRECTORY = "/etc/sysctl.d"
OTHER_DIRECTORIES = ("/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d")
FORMAT = 1
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
    """What was changed under one name: the host's own values, those applied, the former drop-in if there was one."""

    originals: dict[str, str]
    values: dict[str, str]
    former: Former | None
    format: int = FORMAT


def check_name(name: str) -> None:
    """Raises Failure for what cannot name a drop-in."""
    if not _NAME.fullmatch(name) or name.endswith(".conf"):
        raise Failure(
            f"persist: {name!r} cannot name a drop-in: use letters, digits, _ . and -, without the ending .conf."
        )
    if os.path.islink(path_of(name)):
        target = os.readlink(path_of(name))
        raise Failure(
            f"persist: {path_of(name)} is a link to {target}, which is not for us to write: choose another name."
        )


def path_of(name: str) -> str:
    """The drop-in's file."""
    return os.path.join(DROPIN_DIRECTORY, f"{name}.conf")


def record_path_of(name: str) -> str:
    """The file of the roll-back record."""
    return os.path.join(STATE_DIRECTORY, f"{name}.json")


def text_for(name: str, targets: Mapping[str, str]) -> str:
    """The drop-in's content: of these what sysctl.d can set."""
    lasting = {name: value for name, value in _constraints.lasting(targets).items() if _procfs.is_sysctl(name)}
    lines = [f"{parameter} = {value}" for parameter, value in sorted(lasting.items())]
    return "\n".join(
        [f"# Written by autotune.kernel.sysctl; to undo: state=restored persist={name}", *lines, ""],
    )


def set_later(name: str, parameters: Iterable[str]) -> dict[str, str]:
    """Those parameters which a file that is read after the drop-in at boot sets too, with that file; raises OSError."""
    files: dict[str, str] = {}
    for folder in (DROPIN_DIRECTORY, *OTHER_DIRECTORIES):
        for path in glob.glob(os.path.join(folder, "*.conf")):
            files.setdefault(os.path.basename(path), path)  # a name hides the same one in the folders that follow
    wanted, found = set(parameters), {}
    for path in (path for file, path in sorted(files.items()) if file > os.path.basename(path_of(name))):
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                with contextlib.suppress(ValueError):
                    parameter = _procfs.canonical_name(line.partition("=")[0].strip().lstrip("-"))
                    if parameter in wanted:
                        found[parameter] = path
    return found


def text_of(name: str) -> str:
    """The content of the drop-in now, empty if there is none; raises OSError."""
    former = take(name)
    return _decoded(former)


def former_text(record: Record) -> str:
    """The content which rolling back brings back, empty if there was no file."""
    return _decoded(record.former)


def take(name: str) -> Former | None:
    """The drop-in as it is, None if there is none; raises OSError."""
    try:
        with open(path_of(name), "rb") as file:
            status = os.fstat(file.fileno())
            content = base64.b64encode(file.read()).decode()
    except FileNotFoundError:
        return None
    return Former(content, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


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
        former = content["former"] and Former(**content["former"])
        return Record(dict(content["originals"]), dict(content["values"]), former)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise Failure(
            f"The roll-back record {path} cannot be read ({error}): put the values back by hand, then remove it."
        ) from None


def write_record(name: str, record: Record) -> None:
    """Put the record in its place; raises OSError."""
    os.makedirs(STATE_DIRECTORY, mode=0o755, exist_ok=True)
    _durable.write_json(record_path_of(name), asdict(record), mode=0o600)


def remove_record(name: str) -> None:
    """Forget a record, and the folder with the last of them; raises OSError."""
    _durable.remove(record_path_of(name))
    with contextlib.suppress(OSError):
        os.rmdir(STATE_DIRECTORY)


def _decoded(former: Former | None) -> str:
    return base64.b64decode(former.content).decode("utf-8", "replace") if former else ""
