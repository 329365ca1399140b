# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The search space: maps candidates to points of the unit cube, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .constraints import Bounds, Constraint, Place, narrow, parse_constraint, repair

Value = int | float | str
Candidate = dict[str, Value]
Numbers = NDArray[np.float64]
Point = Numbers

# The way to a point and back costs a float its last digits; whole numbers up to 10^12 stay distinct.
_ROUNDING = 1e-13


@dataclass(frozen=True)
class Axis:
    """One dimension of the search space: a parameter, or one element of a vector.

    choices: searched by position, so `low` is 0 and `high` the last position.
    """

    parameter: str
    element: int
    low: float
    high: float
    log: bool = False
    step: float = 1.0
    choices: tuple[Value, ...] = ()

    @property
    def place(self) -> Place:
        return self.parameter, self.element

    def decode(self, unit: Any) -> Any:
        """The value at `unit` in [0, 1], of a number or an array."""
        unit = np.clip(unit, 0.0, 1.0)
        if self.choices:
            return np.minimum(np.floor(unit * len(self.choices)), len(self.choices) - 1)
        if self.log:
            value = np.exp(math.log(self.low) + unit * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + unit * (self.high - self.low)
        return np.clip(self.low + np.round((value - self.low) / self.step) * self.step, self.low, self.high)

    def number(self, unit: float) -> float:
        """decode() of one number, as an integer that is exact beyond 2^53 as well, where floats are not."""
        if self.choices:
            return int(self.decode(unit))
        if not 0.0 < unit < 1.0:
            return self.high if unit >= 1.0 else self.low
        steps = round(float((self.decode(unit) - self.low) / self.step))
        return min(max(self.low + steps * self.step, self.low), self.high)

    def encode(self, value: Any) -> Any:
        """Where `value`, a number or an array, lies in [0, 1]; values outside the range are at the nearer end."""
        if self.choices:
            return (value + 0.5) / len(self.choices)
        value = np.clip(np.asarray(value, dtype=np.float64), self.low, self.high)
        if self.log:
            return np.log(value / self.low) / np.log(float(self.high) / self.low)
        return (value - self.low) / (float(self.high) - self.low)


@dataclass(frozen=True)
class Layout:
    """How a parameter's value is composed: its number of elements, and those that are fixed."""

    parameter: str
    fixed: Mapping[int, float]
    elements: int
    ordered: bool


class SearchSpace:
    """All possible candidates.

    decode() maps a point of the unit cube, shape (size,), to a candidate that satisfies every constraint; encode() maps
    values, as the kernel shows them, to a point. Raises ValueError if constraints and ranges contradict each other.
    """

    def __init__(self, axes: list[Axis], layouts: list[Layout], constraints: list[str]) -> None:
        self.axes = axes
        self.layouts = layouts
        self.constraints = [*_order_within_vectors(layouts), *map(parse_constraint, constraints)]
        self._fixed = {(layout.parameter, at): number for layout in layouts for at, number in layout.fixed.items()}
        fixed = {place: Bounds(number, number) for place, number in self._fixed.items()}
        ranges = {axis.place: Bounds(axis.low, axis.high, axis.step) for axis in axes}
        self._bounds = narrow(ranges | fixed, self.constraints)
        self._choices = {axis.parameter: axis.choices for axis in axes}

    @property
    def size(self) -> int:
        return len(self.axes)

    @property
    def parameters(self) -> list[str]:
        return [layout.parameter for layout in self.layouts]

    def decode(self, point: Point) -> Candidate:
        numbers = dict(self._fixed)
        for axis, unit in zip(self.axes, point, strict=True):
            numbers[axis.place] = axis.number(float(unit))
        arrays = {place: np.array([number], dtype=object) for place, number in numbers.items()}
        repaired = repair(arrays, self.constraints, self._bounds)
        return {
            layout.parameter: self._value(
                layout.parameter, [round(repaired[layout.parameter, at][0]) for at in range(layout.elements)]
            )
            for layout in self.layouts
        }

    def encode(self, values: Mapping[str, Value]) -> Point:
        return np.array([axis.encode(_number(axis, values)) for axis in self.axes])

    def snap(self, points: Numbers) -> Numbers:
        """encode(decode(point)) for many points at once, shape (n, size): the points that their candidates lie at."""
        numbers = {place: np.full(len(points), float(number)) for place, number in self._fixed.items()}
        numbers |= {axis.place: axis.decode(points[:, at]) for at, axis in enumerate(self.axes)}
        numbers = repair(numbers, self.constraints, self._bounds)
        return np.column_stack([axis.encode(numbers[axis.place]) for axis in self.axes])

    def unreachable(self, values: Mapping[str, Value]) -> list[str]:
        """The parameters whose value in `values` no candidate can have."""
        nearest = self.decode(self.encode(values))
        return [name for name in nearest if not _is_close(str(nearest[name]), str(values[name]))]

    def _value(self, parameter: str, numbers: list[int]) -> Value:
        if choices := self._choices.get(parameter):
            return choices[numbers[0]]
        return numbers[0] if len(numbers) == 1 else " ".join(map(str, numbers))


def _number(axis: Axis, values: Mapping[str, Value]) -> float:
    """The axis' number in these values: for a choice its position."""
    words = str(values.get(axis.parameter, "")).split()
    if axis.choices:
        known = [str(choice) for choice in axis.choices]
        # A host may have a value that is not among the choices: the middle favours none of them.
        return known.index(" ".join(words)) if " ".join(words) in known else (len(known) - 1) / 2
    try:
        return exact_number(words[axis.element])
    except (IndexError, ValueError):
        return axis.low


def exact_number(text: str) -> float:
    """The number in a text, with all digits if it is a whole number. Raises ValueError."""
    try:
        return int(text)
    except ValueError:
        return float(text)


def _is_close(value: str, other: str) -> bool:
    """Whether two values, as the kernel shows them, are equal within the precision of a point of the unit cube."""
    pairs = list(zip_longest(value.split(), other.split(), fillvalue=""))
    try:
        return all(a == b or math.isclose(exact_number(a), exact_number(b), rel_tol=_ROUNDING) for a, b in pairs)
    except ValueError:
        return False


def _order_within_vectors(layouts: list[Layout]) -> list[Constraint]:
    """Constraints that keep vectors ascending: the kernel's triples are minimum, default and maximum."""
    return [
        Constraint(
            f"{layout.parameter}[{at}] <= {layout.parameter}[{at + 1}]",
            (layout.parameter, at),
            (layout.parameter, at + 1),
            strict=False,
            hint="; the numbers of a vector must not decrease, unless the parameter has `ordered: false`",
        )
        for layout in layouts
        if layout.ordered
        for at in range(layout.elements - 1)
    ]
