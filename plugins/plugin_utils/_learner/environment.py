# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The gymnasium environments: one host, and the whole fleet as a vector of logical slots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from numpy.typing import NDArray

from .._study.space import Candidate, Point, SearchSpace, Value
from .._study.system_metrics import SYSTEM_METRICS
from .._trial.reward import LARGEST_LOG_RATIO
from .._trial.trial import Trial

Evaluate = Callable[[Sequence[Candidate]], list[Trial]]
Observation = NDArray[np.float32]


# Features are logarithms, or 0 and 1: less than a fifth more memory does not make another host.
_DIFFERENT = 0.2


class Contexts:
    """What tells the hosts apart, in [0, 1]: features by host, but for those much alike everywhere.

    A host that came later, of which nothing is known, lies in the middle.
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

    def number(self, host: str) -> int:
        """Its row in `rows`."""
        return self._names.index(host) if self.size and host in self._names else self.known


class Observer:
    """Turns what is known after an evaluation into an observation.

    | part | shape | range | what |
    |---|---|---|---|
    | values | (space.size,) | [0, 1] | where the values that the kernel kept lie in the search space |
    | performance | (1,) | [-1, 1] | log ratio to the baseline; -1 is e^2 times worse, or failed |
    | metrics | (len(metrics),) | [0, 1] | the state_space metrics, normalised |
    | host | (hosts.size,) | [0, 1] | what tells the hosts apart |

    Metrics and host are the context, of size `context_size`: what the next candidate meets and has had no part in.
    """

    def __init__(self, space: SearchSpace, metrics: Sequence[str], hosts: Contexts | None = None) -> None:
        self._space, self._metrics, self._hosts = space, metrics, hosts or Contexts({})
        self.context_size = len(metrics) + self._hosts.size
        low = np.concatenate([np.zeros(space.size), [-1.0], np.zeros(self.context_size)])
        self.box = gymnasium.spaces.Box(low.astype(np.float32), 1.0, (len(low),), np.float32)

    def at_baseline(
        self, values: Mapping[str, Value], observations: Mapping[str, float], host: str = ""
    ) -> Observation:
        """The observation of a host that stands on its own values."""
        return self._observation(values, 0.0, observations, host)

    def after(self, evaluation: Trial) -> Observation:
        performance = evaluation.score.performance
        values = {**evaluation.requested, **evaluation.applied}
        known = -LARGEST_LOG_RATIO if performance is None else performance
        return self._observation(values, known, evaluation.observations, evaluation.host)

    def imagined(self, before: Observation, points: NDArray[np.float64], performances: NDArray[Any]) -> Observation:
        """After evaluations that did not take place, shape (n, ...): the metrics and the host are as before."""
        found = before.copy()
        found[:, : self._space.size] = points
        found[:, self._space.size] = np.clip(performances / LARGEST_LOG_RATIO, -1.0, 1.0)
        return found

    def contexts(self, observations: Observation) -> NDArray[np.float64]:
        """Their part of observations, shape (n, ...): (n, context_size)."""
        return observations[:, self._space.size + 1 :].astype(np.float64)

    def _observation(
        self, values: Mapping[str, Value], performance: float, sampled: Mapping[str, float], host: str
    ) -> Observation:
        metrics = [SYSTEM_METRICS[name].normalised(sampled.get(name, 0.0)) for name in self._metrics]
        bounded = np.clip(performance / LARGEST_LOG_RATIO, -1.0, 1.0)
        parts = [self._space.encode(values), [bounded], metrics, self._hosts.rows[self._hosts.number(host)]]
        return np.concatenate(parts).astype(np.float32)


def to_point(action: NDArray[Any]) -> Point:
    """The point of the unit cube that an action, in [-1, 1], stands for."""
    point: Point = (np.clip(action, -1.0, 1.0).astype(np.float64) + 1.0) / 2.0
    return point


class OSTuningEnv(gymnasium.Env[Observation, NDArray[np.float32]]):
    """Tuning one host, an evaluation a step.

    ### Action
    `Box(-1, 1, (space.size,))`: a point of the search space, -1 and 1 being the ends of each range. It is decoded and
    repaired to satisfy the constraints, never rejected.

    ### Observation
    See `Observer`.

    ### Reward
    See `reward.score`; a failed evaluation is a bad reward, not an exception.

    ### Start and end
    An episode starts on the host's own values and is truncated after `max_steps` evaluations; it never terminates.
    """

    def __init__(
        self, space: SearchSpace, metrics: Sequence[str], evaluate: Evaluate, start: Observation, max_steps: int
    ):
        self._space, self._evaluate, self._start, self._max_steps = space, evaluate, start, max_steps
        self._observer = Observer(space, metrics)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (space.size,), np.float32)
        self.observation_space = self._observer.box
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        return self._start.copy(), {}

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, SupportsFloat, bool, bool, dict[str, Any]]:
        (evaluation,) = self._evaluate([self._space.decode(to_point(action))])
        self._steps += 1
        truncated = self._steps >= self._max_steps
        return self._observer.after(evaluation), evaluation.score.reward, False, truncated, {"evaluation": evaluation}
