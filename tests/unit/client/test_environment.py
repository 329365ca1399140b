"""What an environment makes of the trials of its run; the run itself is in tests/integration/test_environment.py."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import gymnasium.utils.env_checker
import numpy as np
import pytest
import stable_baselines3.common.env_checker
from ansible_collections.autotune.kernel.client import environment
from ansible_collections.autotune.kernel.client.environment import BudgetSpent, OSTuningEnv
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Score, State, Trial

ORIGINAL = {"vm.swappiness": "60", "net.ipv4.tcp_congestion_control": "reno"}


class FunctionRun:
    """A run whose trials are those of a function: the more swappiness the better, 13 fails. slope: of each host."""

    def __init__(self, study: Study, slopes: Mapping[str, float], left: int) -> None:
        self.study, self.slopes, self.left = study, slopes, left
        self.baselines = [
            Trial(Phase.BASELINE, ORIGINAL, original=True, host=host, observations={"cpu_usage": load})
            for host, load in zip(slopes, (50.0, 30.0), strict=False)
        ]

    def evaluate(self, point: Any) -> list[Trial]:
        self.left -= len(self.slopes)
        values = self.study.space.decode(point)
        return [self._trial(host, slope, values) for host, slope in self.slopes.items()]

    def _trial(self, host: str, slope: float, values: dict[str, Any]) -> Trial:
        worth = slope * values["vm.swappiness"] / 100
        failed = values["vm.swappiness"] == 13
        return Trial(
            Phase.TRAIN,
            values,
            host=host,
            state=State.FAILED if failed else State.COMPLETE,
            applied={name: str(value) for name, value in values.items()},
            observations={"cpu_usage": 50.0},
            score=Score(None, None, -2.0) if failed else Score(math.log1p(worth), None, worth),
        )


@pytest.fixture
def new_environment(new_study: Callable[..., Study]) -> Callable[..., OSTuningEnv]:
    """An environment over hosts of such a function."""
    study = new_study(
        action_space=[
            {"param": "vm.swappiness", "min": 0, "max": 100},
            {"param": "net.ipv4.tcp_congestion_control", "choices": ["reno", "bbr"]},
        ],
        state_space=[{"metric": "cpu_usage"}, {"metric": "load_1m"}],
        training_config={"max_steps_per_episode": 3},
    )

    def make(left: int = 40, **slopes: float) -> OSTuningEnv:
        class OnFunction(OSTuningEnv):
            _run: Any = FunctionRun(study, slopes or {"h1": 1.0}, left)

        return OnFunction("study.yml")

    return make


def test_passes_the_checks_of_gymnasium_and_stable_baselines(new_environment: Callable[..., OSTuningEnv]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gymnasium.utils.env_checker.check_env(new_environment(), skip_render_check=True)
        stable_baselines3.common.env_checker.check_env(new_environment())


def test_an_episode_is_truncated_and_never_terminates(new_environment: Callable[..., OSTuningEnv]) -> None:
    env = new_environment()
    env.reset()
    steps = [env.step(np.array([1.0, -1.0], dtype=np.float32)) for dummy in range(3)]
    assert [(terminated, truncated) for dummy, dummy2, terminated, truncated, dummy3 in steps] == [
        (False, False),
        (False, False),
        (False, True),
    ]
    assert [reward for dummy, reward, *dummy2 in steps] == [1.0, 1.0, 1.0]
    (trial,) = steps[0][4]["trials"]
    assert trial.requested == {"vm.swappiness": 100, "net.ipv4.tcp_congestion_control": "reno"}
    env.reset()
    assert env.step(np.array([1.0, -1.0]))[3] is False


def test_a_fleet_is_observed_as_its_mean(new_environment: Callable[..., OSTuningEnv]) -> None:
    env = new_environment(h1=1.0, h2=0.0)
    assert env.reset()[0] == pytest.approx([0.6, 0.25, 0.0, 0.4375, 0.0])
    observation, reward, *dummy, information = env.step(np.array([1.0, 1.0], dtype=np.float32))
    assert observation == pytest.approx([1.0, 0.75, math.log(2) / 2 / 2, 0.5, 0.0])
    assert reward == pytest.approx(0.5)
    assert [trial.host for trial in information["trials"]] == ["h1", "h2"]
    assert env.trials_left == 38


def test_a_failed_trial_is_a_low_reward(new_environment: Callable[..., OSTuningEnv]) -> None:
    env = new_environment()
    env.reset()
    observation, reward, *dummy = env.step(np.array([0.13 * 2 - 1, 1.0], dtype=np.float32))
    assert (observation[2], reward) == (-1.0, -2.0)
    assert env.observation_space.contains(observation)


def test_no_trial_beyond_the_budget(new_environment: Callable[..., OSTuningEnv]) -> None:
    env = new_environment(left=1)
    env.reset()
    env.step(np.zeros(2))
    with pytest.raises(BudgetSpent, match=r"^the study's 40 trials \(total_timesteps\) are spent"):
        env.step(np.zeros(2))


@pytest.mark.parametrize("action", [[math.nan, 0.0], [0.0], [0.0, 0.0, 0.0], 0.0])
def test_what_is_no_action_is_refused(new_environment: Callable[..., OSTuningEnv], action: Any) -> None:
    env = new_environment()
    env.reset()
    with pytest.raises(ValueError, match="it must be 2 numbers"):
        env.step(np.array(action, dtype=np.float32))
    assert env.trials_left == 40


def test_making_and_closing_it_touches_nothing() -> None:
    """The study does not even exist. Registering twice is no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        environment.register()
        made = gymnasium.make(environment.ID, study="/nonexistent/study.yml")
        made.close()
        made.close()
    with pytest.raises(environment.EnvironmentFailed, match="is closed; make a new one"):
        made.reset()
