# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The surrogate as a vectorised environment: PPO trains on it for thousands of steps between two trials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from .._study.space import Numbers, SearchSpace
from .observation import Observation, Observer, action_box, to_point

# From points, shape (n, space.size), to their predicted rewards (standardised) and performances, each of shape (n,).
Predict = Callable[[Numbers], tuple[Numbers, Numbers]]


class SurrogateEnv(VecEnv):
    """`num_envs` copies of `OSTuningEnv` (client/environment.py) whose trials the surrogate predicts.

    Action and observation space are those of `OSTuningEnv`, with the features of hosts if these differ. An episode
    starts from a real observation, keeps its context, and is truncated after `max_steps`. Until `set_model` is called,
    every reward is 0.
    """

    def __init__(self, space: SearchSpace, observer: Observer, max_steps: int, num_envs: int, seed: int) -> None:
        self._space, self._observer, self._max_steps = space, observer, max_steps
        self._generator = np.random.default_rng(seed)
        self._predict: Predict = lambda points: (np.zeros(len(points)), np.zeros(len(points)))
        self._starts = np.zeros((1, *observer.box.shape), dtype=np.float32)
        self._steps = np.zeros(num_envs, dtype=int)
        self._observations = np.zeros((num_envs, *observer.box.shape), dtype=np.float32)
        self._actions: NDArray[Any] = np.zeros((num_envs, space.size))
        super().__init__(num_envs, observer.box, action_box(space))

    def set_model(self, predict: Predict, starts: Observation, seed: int) -> None:
        """starts: real observations to start episodes from, shape (n, ...)."""
        self._predict, self._starts = predict, starts
        self._generator = np.random.default_rng(seed)

    def reset(self) -> Any:
        self._start_episodes(np.arange(self.num_envs))
        return self._observations.copy()

    def _start_episodes(self, envs: NDArray[Any]) -> None:
        self._observations[envs] = self._starts[self._generator.integers(len(self._starts), size=len(envs))]
        self._steps[envs] = 0

    def step_async(self, actions: NDArray[Any]) -> None:
        self._actions = actions

    def step_wait(self) -> Any:
        points = self._space.snap(to_point(self._actions))
        rewards, performances = self._predict(points)
        self._observations = self._observer.predicted(self._observations, points, performances)
        self._steps += 1
        dones = self._steps >= self._max_steps
        infos: list[dict[str, Any]] = [{} for dummy in rewards]
        for env in np.flatnonzero(dones):
            infos[env] = {"terminal_observation": self._observations[env].copy(), "TimeLimit.truncated": True}
        self._start_episodes(np.flatnonzero(dones))
        return self._observations.copy(), rewards.astype(np.float32), dones, infos

    def close(self) -> None: ...

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name, None)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * len(list(self._get_indices(indices)))
