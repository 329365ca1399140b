# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The policy: Stable-Baselines3's PPO, trained on real trials and on predicted ones."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch._dynamo  # imported by the first optimizer otherwise, while the hosts are waiting
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.logger import HumanOutputFormat, Logger

from .._study.sections import TrainingConfig
from .observation import Observation, to_point
from .surrogate_env import SurrogateEnv


class Policy:
    """Rewards are expected to be standardised. All randomness follows from the seed given to each call."""

    def __init__(self, environment: SurrogateEnv, config: TrainingConfig, seed: int) -> None:
        rollout = environment.num_envs
        with _seeded(seed):
            self._ppo = PPO(
                "MlpPolicy",
                environment,
                n_steps=1,
                batch_size=min(config.batch_size or rollout, rollout),
                n_epochs=config.n_epochs or 4,
                learning_rate=config.learning_rate or 3e-3,
                # A candidate's reward depends on that candidate alone: the rewards of later steps are noise.
                gamma=config.gamma if config.gamma is not None else 0.0,
                gae_lambda=config.gae_lambda if config.gae_lambda is not None else 0.95,
                ent_coef=config.ent_coef if config.ent_coef is not None else 0.003,
                clip_range=config.clip_range or 0.2,
                policy_kwargs={"net_arch": [64, 64], "log_std_init": -0.5},
                device="cpu",
            )
        # The default logger would create a folder in /tmp; stderr goes to the trainer's log.
        self._ppo.set_logger(Logger(None, [HumanOutputFormat(sys.stderr)] if config.verbose else []))

    def train_on_surrogate(self, steps: int, seed: int) -> None:
        with _seeded(seed):
            self._ppo._last_obs = None  # starts new episodes
            self._ppo.learn(steps, reset_num_timesteps=False)

    def train_on_trials(
        self, observations: Observation, actions: NDArray[np.float32], rewards: NDArray[Any], seed: int
    ) -> None:
        """One PPO update from real trials: the observation before each, the action, and the reward."""
        if len(rewards) < 2:  # advantages are normalised within the batch
            return
        ppo = self._ppo
        buffer = RolloutBuffer(
            len(rewards), ppo.observation_space, ppo.action_space, "cpu", ppo.gae_lambda, ppo.gamma, n_envs=1
        )
        with torch.no_grad():
            values, log_probs, dummy = ppo.policy.evaluate_actions(
                torch.from_numpy(observations), torch.from_numpy(actions)
            )
        episode_start = np.ones(1)
        for step, reward in enumerate(rewards):
            buffer.add(
                observations[step], actions[step], np.array([reward]), episode_start, values[step], log_probs[step]
            )
        buffer.compute_returns_and_advantage(values[-1], np.ones(1))
        surrogate_buffer, ppo.rollout_buffer = ppo.rollout_buffer, buffer
        with _seeded(seed):
            ppo.train()
        ppo.rollout_buffer = surrogate_buffer

    def propose(self, observations: Observation, seed: int) -> NDArray[np.float64]:
        """A point of the unit cube for each observation, sampled from the policy."""
        with _seeded(seed):
            actions, dummy = self._ppo.predict(observations, deterministic=False)
        return to_point(actions)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators, which Stable-Baselines3 and torch draw from, and restore their state afterwards."""
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
