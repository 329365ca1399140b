# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What an entry of the catalogue says of a kernel setting, and how limits follow from the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional, Union

KINDS = ("int", "boolean", "choice", "vector", "bytes", "ratio")
# What a wrong value costs: nothing worth mentioning, speed, the machine's or its services' working, its safety.
RISKS = ("none", "performance", "stability", "security")
WORKLOADS = (
    "compute",  # programs that need CPUs, and how the scheduler shares them out
    "containers",  # many programs and users of the kernel's tables on one host
    "database",
    "files",  # many files, watches, handles
    "latency",  # short answers over the network
    "memory",  # more memory wanted than there is, or huge pages
    "routing",  # packets passed on, firewalls, many neighbours
    "storage",  # reading and writing of disks
    "throughput",  # much data over few connections
    "web",  # many short connections
)


@dataclass(frozen=True)
class Machine:
    """What limits depend on: memory, CPUs in use, the speed of the fastest link in Mbit/s, the size of a page."""

    memory_bytes: int
    cpus: int
    link_mbit: int = 1000
    page_bytes: int = 4096


# What is assumed where nothing is known of a host: small enough to be right for nearly all.
SMALL = Machine(memory_bytes=2**30, cpus=1)


@dataclass(frozen=True)
class Share:
    """A limit that grows with the machine: `factor` of its memory (`bytes`, `kilobytes`, `pages`), `cpus` or `link`.

    `link` counts the bytes which the link carries in a second. The result stays within `least` and `most`.
    """

    of: str
    factor: float
    least: int = 0
    most: int = 2**63 - 1

    def on(self, machine: Machine) -> int:
        whole: dict[str, float] = {
            "bytes": machine.memory_bytes,
            "kilobytes": machine.memory_bytes / 1024,
            "pages": machine.memory_bytes / machine.page_bytes,
            "cpus": machine.cpus,
            "link": machine.link_mbit * 1e6 / 8,
        }
        return min(max(int(whole[self.of] * self.factor), self.least), self.most)


Limit = Union[int, Share]


@dataclass(frozen=True)
class Range:
    """The safe values of one number, ends included; where `log`, its order of magnitude is what matters."""

    low: Limit
    high: Limit
    log: bool = False

    def on(self, machine: Optional[Machine]) -> tuple[int, int]:
        """The ends on this machine; where nothing is known of it, the widest that could be safe."""
        low = self.low if isinstance(self.low, int) else self.low.on(machine) if machine else self.low.least
        high = self.high if isinstance(self.high, int) else self.high.on(machine) if machine else self.high.most
        return low, high


@dataclass(frozen=True)
class Setting:
    """One entry. `ranges` has one range for a number, one for each element of a vector, none where there are `choices`.

    default: of current kernels, as the kernel shows it; empty where it is computed from the machine or left to the
    distribution. special: values with a meaning of their own, whether inside the range or not. constraints: with other
    settings, as `a < b`, `a <= b`, `excludes b`, `resets b`, or `ascending`. since: the first kernel that has it, empty
    for all from 4.18 on. until: the first that has it no more. page: of the kernel's documentation.
    A component `*` of the name stands for any device or size. is_open: kernel modules may bring further choices.
    """

    name: str
    kind: str
    default: str
    ranges: tuple[Range, ...]
    choices: tuple[str, ...]
    workloads: tuple[str, ...]
    summary: str
    page: str
    unit: str = ""
    special: tuple[tuple[str, str], ...] = ()
    constraints: tuple[str, ...] = ()
    risk: str = "performance"
    since: str = ""
    until: str = ""
    is_open: bool = False

    def safe_range(self, machine: Optional[Machine]) -> list[Any]:
        """The safe values on this machine (None: on any): [low, high] of each number, or the choices."""
        return list(self.choices) if self.choices else [list(one.on(machine)) for one in self.ranges]

    @property
    def scale(self) -> str:
        """Whether steps or orders of magnitude matter: `linear` or `log`."""
        return "log" if any(one.log for one in self.ranges) else "linear"


class Chapter:
    """Entries that share a page of the documentation. Workloads are given as words in one text."""

    def __init__(self, page: str) -> None:
        self.page = page

    def number(
        self, name: str, low: Limit, high: Limit, default: str, unit: str, workloads: str, summary: str, **more: Any
    ) -> Setting:
        """An int; log=True where its order of magnitude matters."""
        kind, log = more.pop("kind", "int"), more.pop("log", False)
        return self._setting(name, kind, default, workloads, summary, more, unit=unit, ranges=(Range(low, high, log),))

    def size(
        self, name: str, low: Limit, high: Limit, default: str, workloads: str, summary: str, **more: Any
    ) -> Setting:
        """An amount of memory, in bytes unless `unit` says pages or KiB; its order of magnitude matters."""
        unit, log = more.pop("unit", "bytes"), more.pop("log", True)
        return self.number(name, low, high, default, unit, workloads, summary, kind="bytes", log=log, **more)

    def ratio(self, name: str, low: int, high: int, default: str, workloads: str, summary: str, **more: Any) -> Setting:
        """A part of a whole, in per cent unless `unit` says otherwise."""
        unit = more.pop("unit", "%")
        return self.number(name, low, high, default, unit, workloads, summary, kind="ratio", **more)

    def switch(self, name: str, default: str, workloads: str, summary: str, **more: Any) -> Setting:
        """0 or 1."""
        return self._setting(name, "boolean", default, workloads, summary, more, choices=("0", "1"))

    def choice(self, name: str, choices: str, default: str, workloads: str, summary: str, **more: Any) -> Setting:
        """One of some words or numbers, given in one text."""
        return self._setting(name, "choice", default, workloads, summary, more, choices=tuple(choices.split()))

    def vector(
        self, name: str, ranges: tuple[Range, ...], default: str, unit: str, workloads: str, summary: str, **more: Any
    ) -> Setting:
        """Several numbers in one."""
        return self._setting(name, "vector", default, workloads, summary, more, unit=unit, ranges=ranges)

    def _setting(
        self, name: str, kind: str, default: str, workloads: str, summary: str, more: dict[str, Any], **own: Any
    ) -> Setting:
        fields: dict[str, Any] = {"ranges": (), "choices": (), "page": self.page, **own, **more}
        return Setting(
            name=name, kind=kind, default=default, workloads=tuple(workloads.split()), summary=summary, **fields
        )
