# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Constraints between parameters: `vm.dirty_background_ratio < vm.dirty_ratio`, `net.ipv4.tcp_rmem[2] <= 16777216`."""

from __future__ import annotations

import re
from dataclasses import dataclass

# One number of a candidate: a parameter, and for a vector which of its elements.
Place = tuple[str, int]

_TERM = r"([a-zA-Z][\w./-]*(?:\[\d+\])?|[-+]?\d+(?:\.\d+)?)"
_CONSTRAINT = re.compile(rf"^\s*{_TERM}\s*(<=|>=|<|>)\s*{_TERM}\s*$")
_REFERENCE = re.compile(r"^([^\[\]]+?)(?:\[(\d+)\])?$")


@dataclass(frozen=True)
class Constraint:
    """`smaller <= larger`, or `<` where `strict`; each side is a place in a candidate or a number."""

    text: str
    smaller: Place | float
    larger: Place | float
    strict: bool

    def places(self) -> list[Place]:
        return [side for side in (self.smaller, self.larger) if isinstance(side, tuple)]

    def holds(self, numbers: dict[Place, float]) -> bool:
        smaller, larger = self._sides(numbers)
        return smaller < larger if self.strict else smaller <= larger

    def _sides(self, numbers: dict[Place, float]) -> tuple[float, float]:
        return (
            numbers[self.smaller] if isinstance(self.smaller, tuple) else self.smaller,
            numbers[self.larger] if isinstance(self.larger, tuple) else self.larger,
        )


@dataclass(frozen=True)
class Bounds:
    """What one number of a candidate may be: `low` to `high` in multiples of `step` from `low` (0: any)."""

    low: float
    high: float
    step: float = 0.0

    @property
    def gap(self) -> float:
        """The least difference that makes one value strictly smaller than another."""
        return self.step or max((self.high - self.low) * 1e-6, 1e-12)

    def at_most(self, limit: float) -> float:
        """The largest allowed value that is not above `limit`, or `low`."""
        value = max(self.low, min(limit, self.high))
        if self.step:
            value = self.low + (value - self.low + 1e-9) // self.step * self.step
        return value

    def at_least(self, limit: float) -> float:
        """The smallest allowed value that is not below `limit`, or the largest there is."""
        value = self.at_most(limit)
        if value < limit and value + self.gap <= self.high:
            value += self.gap
        return value


def parse_constraint(text: str) -> Constraint:
    """Raises ValueError saying what a constraint looks like."""
    match = _CONSTRAINT.match(text)
    if not match:
        raise ValueError(
            "is no constraint; write `parameter <= parameter`, with <, <=, > or >=, or a number on one side"
        )
    left, sign, right = match.groups()
    if sign.startswith(">"):
        left, right = right, left
    smaller, larger = _side(left), _side(right)
    if not isinstance(smaller, tuple) and not isinstance(larger, tuple):
        raise ValueError("compares two numbers; at least one side must be a parameter")
    return Constraint(text, smaller, larger, strict=len(sign) == 1)


def repair(
    numbers: dict[Place, float], constraints: list[Constraint], bounds: dict[Place, Bounds]
) -> dict[Place, float]:
    """The numbers changed as little as needed until every constraint holds.

    The smaller side gives way first, since the larger one is mostly a limit; where its range ends, the larger moves.
    Raises ValueError naming the constraint that cannot be met.
    """
    repaired = dict(numbers)
    for dummy in range(2 * len(constraints) + 1):
        broken = [constraint for constraint in constraints if not constraint.holds(repaired)]
        if not broken:
            return repaired
        for constraint in broken:
            _mend(constraint, repaired, bounds)
    broken = [constraint for constraint in constraints if not constraint.holds(repaired)]
    if broken:
        raise ValueError(f"the ranges leave no value for which `{broken[0].text}` holds")
    return repaired


def _mend(constraint: Constraint, numbers: dict[Place, float], bounds: dict[Place, Bounds]) -> None:
    smaller, larger = constraint._sides(numbers)
    if isinstance(constraint.smaller, tuple):
        own = bounds[constraint.smaller]
        numbers[constraint.smaller] = own.at_most(larger - (own.gap if constraint.strict else 0))
    if not constraint.holds(numbers) and isinstance(constraint.larger, tuple):
        smaller = constraint._sides(numbers)[0]
        own = bounds[constraint.larger]
        numbers[constraint.larger] = own.at_least(smaller + (own.gap if constraint.strict else 0))


def _side(text: str) -> Place | float:
    try:
        return float(text)
    except ValueError:
        pass
    match = _REFERENCE.match(text)
    assert match, "the constraint's pattern admits only references and numbers"
    return match.group(1), int(match.group(2) or 0)
