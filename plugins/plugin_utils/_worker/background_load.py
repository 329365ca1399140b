# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What else uses a host's CPUs just before its first trial: other processes, and other virtual machines (steal)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from .transport import Transport, output_of

_SECONDS = 1
_BUSY = 10.0  # per cent of all CPU time; less can hardly be told from a host's housekeeping
_STOLEN = 3.0
_REMEDY = "measure when it is idle"
_NAMED = 3
_STEAL = 7  # the place of steal time in line `cpu` of /proc/stat
_END = "autotune-end"
_LOOK = f"""cd /proc || exit
look() {{ grep '^cpu ' stat; cat [0-9]*/stat 2>/dev/null; echo {_END}; }}
look
sleep {_SECONDS}
look"""
# In each line a process, whether a command of the collection started it, and its command.
_WHO = """cd /proc || exit
for process; do
[ -e "$process/stat" ] || continue
grep -qs AUTOTUNE_HOST= "$process/environ" && ours=yes || ours=no
echo "$process $ours $(tr '\\0\\n' '  ' 2>/dev/null <"$process/cmdline")"
done"""


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
                f"{name} {share:.0f} %, process {number}" for name, number, share in self.processes[:_NAMED]
            )
            found.append(f"other processes use {self.cpu:.0f} % of the CPU time of {host}: {named}; {_REMEDY}")
        if self.steal >= _STOLEN:
            found.append(f"other virtual machines take {self.steal:.0f} % of the CPU time of {host} (steal); {_REMEDY}")
        return found


def disturbances(hosts: Mapping[str, Transport]) -> list[str]:
    """What disturbs measurements on these hosts, a sentence each. Raises ConnectionLost or CommandTimeout."""
    found: list[str] = []
    for host, transport in hosts.items():
        with suppress(OSError):  # it cannot be measured there
            found += background_load(transport).describe(host)
    return found


def background_load(transport: Transport) -> BackgroundLoad:
    """Measure the host for a second; of another account's processes, what /proc lets this one see.

    Ansible's processes and those of other studies' benchmarks do not count, since a controller tunes itself and several
    hosts may share a machine. Raises ConnectionLost, CommandTimeout or OSError.
    """
    before, after = _looks(output_of(transport, ["sh", "-c", _LOOK]).splitlines())
    passed = sum(after.total) - sum(before.total)
    if passed <= 0:
        return BackgroundLoad(0.0, 0.0)
    spent = {
        process: 100 * (ticks - before.processes[process]) / passed
        for process, ticks in after.processes.items()
        if ticks > before.processes.get(process, ticks)
    }
    others = _others(transport, list(spent)) if sum(spent.values()) >= _BUSY else []
    others.sort(key=lambda process: -spent[process])
    return BackgroundLoad(
        cpu=sum(spent[process] for process in others),
        steal=100 * (after.total[_STEAL] - before.total[_STEAL]) / passed,
        processes=tuple((after.names[process], process, spent[process]) for process in others),
    )


@dataclass(frozen=True)
class _Look:
    """Ticks: of all CPUs by kind, and of each process."""

    total: tuple[int, ...]
    processes: Mapping[str, int]
    names: Mapping[str, str]


def _looks(lines: list[str]) -> tuple[_Look, _Look]:
    """Raises OSError if they are not both there."""
    end = lines.index(_END) if _END in lines else len(lines)
    return _look(lines[:end]), _look(lines[end + 1 :])


def _look(lines: list[str]) -> _Look:
    total: tuple[int, ...] = ()
    processes, names = {}, {}
    for line in lines:
        if line.startswith("cpu "):
            total = tuple(int(text) for text in line.split()[1:9])  # what follows is included in these
        elif ") " in line:  # a name may contain anything, also parentheses and spaces
            head, dummy, rest = line.rpartition(") ")
            process, dummy, name = head.partition(" (")
            ticks = rest.split()[11:13]  # utime and stime
            processes[process], names[process] = sum(map(int, ticks)), name
    if len(total) <= _STEAL:
        raise OSError("/proc/stat cannot be read")
    return _Look(total, processes, names)


def _others(transport: Transport, processes: list[str]) -> list[str]:
    """Those that are neither Ansible's nor this collection's, nor gone."""
    found = []
    for line in output_of(transport, ["sh", "-c", _WHO, "sh", *processes]).splitlines():
        process, ours, command = [*line.split(" ", 2), "", ""][:3]
        if ours == "no" and not any(word in command.lower() for word in ("ansible", "autotune")):
            found.append(process)
    return found
