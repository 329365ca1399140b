# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Which other files set the parameters of our drop-in, and which file prevails.

Three programs apply such files, each in its own order: systemd-sysctl at boot, `sysctl --system` of procps whenever
somebody runs it, and ufw when it starts. The findings become warnings and nothing is fatal: files that cannot be read
are reported and skipped.
"""

from __future__ import annotations

import fnmatch
import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.autotune.kernel.plugins.module_utils import (
    _coupling,
    _kernel,
    _ufw,
    _value,
)
from ansible_collections.autotune.kernel.plugins.module_utils._foreign_file import shown, text_of

SYSCTL_CONF = "/etc/sysctl.conf"
_GLOB_CHARACTERS = "*?["
_SWAPPED = str.maketrans("./", "/.")


@dataclass(frozen=True)
class Assignment:
    """A line of a file.

    path: below /proc/sys, possibly a glob. value: None if the line excludes the path. changes: other parameters that
    change with this one.
    """

    file: str
    path: str
    value: str | None
    changes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Override:
    """An assignment that determines a parameter in a drop-in's place, and when it does."""

    parameter: str
    by: Assignment
    when: str

    def sentence(self, dropin: str) -> str:
        """One line for the user."""
        parameter, found = self.parameter, self.by
        if found.value is None:
            does = f"excludes {parameter}, which is then not set,"
        elif _disables(found, parameter):
            does = f"sets {_coupling.PARTNERS[parameter]} to {shown(found.value)}, which disables {parameter},"
        elif parameter in found.changes:
            does = f"sets {shown(found.path)} to {shown(found.value)}, which changes {parameter},"
        else:
            does = f"sets {parameter} to {shown(found.value)}"
        return f"{shown(found.file)} {does} and prevails over {dropin} {self.when}"


def can_express(parameter: str) -> bool:
    """Whether a line of sysctl.d can name this parameter; raises ValueError for a malformed name."""
    has_syntax = set(parameter) & set("=" + _GLOB_CHARACTERS)
    return _kernel.kind_of(parameter).persistable and parameter.isprintable() and not has_syntax


# Parameters that are there only once a module is loaded, which may be after systemd-sysctl has run.
_OF_MODULES = (
    ("net.netfilter.nf_", "nf_conntrack"), ("net.bridge.bridge-nf-", "br_netfilter"), ("net.sctp.", "sctp"),
    ("fs.xfs.", "xfs"), ("sunrpc.", "sunrpc"), ("fs.nfs.", "nfs"),
)  # fmt: skip
MODULES = "/proc/modules"


def late_warnings(parameters: Iterable[str]) -> list[str]:
    """Which of these may be set too early at boot, and what to do about it; one line a module."""
    loaded = {line.split(" ", 1)[0] for line in text_of(MODULES, []).splitlines()}  # none that are built in
    found: dict[str, list[str]] = {}
    for parameter in parameters:
        for prefix, module in _OF_MODULES:
            if parameter.startswith(prefix) and module in loaded:
                found.setdefault(module, []).append(parameter)
    return [
        f"{', '.join(names)}: at boot, there only once the module {module} is loaded; have that done early, by a file "
        f"in /etc/modules-load.d with a line {module}"
        for module, names in found.items()
    ]


def warnings(dropin: str, values: Mapping[str, str], directories: Sequence[str]) -> list[str]:
    """What overrides the values of a drop-in, and what could not be read; one line each.

    dropin: its path; its present content does not matter. values: its future content, in the order of lines.
    directories: where drop-ins are; a name in an earlier one hides the same name in later ones.
    """
    messages: list[str] = []
    found = overrides(dropin, values, directories, messages)
    return list(dict.fromkeys([*messages, *(override.sentence(dropin) for override in found)]))


def overrides(
    dropin: str, values: Mapping[str, str], directories: Sequence[str], messages: list[str]
) -> list[Override]:
    """What overrides the values of a drop-in, as for `warnings`; adds to `messages` what could not be read."""
    found: list[Override] = []
    _changed_with.cache_clear()  # interfaces come and go
    own = [Assignment(dropin, _path_of(parameter), value) for parameter, value in values.items()]
    read = _concerning(values, in_order(dropin, own, directories, messages))
    system = [*read, *_concerning(values, _assignments_in(SYSCTL_CONF, messages))]
    ufw_file = _ufw.sysctl_file()
    by_ufw = _concerning(values, _assignments_in(ufw_file, messages)) if ufw_file else []
    for parameter, value in values.items():
        mine = Assignment(dropin, _path_of(parameter), value)
        boot = _unless_same(at_boot(parameter, read), parameter, mine)
        procps, ufw = (_unless_same(deciding(parameter, applied), parameter, mine) for applied in (system, by_ufw))
        if boot and boot == procps:
            found.append(Override(parameter, boot, "at boot and after `sysctl --system`"))
        elif boot:
            found.append(Override(parameter, boot, "at boot under systemd"))
        if procps and procps != boot:
            when = "after `sysctl --system`, which also runs at boot where systemd is not the init"
            found.append(Override(parameter, procps, when))
        if ufw:
            found.append(Override(parameter, ufw, "whenever ufw starts, at boot too"))
    return found


def in_order(
    dropin: str, own: Sequence[Assignment], directories: Sequence[str], messages: list[str]
) -> list[Assignment]:
    """The assignments of all files of these directories in the order of reading, with `own` in the drop-in's place."""
    return [
        assignment
        for file in _listed(dropin, directories, messages)
        for assignment in (own if file == dropin else _assignments_in(file, messages))
    ]


def _concerning(parameters: Iterable[str], assignments: Iterable[Assignment]) -> list[Assignment]:
    """The assignments that may determine one of the parameters; files may contain very many others."""
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
    """The assignment by which systemd-sysctl sets the parameter, or that excludes it; None if there is none.

    It keeps the last assignment of each path, in the place of an earlier one with the same value. An exclusion replaces
    the assignment before it.
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
    """The one of these assignments, in the order of writing, that determines the parameter's final value, or None.

    Writing the other one of an exclusive pair disables the parameter, unless it is 0. A glob skips the paths that have
    a line of their own.
    """
    partner = _coupling.PARTNERS.get(parameter)
    paths = [_path_of(name) for name in (parameter, partner) if name]
    named = {assignment.path for assignment in written}
    last = None
    for assignment in written:
        if assignment.value is None or (partner and _normalized(partner, assignment.value) == "0"):
            continue
        names_it = any(
            assignment.path == path or (path not in named and _matches(path, assignment.path)) for path in paths
        )
        if names_it or parameter in assignment.changes:
            last = assignment
    return last


@functools.cache
def _changed_with(path: str) -> frozenset[str]:
    """The other parameters that the kernel changes with this one."""
    try:
        return frozenset(_coupling.side_effects(path))
    except ValueError:
        return frozenset()  # a glob, or malformed


def _unless_same(found: Assignment | None, parameter: str, mine: Assignment) -> Assignment | None:
    """The deciding assignment, or None if it sets our own value."""
    if found is None or found.value is None or mine.value is None or _disables(found, parameter):
        return found
    return None if _normalized(parameter, mine.value) == _normalized(parameter, found.value) else found


def _normalized(parameter: str, value: str) -> str:
    """The value in the kernel's spelling; one that is too long for the kernel unchanged."""
    return value if len(value) > _value.LONGEST else _value.normalized(parameter, " ".join(value.split()))


def _disables(found: Assignment, parameter: str) -> bool:
    """Whether the assignment disables the parameter by setting the other one of its exclusive pair."""
    partner = _coupling.PARTNERS.get(parameter)
    return found.path != _path_of(parameter) and bool(partner and _matches(_path_of(partner), found.path))


def _listed(dropin: str, directories: Sequence[str], messages: list[str]) -> list[str]:
    """The files of these directories, with the drop-in, in the order of reading."""
    files = {os.path.basename(dropin): dropin}
    for directory in directories:
        try:
            names = os.listdir(directory)
        except FileNotFoundError:
            continue
        except OSError as error:
            messages.append(f"{shown(directory)} was not checked: {error.strerror}")
            continue
        for name in names:
            if name.endswith(".conf") and not name.startswith("."):
                files.setdefault(name, os.path.join(directory, name))
    return [files[name] for name in sorted(files, key=os.fsencode)]


def _assignments_in(file: str, messages: list[str]) -> list[Assignment]:
    text = text_of(file, messages)
    # The target of a link: warnings name /etc/sysctl.conf, not a link to it.
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
