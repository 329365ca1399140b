# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The surrogate as an environment: PPO trains on it for thousands of steps while the hosts do one evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from .._study.space import SearchSpace
from .environment import Observation, Observer, to_point

Numbers = NDArray[np.float64]
# From points of the search space, shape (n, size), and the contexts that they would meet, shape (n, context_size), to
# what is learned from them (standardised rewards) and what would be observed of them (performances).
Imagine = Callable[[Numbers, Numbers], tuple[Numbers, Numbers]]


class SurrogateEnv(VecEnv):
    """`OSTuningEnv` with imagined evaluations: the same actions and observations, in `slots` episodes at once.

    An episode starts from something that was really observed, and stays in its context. What is observed then is
    the imagined evaluation: where its values lie, and how good they are expected to be.
    `set` gives it what is known; without that it knows nothing, and every reward is 0.
    """

    def __init__(self, space: SearchSpace, observer: Observer, max_steps: int, slots: int, seed: int) -> None:
        self._space, self._observer, self._max_steps = space, observer, max_steps
        self._generator = np.random.default_rng(seed)
        self._imagine: Imagine = lambda points, dummy: (np.zeros(len(points)), np.zeros(len(points)))
        self._starts = np.zeros((1, *observer.box.shape), dtype=np.float32)
        self._steps = np.zeros(slots, dtype=int)
        self._observations = np.zeros((slots, *observer.box.shape), dtype=np.float32)
        self._actions: NDArray[Any] = np.zeros((slots, space.size))
        super().__init__(slots, observer.box, gymnasium.spaces.Box(-1.0, 1.0, (space.size,), np.float32))

    def set(self, imagine: Imagine, starts: Observation, seed: int) -> None:
        """starts: real observations, shape (n, ...)."""
        self._imagine, self._starts = imagine, starts
        self._generator = np.random.default_rng(seed)

    def reset(self) -> Any:
        self._begin(np.arange(self.num_envs))
        return self._observations.copy()

    def _begin(self, slots: NDArray[Any]) -> None:
        chosen = self._generator.integers(len(self._starts), size=len(slots))
        self._observations[slots] = self._starts[chosen]
        self._steps[slots] = 0

    def step_async(self, actions: NDArray[Any]) -> None:
        self._actions = actions

    def step_wait(self) -> Any:
        points = self._space.snap(to_point(self._actions))
        rewards, performances = self._imagine(points, self._observer.contexts(self._observations))
        self._observations = self._observer.imagined(self._observations, points, performances)
        self._steps += 1
        dones = self._steps >= self._max_steps
        infos: list[dict[str, Any]] = [{} for dummy in rewards]
        for slot in np.flatnonzero(dones):
            infos[slot] = {"terminal_observation": self._observations[slot].copy(), "TimeLimit.truncated": True}
        self._begin(np.flatnonzero(dones))
        return self._observations.copy(), rewards.astype(np.float32), dones, infos

    def close(self) -> None:
        """Nothing to close."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name, None)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError("slots have no attributes of their own")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise NotImplementedError("slots have no methods of their own")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * len(list(self._get_indices(indices)))
