# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The learner: which candidates to evaluate, given what came of those before.

`search` is the whole interface: a search space and a function that evaluates candidates, from anywhere. Nothing here
knows of hosts, sockets or Ansible, so that another learner can take its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch._dynamo  # the first optimizer would import it, and the hosts would wait for that
from stable_baselines3 import PPO

from .._study.space import SearchSpace
from .._study.study import TrainingConfig
from .environment import Evaluate, FleetEnv, Observation, to_point

_SMALLEST_ROLLOUT, _LARGEST_ROLLOUT = 4, 64


@dataclass(frozen=True)
class PPOSettings:
    """PPO's hyperparameters for one budget. `rollout` is evaluations an update, `updates` how many of these fit."""

    rollout: int
    updates: int
    batch_size: int
    n_epochs: int
    learning_rate: float
    gamma: float
    gae_lambda: float
    ent_coef: float
    clip_range: float


def derive(config: TrainingConfig) -> PPOSettings:
    """What the budget suggests, where the study's training_config does not say.

    About six updates: fewer learn nothing, and more would each rest on a handful of noisy rewards. gamma is 0 because a
    candidate's reward depends on that candidate alone; discounting later rewards to nothing takes their noise away.
    """
    budget = config.total_timesteps
    # Even, so that two batches make a rollout.
    rollout = config.n_steps or min(max(budget // 6 // 2 * 2, _SMALLEST_ROLLOUT), _LARGEST_ROLLOUT)
    return PPOSettings(
        rollout=rollout,
        updates=budget // rollout,
        batch_size=min(config.batch_size or (rollout + 1) // 2, rollout),
        n_epochs=config.n_epochs or 10,
        learning_rate=config.learning_rate or 3e-3,
        gamma=config.gamma if config.gamma is not None else 0.0,
        gae_lambda=config.gae_lambda if config.gae_lambda is not None else 0.95,
        ent_coef=config.ent_coef or 0.0,
        clip_range=config.clip_range or 0.2,
    )


def advice(config: TrainingConfig) -> str | None:
    """What the user should know of the budget before time is spent on it."""
    settings = derive(config)
    if settings.updates == 0:
        return (
            f"total_timesteps {config.total_timesteps} is less than one rollout (n_steps {settings.rollout}): the "
            f"policy is never updated, so this is a random search; raise total_timesteps, or leave n_steps out"
        )
    return None


def search(
    space: SearchSpace,
    evaluate: Evaluate,
    config: TrainingConfig,
    *,
    seed: int,
    metrics: list[str],
    start: Observation,
    tell: Callable[[str], None],
) -> None:
    """Spend exactly `config.total_timesteps` evaluations on learning; `evaluate` keeps what it saw.

    start: the observation of the baseline. tell: shows one line to the user. The same seed and measurements give the
    same candidates. An exception from `evaluate` passes through.
    """
    torch.set_num_threads(1)  # the policy is tiny, and the benchmark may run on this very machine
    settings = derive(config)
    if note := advice(config):
        tell(note)
    fleet = FleetEnv(space, metrics, evaluate, start, config.max_steps_per_episode, settings.rollout)
    model = PPO(
        "MlpPolicy",
        fleet,
        n_steps=1,
        batch_size=settings.batch_size,
        n_epochs=settings.n_epochs,
        learning_rate=settings.learning_rate,
        gamma=settings.gamma,
        gae_lambda=settings.gae_lambda,
        ent_coef=settings.ent_coef,
        clip_range=settings.clip_range,
        policy_kwargs={"net_arch": [32, 32]},
        seed=seed,
        device="cpu",
        verbose=int(config.verbose),
    )
    if settings.updates:
        model.learn(settings.updates * settings.rollout)
    left = config.total_timesteps - settings.updates * settings.rollout
    if left:
        actions, dummy = model.predict(np.tile(start, (left, 1)), deterministic=False)
        evaluate([space.decode(to_point(action)) for action in actions])
