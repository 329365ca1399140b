# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A host's baseline, which drifts: what it was at any time, told from a few noisy measurements.

    figure = level + noise,   level(t + 1) = level(t) + a step

Time is counted in evaluations on the host, so that the same measurements in the same order give the same answer. How
large the steps are, beside the noise, is unknown: a Kalman filter runs for each of `_SPEEDS`, and what they say is
averaged by how well each has predicted the measurements so far. With few of these that is close to their mean, and
with drift it follows.

A measurement that was most unlikely (1 in 100) is a suspect: it counts for nothing until the next one. If that agrees
with it, the baseline has jumped, and what was before says nothing any more; if not, it was an outlier, and counts for
no more than the most unlikely one that is believed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

# Variance of a step as a share of the noise's, and how likely that is before anything was seen.
_SPEEDS = np.array([0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0])
_BELIEFS = np.array([8, 4, 4, 3, 2, 1.2, 0.6, 0.2])
TYPICAL_SPEED = float(_SPEEDS @ _BELIEFS / _BELIEFS.sum())
# The noise of a benchmark before anything was seen: worth as much as so many measurements.
_TYPICAL_NOISE, _WORTH = 0.02, 1.0
_UNLIKELY = 0.01
_LEAST_NOISE = 1e-4  # no benchmark is without any, and nothing may be divided by it

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """A measurement of the baseline: the host's evaluation `at` yielded `figure`; `looseness` is 1, more if odd."""

    at: int
    figure: float
    looseness: float = 1.0


@dataclass(frozen=True)
class Jump:
    """The baseline went from one level to another, somewhere between two evaluations of the host."""

    after: int
    until: int
    change: float


@dataclass(frozen=True)
class Estimate:
    """A level, and its standard deviation."""

    level: float
    uncertainty: float


class Stretch:
    """The measurements between two jumps, and what each of the filters makes of them."""

    def __init__(self, first: Point) -> None:
        self.points = [first]
        self._levels = np.full(len(_SPEEDS), first.figure)
        self._variances = np.full(len(_SPEEDS), first.looseness)  # this and all below in units of the noise's variance
        self._squares, self._logarithms = np.zeros(len(_SPEEDS)), np.zeros(len(_SPEEDS))
        self._filtered = [(self._levels, self._variances)]

    def add(self, point: Point) -> None:
        ahead = self._variances + _SPEEDS * (point.at - self.points[-1].at)
        spread = ahead + point.looseness
        surprise = point.figure - self._levels
        self._squares = self._squares + surprise**2 / spread
        self._logarithms = self._logarithms + np.log(spread)
        gain = ahead / spread
        self._levels, self._variances = self._levels + gain * surprise, gain * point.looseness
        self._filtered.append((self._levels, self._variances))
        self.points.append(point)

    @property
    def weights(self) -> Array:
        """How much is to be believed of each filter."""
        logs = np.log(_BELIEFS) - self._logarithms / 2 - self._freedom / 2 * np.log(self._noises)
        weights = np.exp(logs - logs.max())
        shares: Array = weights / weights.sum()
        return shares

    @property
    def _freedom(self) -> float:
        return _WORTH + len(self.points) - 1

    @property
    def _noises(self) -> Array:
        """Each filter's estimate of the noise's variance."""
        found: Array = (_WORTH * _TYPICAL_NOISE**2 + self._squares) / self._freedom
        return np.maximum(found, _LEAST_NOISE**2)

    @property
    def noise(self) -> float:
        return math.sqrt(float(self.weights @ self._noises))

    @property
    def scatter(self) -> float | None:
        """The noise as the points alone tell it; None of a single one."""
        if len(self.points) < 2:
            return None
        return math.sqrt(float(self.weights @ self._squares) / (len(self.points) - 1))

    @property
    def speed(self) -> float:
        """Variance of a step as a share of the noise's."""
        return float(self.weights @ _SPEEDS)

    def now(self, at: int) -> Estimate:
        """The level at an evaluation after all points."""
        return self._mixed(self._levels, self._variances + _SPEEDS * max(at - self.points[-1].at, 0))

    def then(self, at: int) -> Estimate:
        """The level at an evaluation, from the points before and after it."""
        if at >= self.points[-1].at:
            return self.now(at)
        levels, variances = self._smoothed()
        later = next(i for i, point in enumerate(self.points) if point.at > at)
        if later == 0:
            return self._mixed(levels[0], variances[0] + _SPEEDS * (self.points[0].at - at))
        before, after = self.points[later - 1].at, self.points[later].at
        share = (at - before) / (after - before)
        between = _SPEEDS * (at - before) * (after - at) / (after - before)
        return self._mixed(
            (1 - share) * levels[later - 1] + share * levels[later],
            (1 - share) * variances[later - 1] + share * variances[later] + between,
        )

    def is_unlikely(self, point: Point) -> bool:
        limit = float(stats.t.isf(_UNLIKELY / 2, self._freedom))
        return abs(point.figure - self.now(point.at).level) > limit * self._spread_at(point.at)

    def loosened(self, point: Point) -> Point:
        """An outlier as it may be counted: as the most unlikely measurement that would have been believed."""
        limit = float(stats.t.isf(_UNLIKELY / 2, self._freedom)) * self._spread_at(point.at)
        surprise = point.figure - self.now(point.at).level
        return Point(point.at, point.figure, max(1.0, (surprise / limit) ** 2))

    def _spread_at(self, at: int) -> float:
        return math.hypot(self.now(at).uncertainty, self.noise)

    def _smoothed(self) -> tuple[list[Array], list[Array]]:
        """Levels and variances at every point, from all of them (Rauch, Tung and Striebel)."""
        levels, variances = [self._levels], [self._variances]
        for number in range(len(self.points) - 2, -1, -1):
            level, variance = self._filtered[number]
            ahead = variance + _SPEEDS * (self.points[number + 1].at - self.points[number].at)
            back = variance / ahead
            levels.insert(0, level + back * (levels[0] - level))
            variances.insert(0, variance + back**2 * (variances[0] - ahead))
        return levels, variances

    def _mixed(self, levels: Array, variances: Array) -> Estimate:
        weights = self.weights
        level = float(weights @ levels)
        return Estimate(level, math.sqrt(float(weights @ (self._noises * variances + (levels - level) ** 2))))


def _without_outlier(three: Stretch) -> Stretch:
    """The first three measurements, if one of them is odd beside the other two: with two, nobody could tell which."""
    middle = sorted(three.points, key=lambda point: point.figure)[1]
    odd = max(three.points, key=lambda point: abs(point.figure - middle.figure))
    one, other = (point for point in three.points if point is not odd)
    calm = Stretch(one)
    calm.add(other)
    if not calm.is_unlikely(odd):
        return three
    if odd is three.points[0]:  # as a host's very first run often is: its caches were cold
        return calm
    found = Stretch(one)
    found.add(calm.loosened(odd))
    found.add(other)
    return found


class Drift:
    """All of a host's baseline: stretches with jumps between them, and a suspect, if there is one."""

    def __init__(self) -> None:
        self._stretches: list[Stretch] = []
        self.suspect: Point | None = None
        self.jumps: list[Jump] = []

    def add(self, at: int, figure: float) -> Jump | None:
        """A measurement of the baseline; returns the jump that it has proved."""
        point, suspect = Point(at, figure), self.suspect
        if not self._stretches:
            self._stretches.append(Stretch(point))
            return None
        here = self._stretches[-1]
        level = here.now(at).level
        if not here.is_unlikely(point):
            self._settle()
            here.add(point)
            if len(self._stretches) == 1 and len(here.points) == 3:
                self._stretches = [_without_outlier(here)]
            return None
        if suspect is None or abs(figure - suspect.figure) > abs(figure - level):
            self._settle()
            self.suspect = point
            return None
        self.suspect = None
        self._stretches.append(Stretch(suspect))
        self._stretches[-1].add(point)
        self.jumps.append(Jump(here.points[-1].at, suspect.at, self.now(at).level - level))
        return self.jumps[-1]

    def _settle(self) -> None:
        """The suspect was an outlier."""
        if self.suspect:
            self._stretches[-1].add(self._stretches[-1].loosened(self.suspect))
            self.suspect = None

    @property
    def known(self) -> bool:
        return bool(self._stretches)

    @property
    def noise(self) -> float:
        """Standard deviation of a measurement around the level."""
        return self._stretches[-1].noise

    @property
    def scatter(self) -> float | None:
        """The same as the measurements since the last jump tell it, and nothing else; None of a single one."""
        return self._stretches[-1].scatter

    @property
    def freedom(self) -> int:
        """How many measurements tell that, beyond the first."""
        return len(self._stretches[-1].points) - 1

    @property
    def speed(self) -> float:
        """How fast it drifts: variance of the level's step from one evaluation to the next, over the noise's."""
        return self._stretches[-1].speed

    @property
    def change(self) -> float:
        """How far the level is now from where it was in the beginning."""
        first, last = self._stretches[0].points[0].at, self._stretches[-1].points[-1].at
        return self.now(last).level - self.then(first).level

    def now(self, at: int) -> Estimate:
        """The level at an evaluation that is the host's latest."""
        return self._stretches[-1].now(at)

    def then(self, at: int) -> Estimate:
        """The level at any evaluation, from the measurements before and after it."""
        for before, after in zip(self._stretches, self._stretches[1:], strict=False):
            last, first = before.points[-1].at, after.points[0].at
            if at <= last:
                return before.then(at)
            if at < first:
                # When it jumped is not known: any time between is as likely.
                share = (at - last) / (first - last)
                old, new = before.now(last), after.then(first)
                unknown = math.sqrt(share * (1 - share)) * abs(new.level - old.level)
                return Estimate(
                    (1 - share) * old.level + share * new.level,
                    math.hypot(unknown, max(old.uncertainty, new.uncertainty)),
                )
        return self._stretches[-1].then(at)
