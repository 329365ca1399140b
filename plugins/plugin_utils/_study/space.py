# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The search space: candidates as points of the unit cube and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from .constraints import Bounds, Constraint, Place, narrow, parse_constraint, repair, repair_all

Value = int | float | str
Candidate = dict[str, Value]
Point = NDArray[np.float64]

# Floats lose the last digits on the way to a point and back. Up to 10^12 whole numbers are told apart all the same.
_ROUNDING = 1e-13


@dataclass(frozen=True)
class Axis:
    """One dimension of the search space: a parameter, or one element of a vector.

    A choice is searched by its position in `choices`, so there `low` is 0 and `high` the last position.
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

    def decode(self, unit: float) -> float:
        """The value at `unit` in [0, 1]; the ends of the range are reached exactly."""
        unit = min(max(float(unit), 0.0), 1.0)
        if self.choices:
            return float(min(int(unit * len(self.choices)), len(self.choices) - 1))
        if unit in (0.0, 1.0):
            return self.high if unit else self.low  # which may have more digits than a float
        if self.log:
            value = math.exp(math.log(self.low) + unit * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + unit * (self.high - self.low)
        value = self.low + round((value - self.low) / self.step) * self.step
        return min(max(value, self.low), self.high)

    def encode(self, value: float) -> float:
        """Where `value` lies in [0, 1]; beyond the range it is the nearer end."""
        if self.choices:
            return (value + 0.5) / len(self.choices)
        value = min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def decode_all(self, units: NDArray[np.float64]) -> NDArray[np.float64]:
        """decode() for many."""
        units = np.clip(units, 0.0, 1.0)
        if self.choices:
            return np.minimum(np.floor(units * len(self.choices)), len(self.choices) - 1)
        if self.log:
            values = np.exp(math.log(self.low) + units * (math.log(self.high) - math.log(self.low)))
        else:
            values = self.low + units * (self.high - self.low)
        return np.clip(self.low + np.round((values - self.low) / self.step) * self.step, self.low, self.high)

    def encode_all(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """encode() for many."""
        if self.choices:
            return (values + 0.5) / len(self.choices)
        values = np.clip(values, self.low, self.high)
        if self.log:
            return np.log(values / self.low) / math.log(self.high / self.low)
        return (values - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Layout:
    """How a parameter's value is put together: its axes and, for a vector, its fixed elements."""

    parameter: str
    fixed: Mapping[int, float]
    elements: int
    ordered: bool


class SearchSpace:
    """All that a candidate can be.

    decode() takes a point of the unit cube, shape (size,), to a candidate that satisfies every constraint;
    encode() takes values, as the kernel shows them, to the point they lie at.
    Raises ValueError where constraints and ranges contradict each other.
    """

    def __init__(self, axes: list[Axis], layouts: list[Layout], constraints: list[str]) -> None:
        self.axes = axes
        self.layouts = layouts
        self.constraints = [*_order_within_vectors(layouts), *map(parse_constraint, constraints)]
        fixed = {(layout.parameter, at): Bounds(n, n) for layout in layouts for at, n in layout.fixed.items()}
        ranges = {axis.place: Bounds(axis.low, axis.high, axis.step) for axis in axes}
        self._bounds = narrow(ranges | fixed, self.constraints)

    @property
    def size(self) -> int:
        return len(self.axes)

    @property
    def parameters(self) -> list[str]:
        return [layout.parameter for layout in self.layouts]

    def decode(self, point: Point) -> Candidate:
        numbers = {axis.place: axis.decode(unit) for axis, unit in zip(self.axes, point, strict=True)}
        numbers |= {(layout.parameter, at): value for layout in self.layouts for at, value in layout.fixed.items()}
        numbers = repair(numbers, self.constraints, self._bounds)
        return {layout.parameter: self._compose(layout, numbers) for layout in self.layouts}

    def encode(self, values: Mapping[str, Value]) -> Point:
        return np.array([axis.encode(self._number(axis, values)) for axis in self.axes])

    def settle(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """encode(decode(point)) for many points at once, shape (n, size): where their candidates really lie."""
        numbers = {axis.place: axis.decode_all(points[:, at]) for at, axis in enumerate(self.axes)}
        for layout in self.layouts:
            numbers |= {(layout.parameter, at): np.full(len(points), number) for at, number in layout.fixed.items()}
        numbers = repair_all(numbers, self.constraints, self._bounds)
        return np.column_stack([axis.encode_all(numbers[axis.place]) for axis in self.axes])

    def lacks(self, values: Mapping[str, Value]) -> list[str]:
        """The parameters whose value in `values` no candidate can have."""
        nearest = self.decode(self.encode(values))
        return [name for name in nearest if not _alike(str(nearest[name]), str(values[name]))]

    def _compose(self, layout: Layout, numbers: dict[Place, float]) -> Value:
        axis_of = {axis.place: axis for axis in self.axes}
        elements: list[Value] = []
        for at in range(layout.elements):
            axis = axis_of.get((layout.parameter, at))
            number = numbers[layout.parameter, at]
            elements.append(axis.choices[int(number)] if axis and axis.choices else round(number))
        return elements[0] if layout.elements == 1 else " ".join(map(str, elements))

    def _number(self, axis: Axis, values: Mapping[str, Value]) -> float:
        text = str(values.get(axis.parameter, "")).split()
        if axis.choices:
            own = " ".join(text)
            # A host may stand on a value that is not among the choices: the middle claims nothing about it.
            position = [str(choice) for choice in axis.choices].index(own) if own in map(str, axis.choices) else None
            return (len(axis.choices) - 1) / 2 if position is None else float(position)
        try:
            return exact_number(text[axis.element])
        except (IndexError, ValueError):
            return axis.low


def exact_number(text: str) -> float:
    """The number that a text is, with all its digits if it is a whole one. Raises ValueError."""
    try:
        return int(text)
    except ValueError:
        return float(text)


def _alike(value: str, other: str) -> bool:
    """Whether two values, as the kernel shows them, are the same but for what a point of the unit cube can tell."""
    pairs = list(zip_longest(value.split(), other.split(), fillvalue=""))
    try:
        return all(a == b or math.isclose(exact_number(a), exact_number(b), rel_tol=_ROUNDING) for a, b in pairs)
    except ValueError:
        return False


def _order_within_vectors(layouts: list[Layout]) -> list[Constraint]:
    """min <= default <= max: the kernel's vectors of three mean nothing otherwise."""
    return [
        Constraint(
            f"{layout.parameter}[{at}] <= {layout.parameter}[{at + 1}]",
            (layout.parameter, at),
            (layout.parameter, at + 1),
            strict=False,
            hint="; a vector's numbers never decrease, unless the parameter has `ordered: false`",
        )
        for layout in layouts
        if layout.ordered
        for at in range(layout.elements - 1)
    ]
