# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""`exploration: cautious`, for hosts that carry traffic: candidates stay near what is known to do no harm.

Before it is evaluated, everything that the learner would like to try is drawn towards the best values known to be safe,
at first the host's own, until it lies in the trust region and nearer to something safe than to anything harmful. The
region reaches `step` beyond what did no harm around its centre: it widens with harmless evaluations alone, moves to a
better centre with them, and is halved by a harmful one. Distances are shares of each parameter's range (on a log scale
where the parameter has one), and the largest of them counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from .._study.sections import Caution
from .._study.space import Candidate, Point, SearchSpace, Value
from .._trial.trial import State, Trial

_ROUNDING = 1e-9
_HALVINGS = 20


class TrustRegion:
    """Where candidates may lie; `own` are the values that the hosts stand on, which the search space must have.

    radius: how far from the centre, as a share of each range.
    """

    def __init__(self, space: SearchSpace, own: Mapping[str, Value], caution: Caution) -> None:
        self._space, self._step = space, caution.step / 100
        self._worst = -math.log1p(caution.harm / 100)
        self._centre = space.encode(own)
        self._best = 0.0
        self._safe: list[Point] = [self._centre]
        self._harmful: list[Point] = []
        self.radius = self._pace = self._step

    def draw_in(self, candidate: Candidate) -> Candidate:
        """The candidate, or the farthest one on the way to it that may be evaluated; at worst the centre itself."""
        wish = self._space.encode(candidate)
        way = wish - self._centre
        share = min(1.0, self.radius / max(float(np.abs(way).max()), _ROUNDING))
        for dummy in range(_HALVINGS):
            drawn = self._reachable(self._centre + share * way)
            if drawn is not None:
                return drawn
            share /= 2
        return self._space.decode(self._centre)

    def _reachable(self, point: Point) -> Candidate | None:
        """What is evaluated at that point, rounding and repair included; None if it may not be."""
        candidate = self._space.decode(point)
        # A range may have steps wider than the region, and repair may move what was not proposed.
        beyond = np.abs(self._space.encode(candidate) - self._centre) > self.radius + _ROUNDING
        candidate = self._space.decode(np.where(beyond, self._centre, point))
        real = self._space.encode(candidate)
        if np.abs(real - self._centre).max() > self.radius + _ROUNDING or self._nearer_to_harm(real):
            return None
        return candidate

    def _nearer_to_harm(self, point: Point) -> bool:
        return bool(self._harmful) and _nearest(point, self._harmful) <= _nearest(point, self._safe)

    def harmful(self, evaluation: Trial) -> bool:
        """Whether it failed, or was worse than the host's baseline by more than the study's `caution.harm`."""
        performance = evaluation.score.performance
        return evaluation.state != State.LOST and (performance is None or performance < self._worst)

    def learn(self, evaluation: Trial) -> None:
        """Widen, move or shrink the region by what an evaluation did."""
        if evaluation.state == State.LOST:
            return
        point = self._space.encode(evaluation.requested)
        reach = float(np.abs(point - self._centre).max())
        if self.harmful(evaluation):
            if reach > _ROUNDING:  # at the centre it is noise, or every place is as bad
                self._harmful.append(point)
            self.radius, self._pace = (max(size / 2, self._step / 8) for size in (self.radius, self._pace))
            return
        self._safe.append(point)
        self.radius = min(max(self.radius, reach + self._pace), 1.0)
        performance = evaluation.score.performance or 0.0
        if performance > self._best and reach > _ROUNDING:
            self._centre, self._best, self.radius = point, performance, self._pace
        self._pace = min(1.5 * self._pace, self._step)


def _nearest(point: Point, others: Sequence[Point]) -> float:
    return float(np.linalg.norm(np.stack(others) - point, axis=1).min())
