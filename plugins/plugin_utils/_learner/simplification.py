# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Simpler candidates: without the values that bring nothing, and with numbers that a person would choose.

What a candidate is worth is a prediction here, of a surrogate or anything else. So a simpler candidate costs no
trial, and must win the race like any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from scipy.linalg import hadamard

from .._study.parameters import kernel_text
from .._study.space import Axis, Candidate, Numbers, SearchSpace, Value, exact_number

Unit = tuple[str, ...]
Predict = Callable[[Sequence[Candidate]], Sequence[float]]
# Weighted sums of what n candidates are worth, and their standard deviations; weights have shape (sums, n).
Contrasts = Callable[[Sequence[Candidate], Numbers], tuple[Numbers, Numbers]]
# Standard deviations by which a unit's effect is above 0, or else it goes. On simulated studies the effects of a fitted
# Gaussian process are as uncertain as it says: below one, what goes is worth nothing on average, and is mostly idle.
_CERTAIN = 1.0
# The parts of the gain that may go with units of doubtful effect, and with those that bring nothing beside the others.
_DOUBTFUL, _NEGLIGIBLE = 0.15, 0.02
_SUBSETS = 64  # of the other units, over which an effect is averaged
# The part of an axis by which rounding may move a value.
_FARTHEST = 0.1


def without_useless(
    candidate: Candidate, units: Sequence[Unit], predict: Predict, contrasts: Contrasts, gain: float
) -> Candidate:
    """The candidate without the units that are not known to help, or whose work others do. At least one stays.

    units: what can go, each as a whole; the hosts then have their own values. gain: of the candidate, as predicted.
    """

    def most_doubtful(kept: Candidate, left: Sequence[Unit]) -> int | None:
        certain = _certainty(kept, left, contrasts)
        return int(certain.argmin()) if certain.min() < _CERTAIN else None

    def least_useful(kept: Candidate, left: Sequence[Unit]) -> int:
        worth = list(predict([_without(kept, unit) for unit in left]))
        return worth.index(max(worth))

    kept, left = _reduced(candidate, units, most_doubtful, predict, _DOUBTFUL * gain)
    return _reduced(kept, left, least_useful, predict, _NEGLIGIBLE * gain)[0]


def _reduced(
    candidate: Candidate,
    units: Sequence[Unit],
    next_unit: Callable[[Candidate, Sequence[Unit]], int | None],
    predict: Predict,
    most: float,
) -> tuple[Candidate, list[Unit]]:
    """The candidate without units, one after the other, and the units that are left of it.

    next_unit: the index of the one to leave out, if any. most: what all that go may cost together, as predicted.
    """
    kept, left, full = dict(candidate), list(units), predict([candidate])[0]
    while left and (at := next_unit(kept, left)) is not None:
        rest = _without(kept, left[at])
        if not rest or full - predict([rest])[0] > most:
            break
        kept = rest
        del left[at]
    return kept, left


def _without(candidate: Candidate, unit: Unit) -> Candidate:
    return {name: value for name, value in candidate.items() if name not in unit}


def _certainty(candidate: Candidate, units: Sequence[Unit], contrasts: Contrasts) -> Numbers:
    """How many standard deviations each unit's effect is above 0, on average over the others' presence and absence.

    The subsets are those of a two-level design of resolution IV, in which the interactions of pairs cancel: the columns
    of a Hadamard matrix whose number has an odd count of bits.
    """
    size = max(_SUBSETS, 2 << (len(units) - 1).bit_length())
    columns = sorted((c for c in range(size) if c.bit_count() % 2), key=int.bit_count)[: len(units)]
    signs = hadamard(size)[:, columns]
    absent = [{name for unit, sign in zip(units, row, strict=True) if sign < 0 for name in unit} for row in signs]
    subsets = [{name: value for name, value in candidate.items() if name not in away} for away in absent]
    means, deviations = contrasts(subsets, signs.T * 2.0 / size)
    return means / np.maximum(deviations, 1e-12)


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
