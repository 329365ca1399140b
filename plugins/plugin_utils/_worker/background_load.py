# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What else uses a host's CPUs just before its first trial: other processes, and other virtual machines (steal)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from .._plain import plain_line
from .transport import Transport, output_of

_SECONDS = 1
_BUSY = 10.0  # per cent of all CPU time; less can hardly be told from a host's housekeeping
_STOLEN = 3.0
_REMEDY = "measure when it is idle"
_NAMED, _MOST = 3, 100  # processes named, and looked at
_STEAL = 7  # the place of steal time in line `cpu` of /proc/stat
# First the CPUs, then a line for each process: of a name with a newline in it, what follows is not read.
_LOOK = f"""cd /proc || exit
look() {{
read -r all <stat && printf '%s\\n' "$all"
for each in [0-9]*/stat; do read -r one <"$each" && printf '%s\\n' "$one"; done 2>/dev/null
}}
look
sleep {_SECONDS}
look
:"""  # the last process may be gone before it is read
# In each line a process, whether a command of the collection started it, and its command line.
_WHO = """cd /proc || exit
for process; do
[ -e "$process/stat" ] || continue
grep -qs AUTOTUNE_HOST= "$process/environ" && ours=yes || ours=no
printf '%s %s %s\\n' "$process" "$ours" "$(tr '\\0\\n' '  ' 2>/dev/null <"$process/cmdline")"
done"""
# Ansible's programs and modules, the trainer, and the lab's emulated links.
_OURS = re.compile(r"(^|/| )ansible(-[a-z]+)?( |$)|AnsiballZ_|/ansible-tmp-|ansible_collections|/run/autotune")


@dataclass(frozen=True)
class BackgroundLoad:
    """Per cent of the time of all CPUs. processes: name, ID and share of each, those that use most first."""

    cpu: float
    steal: float
    processes: tuple[tuple[str, str, float], ...] = ()

    def describe(self, host: str) -> list[str]:
        """What disturbs measurements on the host, and what to do about it; empty if nothing does."""
        found = []
        if self.cpu >= _BUSY:
            named = ", ".join(
                f"{plain_line(name)} {share:.0f} %, process {number}" for name, number, share in self.processes[:_NAMED]
            )
            found.append(f"other processes use {self.cpu:.0f} % of the CPU time of {host}: {named}; {_REMEDY}")
        if self.steal >= _STOLEN:
            found.append(f"other virtual machines take {self.steal:.0f} % of the CPU time of {host} (steal); {_REMEDY}")
        return found


def disturbances(hosts: Mapping[str, Transport]) -> list[str]:
    """What disturbs measurements on these hosts, a sentence each. Raises ConnectionLost or CommandTimeout."""
    found: list[str] = []
    for host, transport in hosts.items():
        with suppress(OSError, ValueError):  # it cannot be measured there, which is no reason not to go on
            found += background_load(transport).describe(host)
    return found


def background_load(transport: Transport) -> BackgroundLoad:
    """Measure the host for a second; of another account's processes, what /proc lets this one see.

    Ansible's processes and those of other studies' benchmarks do not count, since a controller tunes itself and several
    hosts may share a machine. Raises ConnectionLost or CommandTimeout, and OSError or ValueError if /proc is not as
    expected.
    """
    before, after = _looks(output_of(transport, ["sh", "-c", _LOOK]).splitlines())
    passed = sum(after.total) - sum(before.total)
    if passed <= 0:
        return BackgroundLoad(0.0, 0.0)
    spent = {number: 100 * ticks / passed for number, ticks in _spent(before, after).items() if ticks > 0}
    busiest = sorted(spent, key=lambda number: -spent[number])[:_MOST]
    others = _others(transport, busiest) if sum(spent.values()) >= _BUSY else []
    return BackgroundLoad(
        cpu=min(sum(spent[number] for number in others), 100.0),
        steal=100 * (after.total[_STEAL] - before.total[_STEAL]) / passed,
        processes=tuple((after.processes[number].name, number, spent[number]) for number in others),
    )


@dataclass(frozen=True)
class _Process:
    """own and children: ticks of its own, and of its children that have ended and were waited for."""

    name: str
    parent: str
    own: int
    children: int


@dataclass(frozen=True)
class _Look:
    """total: ticks of all CPUs by kind. processes: by their IDs."""

    total: tuple[int, ...]
    processes: Mapping[str, _Process]


def _spent(before: _Look, after: _Look) -> dict[str, int]:
    """The ticks between the looks, by process. Those of children that came and went are their parent's."""
    known = Counter[str]()  # of children that ended in between, what they had used before
    for number, process in before.processes.items():
        if number not in after.processes:
            known[process.parent] += process.own + process.children
    found = {}
    for number, process in after.processes.items():
        if earlier := before.processes.get(number):
            # What ends in a session of sshd is mostly this collection's.
            ended = 0 if process.name == "sshd" else process.children - earlier.children - known[number]
            found[number] = process.own - earlier.own + max(ended, 0)
    return found


def _looks(lines: list[str]) -> tuple[_Look, _Look]:
    """Raises OSError or ValueError if they are not both there."""
    starts = [at for at, line in enumerate(lines) if line.startswith("cpu ")]
    if len(starts) != 2:
        raise OSError("/proc/stat cannot be read")
    return _look(lines[starts[0] : starts[1]]), _look(lines[starts[1] :])


def _look(lines: list[str]) -> _Look:
    total = tuple(int(text) for text in lines[0].split()[1:9])  # what follows is included in these
    processes = {}
    for line in lines[1:]:
        head, dummy, rest = line.rpartition(") ")  # a name may contain parentheses and spaces
        number, dummy, name = head.partition(" (")
        fields = rest.split()
        if len(fields) > 14:
            utime, stime, cutime, cstime = map(int, fields[11:15])
            processes[number] = _Process(name, fields[1], utime + stime, cutime + cstime)
    if len(total) <= _STEAL:
        raise OSError("/proc/stat cannot be read")
    return _Look(total, processes)


def _others(transport: Transport, numbers: list[str]) -> list[str]:
    """Those that are neither Ansible's nor this collection's, nor gone."""
    found = []
    for line in output_of(transport, ["sh", "-c", _WHO, "sh", *numbers]).splitlines():
        number, ours, command = [*line.split(" ", 2), "", ""][:3]
        if number in numbers and ours == "no" and not _OURS.search(command):
            found.append(number)
    return found
