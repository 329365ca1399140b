# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Simpler candidates: without the values that bring nothing, and with numbers that a person would choose.

What a candidate is worth is a prediction here, of a surrogate or anything else. So a simpler candidate costs no
evaluation, and must win the race like any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from .._study.parameters import kernel_text
from .._study.space import Axis, Candidate, SearchSpace, Value, exact_number

Unit = tuple[str, ...]
Predict = Callable[[Sequence[Candidate]], Sequence[float]]
# The part of an axis by which rounding may move a value.
_FARTHEST = 0.1


def without_useless(candidate: Candidate, units: Sequence[Unit], predict: Predict, most: float) -> Candidate:
    """The candidate without as many units as possible, the least useful first; at least one stays.

    units: what can go, each as a whole; the hosts then have their own values. most: what all that go may cost together.
    """
    full, kept, removable = predict([candidate])[0], dict(candidate), list(units)
    while removable:
        rest = [{name: value for name, value in kept.items() if name not in unit} for unit in removable]
        worth = list(predict(rest))
        best = max(range(len(rest)), key=lambda at: worth[at])
        if full - worth[best] > most or not rest[best]:
            break
        kept = rest[best]
        del removable[best]
    return kept


def with_round_numbers(
    candidate: Candidate,
    space: SearchSpace,
    favourites: Mapping[str, Iterable[Value]],
    allowed: Callable[[Candidate], bool],
    predict: Predict,
    most: float,
) -> Candidate:
    """The candidate with rounder numbers, which together cost at most `most`.

    favourites: values of each parameter that are better than round ones, such as the hosts' own. allowed: whether a
    candidate satisfies the constraints.
    """
    full, found = predict([candidate])[0], dict(candidate)
    for axis in space.axes:
        if axis.parameter not in candidate or axis.choices:
            continue
        number = _element(found[axis.parameter], axis.element)
        for options in _rounder(axis, number, favourites.get(axis.parameter, ())):
            tried = [_with(found, axis, option) for option in options if option != number]
            tried = [each for each in tried if allowed(each)]
            worth = list(predict(tried)) if tried else []
            near = [each for each, reward in zip(tried, worth, strict=True) if full - reward <= most]
            if number in options or near:
                found = found if number in options else near[0]
                break
    return found


def _rounder(axis: Axis, number: float, favourites: Iterable[Value]) -> list[list[float]]:
    """Numbers near `number`, the roundest first, the nearest first among those that are equally round."""
    exponent = math.floor(math.log10(abs(number))) if number else 0
    own = [each for value in favourites if not math.isnan(each := _element(value, axis.element))]
    powers = [2.0**at for at in _around(math.log2(abs(number)))] if number else [0.0]
    digits = [[float(f"{number:.{places}e}")] for places in (0, 1)]
    five = 5 * 10.0 ** (exponent - 1)
    fives = [round(number / five) * five]
    levels = [[*own, *powers, *digits[0]], fives, digits[1]]
    return [sorted(_on_axis(axis, number, level), key=lambda each: _distance(axis, each, number)) for level in levels]


def _around(power: float) -> tuple[int, int]:
    return math.floor(power), math.ceil(power)


def _on_axis(axis: Axis, number: float, options: Iterable[float]) -> list[float]:
    whole = {int(each) for each in options if each == int(each)}
    return [
        each
        for each in whole
        if axis.low <= each <= axis.high
        and (each - axis.low) % axis.step == 0
        and _distance(axis, each, number) <= _FARTHEST
    ]


def _distance(axis: Axis, one: float, other: float) -> float:
    return abs(float(axis.encode(one)) - float(axis.encode(other)))


def _element(value: Value, at: int) -> float:
    """The number at this place of a value as the kernel shows it; NaN if there is none."""
    words = kernel_text(value).split()
    try:
        return exact_number(words[at])
    except (IndexError, ValueError):
        return math.nan


def _with(candidate: Candidate, axis: Axis, number: float) -> Candidate:
    words = kernel_text(candidate[axis.parameter]).split()
    if len(words) == 1:
        return {**candidate, axis.parameter: int(number)}
    words[axis.element] = str(int(number))
    return {**candidate, axis.parameter: " ".join(words)}
