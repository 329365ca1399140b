# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The Gymnasium environment over real hosts: `gymnasium.make("autotune/OSTuning-v0", study=..., inventory=...)`."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from statistics import fmean
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from ..plugins.plugin_utils._learner.observation import Observation, Observer, action_box, to_point
from .agent_run import AgentRun, EnvironmentFailed

__all__ = ["ID", "BudgetSpent", "EnvironmentFailed", "OSTuningEnv", "register"]

ID = "autotune/OSTuning-v0"


class BudgetSpent(EnvironmentFailed):
    """The study allows no more trials; finish() and close() are all that is left."""


class OSTuningEnv(gymnasium.Env[Observation, NDArray[np.float32]]):
    """Tunes a host, or a fleet of hosts at once; each step is one trial on every host.

    ### Action space
    `Box(-1, 1, (size,))`, one number for each parameter of the study, and for each element of a vector that is not
    fixed: -1 and 1 are the ends of its range (on a log scale where it has one), and choices share the range equally.
    Numbers beyond are clipped, and candidates that violate a constraint are repaired, so no action is rejected. With
    `exploration: cautious`, a candidate is moved into the trust region first.

    ### Observation space
    A `Box` of what is known after the step, the mean over the hosts:

    | part | shape | range | meaning |
    |---|---|---|---|
    | values | (size,) | [0, 1] | the position of the applied values in their ranges |
    | performance | (1,) | [-1, 1] | log ratio to the host's baseline, halved; -1 is e^2 times worse, or failed |
    | metrics | (metrics,) | [0, 1] | the system metrics of the study's `state_space`, normalised |

    ### Reward
    The mean over the hosts of the trial's reward: the weighted mean of performance, the log ratio to the host's own
    baseline, and of stability (`reward` in the study). With the default weights, 0.9 and 0.1, the original values are
    worth about 0.1, and each per cent more of the metric about 0.009. A failed trial has the lowest reward, -2, and
    raises no exception.

    ### Starting state
    The hosts with their original values, as their baselines have measured them. A reset costs no trial.

    ### Episode end
    An episode is truncated after the study's `max_steps_per_episode`; it never terminates.

    ### Information
    step() returns `trials`, one `Trial` of each host, with its `host`, `requested` and `applied` values, `metric` and
    further `metrics`, `state` (`complete` or `failed`), `error`, and `score`, which consists of `performance`,
    `stability` and `reward`.

    Making the environment touches no host. The first use of its spaces, or the first reset, starts playbook tune and
    returns when the baselines are measured. Between two steps the hosts keep the last candidate, until its lease
    expires. After close(), and after the end of this process, however it ends, they have their original values.

    All methods raise EnvironmentFailed if the run fails; step() raises BudgetSpent after the study's last trial.
    """

    metadata = {"render_modes": []}

    def __init__(
        self,
        study: str | os.PathLike[str],
        inventory: str | os.PathLike[str] | None = None,
        settings: Mapping[str, object] | None = None,
        options: Sequence[str] = (),
        *,
        verbose: bool = False,
    ) -> None:
        """study: the study file. inventory: as for ansible-playbook's `-i`; None tunes this machine.

        settings: of playbook tune (docs/reference/settings.md), such as `output`, `store` or `dashboard`. options:
        further ones of ansible-playbook, such as `--limit`. verbose: print the run's progress to standard error.
        """
        self._arguments = os.fspath(study), None if inventory is None else os.fspath(inventory), settings or {}, options
        self._verbose, self._steps, self._closed = verbose, 0, False
        self._stop: Callable[[], object] = lambda: None

    @cached_property
    def _run(self) -> AgentRun:
        if self._closed:
            raise EnvironmentFailed("the environment is closed; make a new one")
        run = AgentRun(*self._arguments, verbose=self._verbose)
        self._stop = weakref.finalize(self, run.stop)  # also at the end of Python, which so waits for the hosts
        return run

    @cached_property
    def _observer(self) -> Observer:
        study = self._run.study
        return Observer(study.space, [state.metric for state in study.state_space])

    @cached_property
    def action_space(self) -> gymnasium.spaces.Box:  # type: ignore[override]
        return action_box(self._run.study.space)

    @cached_property
    def observation_space(self) -> gymnasium.spaces.Box:  # type: ignore[override]
        return self._observer.box

    @property
    def trials_left(self) -> int:
        """How many the study's budget still allows; a step takes one on each host."""
        return self._run.left

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        starts = [self._observer.at_baseline(t.requested, t.observations) for t in self._run.baselines]
        return _mean(starts), {}

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        action = np.asarray(action)
        if action.shape != self.action_space.shape or np.isnan(action).any():
            raise ValueError(f"the action is {action}; it must be {self.action_space.shape[0]} numbers")
        if self._run.left < 1:
            total = self._run.study.training_config.total_timesteps
            raise BudgetSpent(f"the study's {total} trials (total_timesteps) are spent; finish() or close() it")
        trials = self._run.evaluate(to_point(action))
        self._steps += 1
        is_last = self._steps >= self._run.study.training_config.max_steps_per_episode
        reward = fmean(trial.score.reward for trial in trials)
        return _mean([self._observer.after(trial) for trial in trials]), reward, False, is_last, {"trials": trials}

    def finish(self) -> dict[str, Any]:
        """End the training: the study goes on to race, proof and role, which takes its time.

        Returns the content of result.json, and closes the environment.
        """
        try:
            return self._run.finish()
        finally:
            self._closed = True

    def close(self) -> None:
        """Stop the study, and wait until every host has its original values back.

        Raises EnvironmentFailed if one has not, or was lost.
        """
        self._closed = True
        self._stop()


def _mean(observations: Sequence[Observation]) -> Observation:
    mean: Observation = np.stack(observations).mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def register() -> None:
    """Make `gymnasium.make(ID, study=...)` known, unless it is."""
    if ID not in gymnasium.registry:
        # Without Gymnasium's checker around it, which would ask for the spaces, and so start the run, at once.
        gymnasium.register(ID, f"{__name__}:OSTuningEnv", nondeterministic=True, disable_env_checker=True)


register()
