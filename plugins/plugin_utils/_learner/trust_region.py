# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""`exploration: cautious`, for production hosts: candidates stay near values that are known to be harmless.

Every candidate is projected into a trust region before it is evaluated, and to a point that is nearer to a harmless
trial than to any harmful one. The region is centred on the best harmless values, at first the original ones. It
extends `step` beyond the farthest harmless trial, grows only with harmless trials, and is halved by each harmful one.
Distances are fractions of each parameter's range (on a log scale where it has one); the largest one counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from .._study.sections import Caution
from .._study.space import Candidate, Point, SearchSpace, Value
from .._trial.reward import limit
from .._trial.trial import State, Trial

_TOLERANCE = 1e-9
_HALVINGS = 20


class TrustRegion:
    """A `Region` around the original values, which must lie in the search space.

    direction: of the study's metric. radius: the half-width of the region, as a fraction of each range.
    """

    def __init__(
        self, space: SearchSpace, original: Mapping[str, Value], caution: Caution, direction: str = "maximise"
    ) -> None:
        self._space, self._step = space, caution.step / 100
        self._harmful_below = math.log1p(limit(caution.harm, direction) / 100)
        self._centre = space.encode(original)
        self._best = 0.0
        self._harmless: list[Point] = [self._centre]
        self._harmful: list[Point] = []
        self.radius = self._growth = self._step

    def project(self, candidate: Candidate) -> Candidate:
        """The farthest permitted candidate on the line from the centre to this one; at worst the centre itself."""
        direction = self._space.encode(candidate) - self._centre
        fraction = min(1.0, self.radius / max(float(np.abs(direction).max()), _TOLERANCE))
        for dummy in range(_HALVINGS):
            projected = self._permitted(self._centre + fraction * direction)
            if projected is not None:
                return projected
            fraction /= 2
        return self._space.decode(self._centre)

    def _permitted(self, point: Point) -> Candidate | None:
        """The candidate at the point after rounding and repair, or None if it must not be evaluated."""
        candidate = self._space.decode(point)
        # A step of a parameter may be wider than the region, and repairing a constraint may move other parameters.
        outside = np.abs(self._space.encode(candidate) - self._centre) > self.radius + _TOLERANCE
        candidate = self._space.decode(np.where(outside, self._centre, point))
        repaired = self._space.encode(candidate)
        if np.abs(repaired - self._centre).max() > self.radius + _TOLERANCE or self._is_nearer_to_harm(repaired):
            return None
        return candidate

    def _is_nearer_to_harm(self, point: Point) -> bool:
        return bool(self._harmful) and _distance(point, self._harmful) <= _distance(point, self._harmless)

    @property
    def harmed(self) -> bool:
        """Whether a trial failed or did harm."""
        return bool(self._harmful)

    def is_harmful(self, trial: Trial) -> bool:
        """Whether the trial failed, or was worse than the host's baseline by more than `caution.harm`."""
        performance = trial.score.performance
        return trial.state != State.LOST and (performance is None or performance < self._harmful_below)

    def update(self, trial: Trial) -> None:
        """Grow, move or shrink the region."""
        if trial.state == State.LOST:
            return
        point = self._space.encode(trial.requested)
        distance = float(np.abs(point - self._centre).max())
        if self.is_harmful(trial):
            if distance > _TOLERANCE:  # harm at the centre itself is noise, or affects all candidates alike
                self._harmful.append(point)
            self.radius, self._growth = (max(size / 2, self._step / 8) for size in (self.radius, self._growth))
            return
        self._harmless.append(point)
        self.radius = min(max(self.radius, distance + self._growth), 1.0)
        performance = trial.score.performance or 0.0
        if performance > self._best and distance > _TOLERANCE:
            self._centre, self._best, self.radius = point, performance, self._growth
        self._growth = min(1.5 * self._growth, self._step)


def _distance(point: Point, others: Sequence[Point]) -> float:
    """To the nearest of the others."""
    return float(np.linalg.norm(np.stack(others) - point, axis=1).min())
