# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Constraints between parameters: `vm.dirty_background_ratio < vm.dirty_ratio`, `net.ipv4.tcp_rmem[2] <= 16777216`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .._plain import brief, few

# One number of a candidate: a parameter, and for a vector which of its elements.
Place = tuple[str, int]

_TERM = r"([a-zA-Z][\w./-]*(?:\[\d{1,3}\])?|[-+]?\d{1,20}(?:\.\d{1,20})?)"
_CONSTRAINT = re.compile(rf"^\s*{_TERM}\s*(<=|>=|<|>)\s*{_TERM}\s*$")
# Constraints that go round in a circle narrow the ranges step by step; so many steps mean that they never meet.
_MOST_ROUNDS = 1000
_MOST_STEPS = 100_000


@dataclass(frozen=True)
class Constraint:
    """`smaller <= larger`, or `<` where `strict`; each side is a place in a candidate or a number.

    hint: for the user, what to do if it cannot hold.
    """

    text: str
    smaller: Place | float
    larger: Place | float
    strict: bool
    hint: str = ""

    def places(self) -> list[Place]:
        return [side for side in (self.smaller, self.larger) if isinstance(side, tuple)]

    def holds(self, numbers: dict[Place, float]) -> bool:
        smaller, larger = self.sides(numbers)
        return smaller < larger if self.strict else smaller <= larger

    def sides(self, numbers: dict[Place, float]) -> tuple[float, float]:
        return (
            numbers[self.smaller] if isinstance(self.smaller, tuple) else self.smaller,
            numbers[self.larger] if isinstance(self.larger, tuple) else self.larger,
        )


@dataclass(frozen=True)
class Bounds:
    """What one number of a candidate may be: `low` to `high` in steps of `step` from `low`."""

    low: float
    high: float
    step: float = 1.0

    def at_most(self, limit: float, *, below: bool = False) -> float:
        """The largest allowed value not above `limit` (or below it), even where that is under `low`."""
        steps = math.floor((min(limit, self.high) - self.low) / self.step)
        value = self.low + steps * self.step
        return value - self.step if below and value >= limit else value

    def at_least(self, limit: float, *, above: bool = False) -> float:
        """The smallest allowed value not below `limit` (or above it), even where that is over `high`."""
        steps = math.ceil((max(limit, self.low) - self.low) / self.step)
        value = self.low + steps * self.step
        return value + self.step if above and value <= limit else value


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


def narrow(bounds: Mapping[Place, Bounds], constraints: Sequence[Constraint]) -> dict[Place, Bounds]:
    """The bounds without those ends of a range at which some constraint could not hold, whatever the others are.

    Raises ValueError naming the constraint that cannot be met.
    """
    narrowed = dict(bounds)
    # Both ways round: what a chain of constraints narrows at one end reaches the other end at once.
    both_ways = [*constraints, *reversed(constraints)]
    for dummy in range(min(_MOST_ROUNDS, 1 + _MOST_STEPS // max(len(both_ways), 1))):
        before = dict(narrowed)
        for constraint in both_ways:
            _narrow(constraint, narrowed)
        if narrowed == before:
            return narrowed
    texts = few([f"`{brief(constraint.text)}`" for constraint in constraints], " and ")
    hints = dict.fromkeys(constraint.hint for constraint in constraints)
    raise ValueError(f"the constraints {texts} contradict each other{''.join(hints)}")


def _narrow(constraint: Constraint, bounds: dict[Place, Bounds]) -> None:
    smaller, larger = constraint.smaller, constraint.larger
    if isinstance(smaller, tuple):
        limit = bounds[larger].high if isinstance(larger, tuple) else larger
        own = bounds[smaller]
        if limit < own.high or constraint.strict:
            bounds[smaller] = replace(own, high=own.at_most(limit, below=constraint.strict))
    if isinstance(larger, tuple):
        limit = bounds[smaller].low if isinstance(smaller, tuple) else smaller
        own = bounds[larger]
        if limit > own.low or constraint.strict:
            bounds[larger] = replace(own, low=own.at_least(limit, above=constraint.strict))
    if any(bounds[place].low > bounds[place].high for place in constraint.places()):
        raise ValueError(f"the ranges leave no value for which `{brief(constraint.text)}` holds{constraint.hint}")


def repair(
    numbers: Mapping[Place, float], constraints: Sequence[Constraint], narrowed: Mapping[Place, Bounds]
) -> dict[Place, float]:
    """The numbers changed as little as needed until every constraint holds; `narrowed` comes from narrow().

    The smaller side gives way, since the larger one is mostly a limit; only where its range ends does the larger move.
    """
    repaired = {place: min(max(number, narrowed[place].low), narrowed[place].high) for place, number in numbers.items()}
    # Numbers only shrink, and the narrowed lows satisfy every constraint together: so this ends.
    while broken := [constraint for constraint in constraints if not constraint.holds(repaired)]:
        for constraint in broken:
            if not isinstance(constraint.smaller, tuple):
                raise ValueError(
                    f"the ranges leave no value for which `{brief(constraint.text)}` holds{constraint.hint}"
                )
            limit = constraint.sides(repaired)[1]
            repaired[constraint.smaller] = narrowed[constraint.smaller].at_most(limit, below=constraint.strict)
    return repaired


def repair_all(
    numbers: Mapping[Place, NDArray[np.float64]],
    constraints: Sequence[Constraint],
    narrowed: Mapping[Place, Bounds],
) -> dict[Place, NDArray[np.float64]]:
    """repair() for many candidates at once: of every place the numbers of all, shape (n,)."""
    repaired = {place: np.clip(each, narrowed[place].low, narrowed[place].high) for place, each in numbers.items()}
    # As in repair(): they only shrink, and the narrowed lows satisfy every constraint together.
    while True:
        changed = False
        for constraint in constraints:
            smaller, larger = (
                repaired[side] if isinstance(side, tuple) else side for side in (constraint.smaller, constraint.larger)
            )
            broken = np.asarray(smaller >= larger if constraint.strict else smaller > larger)
            if not broken.any():
                continue
            if not isinstance(constraint.smaller, tuple):
                raise ValueError(
                    f"the ranges leave no value for which `{brief(constraint.text)}` holds{constraint.hint}"
                )
            bounds, limit = narrowed[constraint.smaller], np.broadcast_to(larger, broken.shape)
            steps = np.floor((np.minimum(limit, bounds.high) - bounds.low) / bounds.step)
            value = bounds.low + steps * bounds.step
            if constraint.strict:
                value = np.where(value >= limit, value - bounds.step, value)
            repaired[constraint.smaller] = np.where(broken, value, smaller)
            changed = True
        if not changed:
            return repaired


def _side(text: str) -> Place | float:
    try:
        return float(text)
    except ValueError:
        pass
    name, dummy, element = text.rstrip("]").partition("[")
    return name, int(element or 0)
