# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Which files set a parameter beside our drop-in, and which of them prevails.

Three programs apply such files, each in an order of its own: systemd-sysctl at boot, `sysctl --system` of procps
whenever somebody runs it, and ufw when it starts. What is found here becomes warnings, so nothing here is fatal: what
cannot be read is reported and left out.
"""

from __future__ import annotations

import fnmatch
import functools
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.autotune.kernel.plugins.module_utils import (
    _coupling,
    _kernel,
    _side_effects,
    _value,
)

SYSCTL_CONF = "/etc/sysctl.conf"
UFW_STATE = "/etc/ufw/ufw.conf"
UFW_DEFAULTS = "/etc/default/ufw"

LARGEST = 1 << 20  # bytes of a file that are looked into
_GLOB_CHARACTERS = "*?["
_SWAPPED = str.maketrans("./", "/.")
_LONGEST_SHOWN = 200
_NOT_PLAIN = {
    stat.S_IFDIR: "is a directory",
    stat.S_IFIFO: "is a FIFO, at which systemd-sysctl and `sysctl --system` hang: remove it",
}


@dataclass(frozen=True)
class Assignment:
    """A line of a file.

    path: below /proc/sys, perhaps a glob. value: without one the line excludes the path. changes: other parameters that
    change with this one.
    """

    file: str
    path: str
    value: str | None
    changes: frozenset[str] = frozenset()


def can_express(parameter: str) -> bool:
    """Whether a line of sysctl.d can name this parameter; raises ValueError for a bad name."""
    means_something = set(parameter) & set("=" + _GLOB_CHARACTERS)
    return _kernel.is_sysctl(parameter) and parameter.isprintable() and not means_something


def warnings(dropin: str, values: Mapping[str, str], directories: Sequence[str]) -> list[str]:
    """What keeps the values of a drop-in from lasting, and what could not be looked into; one line each.

    dropin: its path, whatever it holds at present. values: what it is to hold, in the order of its lines. directories:
    those that are read, a name in an earlier one hiding the same name in the later ones.
    """
    said: list[str] = []
    _changed_with.cache_clear()  # interfaces come and go
    own = [Assignment(dropin, _path_of(parameter), value) for parameter, value in values.items()]
    read = _concerning(values, in_order(dropin, own, directories, said))
    system = [*read, *_concerning(values, _assignments_in(SYSCTL_CONF, said))]
    ufw_file = _file_of_ufw()
    by_ufw = _concerning(values, _assignments_in(ufw_file, said)) if ufw_file else []
    for parameter, value in values.items():
        mine = Assignment(dropin, _path_of(parameter), value)
        boot = _unless_same(at_boot(parameter, read), parameter, mine)
        procps, ufw = (_unless_same(deciding(parameter, applied), parameter, mine) for applied in (system, by_ufw))
        if boot and boot == procps:
            said.append(_sentence(parameter, boot, dropin, "at boot and after `sysctl --system`"))
        elif boot:
            said.append(_sentence(parameter, boot, dropin, "at boot under systemd"))
        if procps and procps != boot:
            when = "after `sysctl --system`, which also runs at boot where systemd is not the init"
            said.append(_sentence(parameter, procps, dropin, when))
        if ufw:
            said.append(_sentence(parameter, ufw, dropin, "whenever ufw starts, at boot too"))
    return list(dict.fromkeys(said))


def in_order(dropin: str, own: Sequence[Assignment], directories: Sequence[str], said: list[str]) -> list[Assignment]:
    """The assignments of all files of these directories as they are read, with our own in the drop-in's place."""
    return [
        assignment
        for file in _listed(dropin, directories, said)
        for assignment in (own if file == dropin else _assignments_in(file, said))
    ]


def _concerning(parameters: Iterable[str], assignments: Iterable[Assignment]) -> list[Assignment]:
    """Those assignments that may decide one of the parameters; a file may hold very many others."""
    names = set(parameters) | {partner for one in parameters if (partner := _coupling.PARTNERS.get(one))}
    paths = {_path_of(name) for name in names}
    return [
        item
        for item in assignments
        if item.path in paths
        or item.changes & names
        or (_is_glob(item.path) and any(_matches(path, item.path) for path in paths))
    ]


def at_boot(parameter: str, assignments: Iterable[Assignment]) -> Assignment | None:
    """The assignment from which systemd-sysctl gives the parameter its value, or the one that excludes it; else None.

    It keeps the last assignment of each path, but leaves it where an earlier one with the same value was. An exclusion
    takes the place of the assignment before it.
    """
    options: dict[str, Assignment] = {}
    for assignment in assignments:
        earlier = options.get(assignment.path)
        if earlier is None or earlier.value != assignment.value:
            options.pop(assignment.path, None)
            options[assignment.path] = assignment
    own = options.get(_path_of(parameter))
    return own if own and own.value is None else deciding(parameter, list(options.values()))


def deciding(parameter: str, written: Sequence[Assignment]) -> Assignment | None:
    """The assignment, of these in the order of writing, from which the parameter has its value in the end.

    None if none of them concerns it. Writing the other one of an exclusive pair ends the parameter, unless it is a 0.
    A glob leaves out the paths that have a line of their own.
    """
    partner = _coupling.PARTNERS.get(parameter)
    paths = [_path_of(name) for name in (parameter, partner) if name]
    named = {assignment.path for assignment in written}
    last = None
    for assignment in written:
        if assignment.value is None or (partner and _kept(partner, assignment.value) == "0"):
            continue
        names_it = any(
            assignment.path == path or (path not in named and _matches(path, assignment.path)) for path in paths
        )
        if names_it or parameter in assignment.changes:
            last = assignment
    return last


@functools.cache
def _changed_with(path: str) -> frozenset[str]:
    """The other parameters that the kernel changes when this one is written."""
    try:
        return frozenset(_side_effects.of(path))
    except ValueError:
        return frozenset()  # a glob, or nothing that the kernel has


def _unless_same(found: Assignment | None, parameter: str, mine: Assignment) -> Assignment | None:
    """What was found to decide, None if it gives the parameter our own value."""
    if found is None or found.value is None or mine.value is None or _ends(found, parameter):
        return found
    return None if _kept(parameter, mine.value) == _kept(parameter, found.value) else found


def _kept(parameter: str, value: str) -> str:
    """The value as the kernel keeps it; one that is too long for the kernel, and for Python, as it is."""
    return value if len(value) > _value.LONGEST else _value.kept(parameter, " ".join(value.split()))


def _ends(found: Assignment, parameter: str) -> bool:
    """Whether the assignment ends the parameter by giving the other one of its exclusive pair a value."""
    partner = _coupling.PARTNERS.get(parameter)
    return found.path != _path_of(parameter) and bool(partner and _matches(_path_of(partner), found.path))


def _sentence(parameter: str, found: Assignment, dropin: str, when: str) -> str:
    if found.value is None:
        does = f"excludes {parameter}, which is then not set,"
    elif _ends(found, parameter):
        does = f"sets {_coupling.PARTNERS[parameter]} to {_shown(found.value)}, which ends {parameter},"
    elif parameter in found.changes:
        does = f"sets {_shown(found.path)} to {_shown(found.value)}, which changes {parameter},"
    else:
        does = f"sets {parameter} to {_shown(found.value)}"
    return f"{_shown(found.file)} {does} and prevails over {dropin} {when}"


def _listed(dropin: str, directories: Sequence[str], said: list[str]) -> list[str]:
    """The files of these directories in the order in which they are read, the drop-in among them."""
    files = {os.path.basename(dropin): dropin}
    for directory in directories:
        try:
            names = os.listdir(directory)
        except FileNotFoundError:
            continue
        except OSError as error:
            said.append(f"{_shown(directory)} was not looked into: {error.strerror}")
            continue
        for name in names:
            if name.endswith(".conf") and not name.startswith("."):
                files.setdefault(name, os.path.join(directory, name))
    return [files[name] for name in sorted(files, key=os.fsencode)]


def _assignments_in(file: str, said: list[str]) -> list[Assignment]:
    text = _text_of(file, said)
    # Of a link, what it leads to: /etc/sysctl.conf and a link to it are one file to whoever reads the warning.
    return parsed(os.path.realpath(file), text) if text else []


def parsed(file: str, text: str) -> list[Assignment]:
    """The assignments in a text in the format of sysctl.d."""
    found = []
    for line in text.split("\n"):
        key, equals, value = line.strip().partition("=")
        if not key or key[0] in "#;" or not (equals or key[0] == "-"):
            continue
        name = key[1:].strip() if key[0] == "-" else key.strip()
        path = _path_of(name)
        found.append(Assignment(file, path, value.strip() if equals else None, _changed_with(path)))
    return found


def _path_of(name: str) -> str:
    """The path below /proc/sys, by the rule of sysctl(8): the first separator decides what the others mean."""
    first = next((character for character in name if character in "./"), "/")
    path = name if first == "/" else name.translate(_SWAPPED)
    return "/".join(part for part in path.split("/") if part)


def _is_glob(path: str) -> bool:
    return any(character in path for character in _GLOB_CHARACTERS)


def _matches(path: str, glob: str) -> bool:
    if not _is_glob(glob) or path.count("/") != glob.count("/"):
        return path == glob
    return all(map(fnmatch.fnmatchcase, path.split("/"), glob.split("/")))


def _text_of(file: str, said: list[str]) -> str:
    """The content of a plain file; of anything else nothing, and what it is instead is said."""
    if not os.path.lexists(file):
        return ""
    try:
        status = os.stat(file)
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == os.stat(os.devnull).st_rdev:
            return ""  # how an administrator masks a file of the same name
        if stat.S_ISREG(status.st_mode):
            # It may have become a FIFO meanwhile.
            with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
                content = opened.read(LARGEST + 1)
            if len(content) > LARGEST:
                said.append(f"{_shown(file)} was looked into only up to its first {LARGEST} bytes")
            return content[:LARGEST].decode("utf-8", "surrogateescape")
        problem = _NOT_PLAIN.get(stat.S_IFMT(status.st_mode), "is not a regular file")
    except FileNotFoundError:
        problem = f"is a dangling link to {_shown(os.readlink(file))}, which is ignored at boot"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    said.append(f"{_shown(file)} was not looked into: it {problem}")
    return ""


def _file_of_ufw() -> str | None:
    """The file that ufw applies when it starts, None if ufw is not enabled."""
    if _shell_value(UFW_STATE, "ENABLED").lower() != "yes":
        return None
    return _shell_value(UFW_DEFAULTS, "IPT_SYSCTL") or None


def _shell_value(file: str, variable: str) -> str:
    """What the last assignment to the variable in a file of shell assignments gives it, empty if there is none."""
    found = re.findall(rf"^\s*{variable}=[\"']?([^\"'\s#]*)", _text_of(file, []), re.MULTILINE)
    return found[-1] if found else ""


def _shown(text: str) -> str:
    """Text from a file or a folder as a message may show it: short, and without what a terminal would obey."""
    short = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."
    return short if short.isprintable() and short else ascii(short)
