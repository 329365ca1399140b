# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The level of a host's baseline, which drifts and shifts, at any time, estimated from a few noisy measurements.

Between two shifts the level follows a local level model (a random walk observed with noise):

    objective = level + noise,   level(t + 1) = level(t) + step,   variance of a step = _STEP x variance of the noise

Time counts the trials on the host, so the same measurements in the same order give the same estimates.

An improbable measurement (1 in 100) is a suspect: it is ignored until the next measurement. If that agrees with it, the
baseline has shifted and a new level begins. If not, it was an outlier, whose variance is raised until it is no longer
improbable. This is accurate enough for training; the proof compares within pairs and does not depend on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

_STEP = 0.02
_DIFFUSE = 1e4  # prior variance of the level, relative to the variance of the noise
# Prior standard deviation of the noise, and the number of measurements that it counts for.
_TYPICAL_NOISE, _PRIOR_WEIGHT = 0.02, 1.0
_MIN_NOISE = 1e-4  # prevents division by 0
_IMPROBABLE = 0.01


@dataclass(frozen=True)
class Point:
    """The objective of the original values in the host's trial `at`; variance: relative to that of the noise."""

    at: int
    objective: float
    variance: float = 1.0


@dataclass(frozen=True)
class BaselineShift:
    """The baseline changed by `change`, a log ratio, between the host's trials `after` and `until`."""

    after: int
    until: int
    change: float


@dataclass(frozen=True)
class Estimate:
    """A level and its standard deviation."""

    level: float
    uncertainty: float


class Level:
    """The level between two shifts, estimated from all measurements in between."""

    def __init__(self, *points: Point) -> None:
        self.points = points
        self._times = np.array([point.at for point in points], dtype=float)
        self._first = points[0].objective
        residuals = np.array([point.objective - self._first for point in points])
        covariance = self._covariance(self._times[:, None]) + np.diag([point.variance for point in points])
        self._inverse = np.linalg.inv(covariance)
        self._weights = self._inverse @ residuals
        self._squares = max(float(residuals @ self._weights), 0.0)

    def _covariance(self, time: float | NDArray[np.float64]) -> NDArray[np.float64]:
        covariance: NDArray[np.float64] = _DIFFUSE + _STEP * np.minimum(time, self._times)
        return covariance

    @property
    def noise(self) -> float:
        """Standard deviation of a measurement around the level."""
        variance = (_PRIOR_WEIGHT * _TYPICAL_NOISE**2 + self._squares) / self._degrees_of_freedom
        return max(math.sqrt(variance), _MIN_NOISE)

    @property
    def scatter(self) -> float | None:
        """The same without the prior; None for a single measurement."""
        return math.sqrt(self._squares / (len(self.points) - 1)) if len(self.points) > 1 else None

    @property
    def _degrees_of_freedom(self) -> float:
        return _PRIOR_WEIGHT + len(self.points) - 1

    def at(self, time: int) -> Estimate:
        covariance = self._covariance(float(time))
        variance = _DIFFUSE + _STEP * time - float(covariance @ self._inverse @ covariance)
        level = self._first + float(covariance @ self._weights)
        return Estimate(level, self.noise * math.sqrt(max(variance, 0.0)))

    def surprise(self, point: Point) -> float:
        """The distance of a measurement from its expectation, relative to the limit above which it is improbable."""
        limit = float(stats.t.isf(_IMPROBABLE / 2, self._degrees_of_freedom))
        expected = self.at(point.at)
        return abs(point.objective - expected.level) / (limit * math.hypot(expected.uncertainty, self.noise))

    def with_outlier(self, point: Point) -> Level:
        """With the measurement added at a variance at which it is no longer improbable."""
        outlier = Point(point.at, point.objective, max(1.0, self.surprise(point) ** 2))
        return Level(*sorted((*self.points, outlier), key=lambda each: each.at))


def _without_outlier(points: tuple[Point, ...]) -> Level:
    """The level from the first three measurements. One may be an outlier, which two alone cannot show."""
    middle = sorted(points, key=lambda point: point.objective)[1]
    suspect = max(points, key=lambda point: abs(point.objective - middle.objective))
    others = Level(*(point for point in points if point is not suspect))
    if others.surprise(suspect) <= 1:
        return Level(*points)
    # The first run on a host is often slow because of cold caches.
    return others if suspect is points[0] else others.with_outlier(suspect)


class Drift:
    """The baseline of a host: its levels, the shifts between them, and the current suspect, if any."""

    def __init__(self) -> None:
        self._levels: list[Level] = []
        self.suspect: Point | None = None
        self.shifts: list[BaselineShift] = []

    def add(self, at: int, objective: float) -> BaselineShift | None:
        """Add a measurement of the original values; returns the shift that it confirms, if any."""
        point, suspect = Point(at, objective), self.suspect
        if not self._levels:
            self._levels.append(Level(point))
            return None
        current = self._levels[-1]
        if current.surprise(point) <= 1:
            self._clear_suspect()
            points = (*self._levels[-1].points, point)
            first_three = len(self._levels) == 1 and len(points) == 3
            self._levels[-1] = _without_outlier(points) if first_three else Level(*points)
            return None
        level = current.at(at).level
        if suspect is None or abs(objective - suspect.objective) > abs(objective - level):
            self._clear_suspect()
            self.suspect = point
            return None
        self.suspect = None
        self._levels.append(Level(suspect, point))
        self.shifts.append(BaselineShift(current.points[-1].at, suspect.at, self.level(at).level - level))
        return self.shifts[-1]

    def _clear_suspect(self) -> None:
        """The suspect, if any, was an outlier."""
        if self.suspect:
            self._levels[-1] = self._levels[-1].with_outlier(self.suspect)
            self.suspect = None

    @property
    def known(self) -> bool:
        return bool(self._levels)

    @property
    def noise(self) -> float:
        """Standard deviation of a measurement around the level."""
        return self._levels[-1].noise

    @property
    def scatter(self) -> float | None:
        """The same from only the measurements since the last shift, without a prior; None for a single one."""
        return self._levels[-1].scatter

    @property
    def degrees_of_freedom(self) -> int:
        """Of the scatter."""
        return len(self._levels[-1].points) - 1

    @property
    def change(self) -> float:
        """The level at the last measurement minus that at the first."""
        return self._change_since(self._levels[0])

    @property
    def change_since_shift(self) -> float:
        return self._change_since(self._levels[-1])

    def _change_since(self, level: Level) -> float:
        return self.level(self._levels[-1].points[-1].at).level - self.level(level.points[0].at).level

    def level(self, at: int) -> Estimate:
        """The level at any of the host's trials, from the measurements before and after it."""
        for before, after in zip(self._levels, self._levels[1:], strict=False):
            if at <= before.points[-1].at:
                return before.at(at)
            if at < after.points[0].at:  # the time of the shift is unknown; each is equally likely
                share = (at - before.points[-1].at) / (after.points[0].at - before.points[-1].at)
                old, new = before.at(at).level, after.at(at).level
                return Estimate((1 - share) * old + share * new, math.sqrt(share * (1 - share)) * abs(new - old))
        return self._levels[-1].at(at)
