# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Observations and actions, which all environments share: of real hosts (client/environment.py), of the surrogate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from .._study.space import Point, SearchSpace, Value
from .._study.system_metrics import SYSTEM_METRICS
from .._trial.reward import LARGEST_LOG_RATIO
from .._trial.trial import Trial

Observation = NDArray[np.float32]

# Features are logarithms: hosts whose memory differs by less than a fifth count as alike.
_DIFFERENT = 0.2


class HostContexts:
    """The features by which hosts differ, scaled to [0, 1]; features that are much alike on all hosts are left out.

    rows: one row of features per host, of shape (known + 1, size). The last one, in the middle of all ranges, stands
    for hosts that joined later, whose features are unknown.
    """

    def __init__(self, features: Mapping[str, Sequence[float]]) -> None:
        self._names = list(features)
        table = np.array([features[name] for name in self._names] or [[]], dtype=float)
        differing = np.ptp(table, axis=0) > _DIFFERENT
        low, span = table.min(axis=0), np.ptp(table, axis=0)
        self.size = int(differing.sum())
        known = (table[:, differing] - low[differing]) / span[differing] if self.size else np.zeros((1, 0))
        self.known = len(known)
        self.rows = np.vstack([known, np.full((1, self.size), 0.5)])

    def __contains__(self, host: str) -> bool:
        return host in self._names

    def index(self, host: str) -> int:
        """The host's row in `rows`."""
        return self._names.index(host) if self.size and host in self._names else self.known


class Observer:
    """Encodes what is known after a trial as an observation.

    | part | shape | range | meaning |
    |---|---|---|---|
    | values | (space.size,) | [0, 1] | the position of the applied values in the search space |
    | performance | (1,) | [-1, 1] | log ratio to the baseline, scaled; -1 is e^2 times worse, or failed |
    | metrics | (len(metrics),) | [0, 1] | the state_space metrics, normalised |
    | host | (hosts.size,) | [0, 1] | the features by which hosts differ |

    Metrics and host are the context, of size `context_size`: what the next candidate cannot influence.
    """

    def __init__(self, space: SearchSpace, metrics: Sequence[str], hosts: HostContexts | None = None) -> None:
        self._space, self._metrics, self._hosts = space, metrics, hosts or HostContexts({})
        self.context_size = len(metrics) + self._hosts.size
        low = np.concatenate([np.zeros(space.size), [-1.0], np.zeros(self.context_size)])
        self.box = gymnasium.spaces.Box(low.astype(np.float32), 1.0, (len(low),), np.float32)

    def at_baseline(self, values: Mapping[str, Value], metrics: Mapping[str, float], host: str = "") -> Observation:
        """The observation of a host with its original values."""
        return self._observation(values, 0.0, metrics, host)

    def after(self, trial: Trial) -> Observation:
        performance = trial.score.performance
        scaled = -1.0 if performance is None else performance / LARGEST_LOG_RATIO
        return self._observation({**trial.requested, **trial.applied}, scaled, trial.observations, trial.host)

    def predicted(self, before: Observation, points: NDArray[np.float64], performances: NDArray[Any]) -> Observation:
        """After simulated trials, shape (n, ...): values and performance are new, the context is as before."""
        found = before.copy()
        found[:, : self._space.size] = points
        found[:, self._space.size] = np.clip(performances / LARGEST_LOG_RATIO, -1.0, 1.0)
        return found

    def contexts(self, observations: Observation) -> NDArray[np.float64]:
        """The context part of observations, shape (n, context_size)."""
        return observations[:, self._space.size + 1 :].astype(np.float64)

    def _observation(
        self, values: Mapping[str, Value], performance: float, metrics: Mapping[str, float], host: str
    ) -> Observation:
        normalised = [SYSTEM_METRICS[name].normalised(metrics.get(name, 0.0)) for name in self._metrics]
        context = [*normalised, *self._hosts.rows[self._hosts.index(host)]]
        bounded = np.clip(performance, -1.0, 1.0)
        return np.concatenate([self._space.encode(values), np.array([bounded, *context])]).astype(np.float32)


def action_box(space: SearchSpace) -> gymnasium.spaces.Box:
    """The actions: -1 and 1 are the ends of each axis of the search space."""
    return gymnasium.spaces.Box(-1.0, 1.0, (space.size,), np.float32)


def to_point(action: NDArray[Any]) -> Point:
    """The point of the unit cube for an action in [-1, 1]."""
    point: Point = (np.clip(action, -1.0, 1.0).astype(np.float64) + 1.0) / 2.0
    return point
