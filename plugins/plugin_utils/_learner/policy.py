# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The policy: Stable-Baselines3's PPO, which learns from imagined rollouts and from real evaluations alike."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch._dynamo  # the first optimizer would import it, and the hosts would wait for that
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.logger import HumanOutputFormat, Logger

from .._study.sections import TrainingConfig
from .environment import Observation, to_point
from .surrogate_env import SurrogateEnv


class Policy:
    """Rewards should come standardised. Everything random in it follows from the seed that a call is given."""

    def __init__(self, environment: SurrogateEnv, config: TrainingConfig, seed: int) -> None:
        rollout = environment.num_envs
        with _randomness(seed):
            self._ppo = PPO(
                "MlpPolicy",
                environment,
                n_steps=1,
                batch_size=min(config.batch_size or rollout, rollout),
                n_epochs=config.n_epochs or 4,
                learning_rate=config.learning_rate or 3e-3,
                # A candidate's reward depends on that candidate alone, so later ones are only noise.
                gamma=config.gamma if config.gamma is not None else 0.0,
                gae_lambda=config.gae_lambda if config.gae_lambda is not None else 0.95,
                ent_coef=config.ent_coef if config.ent_coef is not None else 0.003,
                clip_range=config.clip_range or 0.2,
                policy_kwargs={"net_arch": [64, 64], "log_std_init": -0.5},
                device="cpu",
            )
        # One of its own making would leave a folder in /tmp. What it says goes to the trainer's log.
        self._ppo.set_logger(Logger(None, [HumanOutputFormat(sys.stderr)] if config.verbose else []))

    def imagine(self, steps: int, seed: int) -> None:
        """Train on the surrogate environment for so many steps."""
        with _randomness(seed):
            self._ppo._last_obs = None  # begin with fresh episodes
            self._ppo.learn(steps, reset_num_timesteps=False)

    def learn(self, observations: Observation, actions: NDArray[np.float32], rewards: NDArray[Any], seed: int) -> None:
        """One update by real evaluations: what was seen before each, what was done, and the reward."""
        if len(rewards) < 2:  # PPO compares them with each other
            return
        ppo = self._ppo
        buffer = RolloutBuffer(
            len(rewards), ppo.observation_space, ppo.action_space, "cpu", ppo.gae_lambda, ppo.gamma, n_envs=1
        )
        with torch.no_grad():
            values, log_probabilities, dummy = ppo.policy.evaluate_actions(
                torch.from_numpy(observations), torch.from_numpy(actions)
            )
        for at, reward in enumerate(rewards):
            first = np.ones(1)
            buffer.add(observations[at], actions[at], np.array([reward]), first, values[at], log_probabilities[at])
        buffer.compute_returns_and_advantage(values[-1], np.ones(1))
        imagined, ppo.rollout_buffer = ppo.rollout_buffer, buffer
        with _randomness(seed):
            ppo.train()
        ppo.rollout_buffer = imagined

    def propose(self, observations: Observation, seed: int) -> NDArray[np.float64]:
        """A point of the unit cube for each observation, drawn from the policy."""
        with _randomness(seed):
            actions, dummy = self._ppo.predict(observations, deterministic=False)
        return to_point(actions)


@contextmanager
def _randomness(seed: int) -> Iterator[None]:
    """Stable-Baselines3 and torch draw from generators that all share: seeded within, as they were after."""
    shared = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(shared[0])
            np.random.set_state(shared[1])
