# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Which workers a run still has, by the names of their hosts."""

from __future__ import annotations

from collections.abc import Sequence, Set

from .._wire import Line


class Workers:
    """The workers that are expected, connected or leaving. The caller holds the fleet's lock."""

    def __init__(self, expected: Sequence[str]) -> None:
        self._expected = set(expected)
        self._leaving: set[str] = set()
        self._lines: dict[str, Line] = {}

    @property
    def connected(self) -> Set[str]:
        return self._lines.keys()

    @property
    def lines(self) -> list[Line]:
        """The connections to those that are connected."""
        return list(self._lines.values())

    @property
    def may_run_trials(self) -> bool:
        """Whether any is connected or may still connect."""
        return bool(self._lines or self._expected)

    @property
    def are_gone(self) -> bool:
        """Whether none is connected or cleans up."""
        return not (self._lines or self._leaving)

    def connect(self, name: str, line: Line) -> None:
        self._expected.discard(name)
        self._lines[name] = line

    def begin_leaving(self, name: str) -> None:
        """It takes no more trials but still cleans up."""
        self._lines.pop(name, None)
        self._leaving.add(name)

    def disconnect(self, name: str) -> bool:
        """Whether it was leaving: otherwise its connection ended without a farewell."""
        if name in self._leaving:
            self._leaving.remove(name)
            return True
        self._lines.pop(name, None)
        return False
