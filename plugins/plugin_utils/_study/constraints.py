# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Constraints between parameters: `vm.dirty_background_ratio < vm.dirty_ratio`, `net.ipv4.tcp_rmem[2] <= 16777216`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._plain import brief, few

# One number of a candidate: a parameter, and the index of the element in a vector (else 0).
Place = tuple[str, int]

_TERM = r"([a-zA-Z][\w./-]*(?:\[\d{1,3}\])?|[-+]?\d{1,20}(?:\.\d{1,20})?)"
_CONSTRAINT = re.compile(rf"^\s*{_TERM}\s*(<=|>=|<|>)\s*{_TERM}\s*$")
# Circular constraints narrow the ranges step by step; beyond these limits they are taken to contradict each other.
_MOST_ROUNDS = 1000
_MOST_STEPS = 100_000


@dataclass(frozen=True)
class Constraint:
    """`smaller <= larger`, or `<` if `strict`; each side is a place in a candidate or a number.

    hint: what the user can do if it cannot hold.
    """

    text: str
    smaller: Place | float
    larger: Place | float
    strict: bool
    hint: str = ""

    def places(self) -> list[Place]:
        return [side for side in (self.smaller, self.larger) if isinstance(side, tuple)]

    def sides(self, numbers: Mapping[Place, Any]) -> tuple[Any, Any]:
        """The two numbers, or arrays of numbers, to be compared."""
        return (
            numbers[self.smaller] if isinstance(self.smaller, tuple) else self.smaller,
            numbers[self.larger] if isinstance(self.larger, tuple) else self.larger,
        )

    def holds(self, numbers: Mapping[Place, float]) -> bool:
        smaller, larger = self.sides(numbers)
        return bool(smaller < larger if self.strict else smaller <= larger)


@dataclass(frozen=True)
class Bounds:
    """The allowed values of one number: `low` to `high` in steps of `step`."""

    low: float
    high: float
    step: float = 1.0

    def at_most(self, limit: float, *, below: bool = False) -> float:
        """The largest allowed value <= `limit` (< if `below`); less than `low` if there is none."""
        steps = math.floor((min(limit, self.high) - self.low) / self.step)
        value = self.low + steps * self.step
        return value - self.step if below and value >= limit else value

    def at_least(self, limit: float, *, above: bool = False) -> float:
        """The smallest allowed value >= `limit` (> if `above`); more than `high` if there is none."""
        steps = math.ceil((max(limit, self.low) - self.low) / self.step)
        value = self.low + steps * self.step
        return value + self.step if above and value <= limit else value


def parse_constraint(text: str) -> Constraint:
    """Raises ValueError with the correct form."""
    match = _CONSTRAINT.match(text)
    if not match:
        raise ValueError(
            "is not a constraint; write `parameter <= parameter`, with <, <=, > or >=, or a number on one side"
        )
    left, sign, right = match.groups()
    if sign.startswith(">"):
        left, right = right, left
    smaller, larger = _side(left), _side(right)
    if not isinstance(smaller, tuple) and not isinstance(larger, tuple):
        raise ValueError("compares two numbers; at least one side must be a parameter")
    return Constraint(text, smaller, larger, strict=len(sign) == 1)


def narrow(bounds: Mapping[Place, Bounds], constraints: Sequence[Constraint]) -> dict[Place, Bounds]:
    """The bounds, without the ends of ranges at which some constraint cannot hold.

    Raises ValueError naming the constraint that cannot hold.
    """
    narrowed = dict(bounds)
    # In both directions, so that one pass propagates along a chain of constraints.
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
    numbers: Mapping[Place, NDArray[Any]], constraints: Sequence[Constraint], narrowed: Mapping[Place, Bounds]
) -> dict[Place, NDArray[Any]]:
    """Candidates, changed as little as possible so that every constraint holds; `narrowed` comes from narrow().

    numbers: for each place an array of shape (n,), one entry a candidate; dtype object keeps large integers exact.
    The smaller side is lowered, since the larger one is usually a limit.
    """
    repaired = {place: np.clip(each, narrowed[place].low, narrowed[place].high) for place, each in numbers.items()}
    # Terminates: numbers only decrease, and the lower ends of the narrowed bounds satisfy all constraints together.
    changed = True
    while changed:
        changed = False
        for constraint in constraints:
            smaller, larger = constraint.sides(repaired)
            broken = np.asarray(smaller >= larger if constraint.strict else smaller > larger, dtype=bool)
            if isinstance(constraint.smaller, tuple) and broken.any():
                bounds = narrowed[constraint.smaller]
                steps = (np.minimum(larger, bounds.high) - bounds.low) // bounds.step
                lowered = bounds.low + steps * bounds.step
                if constraint.strict:
                    # Beyond 2^53 a float and its predecessor are further apart than a step.
                    below = lowered - bounds.step
                    below = np.where(below == lowered, np.nextafter(np.asarray(lowered, float), -np.inf), below)
                    lowered = np.where(lowered >= larger, below, lowered)
                repaired[constraint.smaller] = np.where(broken, lowered, smaller)
                changed = True
    return repaired


def _side(text: str) -> Place | float:
    if not text[0].isalpha():  # float() would read the names inf and nan
        return float(text)
    name, dummy, element = text.rstrip("]").partition("[")
    return name, int(element or 0)
