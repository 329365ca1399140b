# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""An entry of the catalogue, and how its limits follow from the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional, Union


@dataclass(frozen=True)
class Machine:
    """What limits depend on: memory, CPUs online, the speed of the fastest link in Mbit/s, the sizes of pages."""

    memory_bytes: int
    cpus: int
    link_mbit: int = 1000
    page_bytes: int = 4096
    huge_page_bytes: int = 2**21


# Assumed where nothing is known of a host: small enough for nearly all.
SMALL = Machine(memory_bytes=2**30, cpus=1)


@dataclass(frozen=True)
class Share:
    """A limit that grows with the machine: `factor` of its memory, `cpus` or `link`.

    Memory is counted in `bytes`, `kilobytes`, `pages` or `huge pages`; `link` is the bytes that the link carries per
    second. The result stays within `least` and `most`.
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
            "huge pages": machine.memory_bytes / machine.huge_page_bytes,
            "cpus": machine.cpus,
            "link": machine.link_mbit * 1e6 / 8,
        }
        return min(max(int(whole[self.of] * self.factor), self.least), self.most)


Limit = Union[int, Share]


@dataclass(frozen=True)
class Range:
    """The safe values of one number, ends included. log: its order of magnitude matters rather than its difference."""

    low: Limit
    high: Limit
    log: bool = False

    def on(self, machine: Optional[Machine]) -> tuple[int, int]:
        """The ends on this machine, or the widest that are safe on any machine (None)."""
        low = self.low if isinstance(self.low, int) else self.low.on(machine) if machine else self.low.least
        high = self.high if isinstance(self.high, int) else self.high.on(machine) if machine else self.high.most
        return low, high


@dataclass(frozen=True)
class Setting:
    """One entry. `ranges` has one range for a number, one per element of a vector, none where there are `choices`.

    name: a component `*` stands for any device or size. kind: int, boolean, choice, vector, bytes or ratio.
    default: that of current kernels, as the kernel shows it; empty if it is computed or left to the distribution.
    page: of the kernel's documentation. special: values with a meaning of their own, in the range or not.
    impairs: what a wrong value can impair: none, performance, stability (of the machine or its services) or security.
    since, until: the first kernel that has it, if later than 4.18, and the first that no longer has it.
    is_open: kernel modules may provide further choices.
    """

    name: str
    kind: str
    default: str
    summary: str
    page: str
    ranges: tuple[Range, ...] = ()
    choices: tuple[str, ...] = ()
    unit: str = ""
    special: tuple[tuple[str, str], ...] = ()
    impairs: str = "performance"
    since: str = ""
    until: str = ""
    is_open: bool = False

    def safe_range(self, machine: Optional[Machine]) -> list[Any]:
        """The safe values on this machine, or on any (None): [low, high] of each number, or the choices."""
        return list(self.choices) if self.choices else [list(one.on(machine)) for one in self.ranges]

    @property
    def documentation(self) -> str:
        return f"https://docs.kernel.org/{self.page}.html"


@dataclass(frozen=True)
class Chapter:
    """Makes entries that share a page of the kernel's documentation."""

    page: str

    def number(self, name: str, low: Limit, high: Limit, default: str, unit: str, summary: str, **more: Any) -> Setting:
        """An integer; log=True if its order of magnitude matters."""
        kind, ranges = more.pop("kind", "int"), (Range(low, high, more.pop("log", False)),)
        return Setting(name, kind, default, summary, self.page, ranges=ranges, unit=unit, **more)

    def size(self, name: str, low: Limit, high: Limit, default: str, summary: str, **more: Any) -> Setting:
        """An amount of memory, in bytes unless `unit` says pages or KiB; its order of magnitude matters."""
        options = {"unit": "bytes", "log": True, "kind": "bytes", **more}
        return self.number(name, low, high, default, summary=summary, **options)

    def ratio(self, name: str, low: int, high: int, default: str, summary: str, **more: Any) -> Setting:
        """A percentage."""
        return self.number(name, low, high, default, "%", summary, kind="ratio", **more)

    def switch(self, name: str, default: str, summary: str, **more: Any) -> Setting:
        """0 or 1."""
        return Setting(name, "boolean", default, summary, self.page, choices=("0", "1"), **more)

    def choice(self, name: str, choices: str, default: str, summary: str, **more: Any) -> Setting:
        """One of several words or numbers, given in one text."""
        return Setting(name, "choice", default, summary, self.page, choices=tuple(choices.split()), **more)

    def vector(
        self, name: str, ranges: tuple[Range, ...], default: str, unit: str, summary: str, **more: Any
    ) -> Setting:
        """Several numbers in one parameter."""
        return Setting(name, "vector", default, summary, self.page, ranges=ranges, unit=unit, **more)
