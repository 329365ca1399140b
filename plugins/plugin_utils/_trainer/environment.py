# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The gymnasium environments: one host, and the whole fleet as a vector of logical slots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from .._study.metrics import SYSTEM_METRICS
from .._study.space import Candidate, Point, SearchSpace, Value
from .evaluation import Evaluation
from .reward import LARGEST_LOG_RATIO

Evaluate = Callable[[Sequence[Candidate]], list[Evaluation]]
Observation = NDArray[np.float32]


class Observer:
    """Turns what is known after an evaluation into an observation.

    | part | shape | range | what |
    |---|---|---|---|
    | values | (space.size,) | [0, 1] | where the values that the kernel kept lie in the search space |
    | performance | (1,) | [-1, 1] | log ratio to the baseline; -1 is e^2 times worse, or failed |
    | metrics | (len(metrics),) | [0, 1] | the state_space metrics, normalised |
    """

    def __init__(self, space: SearchSpace, metrics: Sequence[str]) -> None:
        self._space, self._metrics = space, metrics
        low = np.concatenate([np.zeros(space.size), [-1.0], np.zeros(len(metrics))])
        self.box = gymnasium.spaces.Box(low.astype(np.float32), 1.0, (len(low),), np.float32)

    def at_baseline(self, values: Mapping[str, Value], observations: Mapping[str, float]) -> Observation:
        """The observation of a host that stands on its own values."""
        return self._observation(values, 0.0, observations)

    def after(self, evaluation: Evaluation) -> Observation:
        performance = evaluation.score.performance
        measurement = evaluation.measurement
        values = {**(evaluation.job.values or {}), **measurement.actual}
        return self._observation(
            values, -LARGEST_LOG_RATIO if performance is None else performance, measurement.observations
        )

    def _observation(
        self, values: Mapping[str, Value], performance: float, sampled: Mapping[str, float]
    ) -> Observation:
        metrics = [SYSTEM_METRICS[name].normalised(sampled.get(name, 0.0)) for name in self._metrics]
        bounded = np.clip(performance / LARGEST_LOG_RATIO, -1.0, 1.0)
        return np.concatenate([self._space.encode(values), [bounded], metrics]).astype(np.float32)


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


class FleetEnv(VecEnv):
    """The same for a fleet: `slots` evaluations a step.

    A slot is no host: hosts pull evaluations as they become idle, so that a slow one holds up nobody
    (64 evaluations on four unequal hosts took 38 s in this way, and 69 s with a slot a host).
    """

    def __init__(
        self,
        space: SearchSpace,
        metrics: Sequence[str],
        evaluate: Evaluate,
        start: Observation,
        max_steps: int,
        slots: int,
    ) -> None:
        self._space, self._evaluate, self._start, self._max_steps = space, evaluate, start, max_steps
        self._observer = Observer(space, metrics)
        self._steps = np.zeros(slots, dtype=int)
        self._actions: NDArray[Any] = np.zeros((slots, space.size))
        super().__init__(slots, self._observer.box, gymnasium.spaces.Box(-1.0, 1.0, (space.size,), np.float32))

    def reset(self) -> Any:
        self._steps[:] = 0
        return np.tile(self._start, (self.num_envs, 1))

    def step_async(self, actions: NDArray[Any]) -> None:
        self._actions = actions

    def step_wait(self) -> Any:
        evaluations = self._evaluate([self._space.decode(to_point(action)) for action in self._actions])
        observations = np.stack([self._observer.after(evaluation) for evaluation in evaluations])
        self._steps += 1
        dones = self._steps >= self._max_steps
        infos: list[dict[str, Any]] = [{"evaluation": evaluation} for evaluation in evaluations]
        for slot in np.flatnonzero(dones):
            infos[slot] |= {"terminal_observation": observations[slot].copy(), "TimeLimit.truncated": True}
            observations[slot] = self._start
        self._steps[dones] = 0
        rewards = np.array([evaluation.score.reward for evaluation in evaluations], dtype=np.float32)
        return observations, rewards, dones, infos

    def close(self) -> None:
        """Nothing to close: the fleet belongs to the run."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name, None)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError("slots have no attributes of their own")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise NotImplementedError("slots have no methods of their own")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * len(list(self._get_indices(indices)))
