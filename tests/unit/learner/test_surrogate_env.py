from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import gymnasium.utils.env_checker
import numpy as np
import pytest
import stable_baselines3.common.env_checker
import torch
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.observation import (
    HostContexts,
    Observer,
    action_box,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.policy import Policy
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.surrogate_env import SurrogateEnv
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.sections import TrainingConfig
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study

CONTEXTS = HostContexts({"small": [0.0], "large": [1.0]})


def predict(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lower vm.swappiness, the better."""
    rewards = 1 - 4 * np.abs(points[:, 0] - 0.1)
    return rewards, rewards / 10


def new_environment(study: Study, envs: int, max_steps: int = 3) -> tuple[SurrogateEnv, Observer, np.ndarray]:
    observer = Observer(study.space, ["cpu_usage"], CONTEXTS)
    original = {"vm.swappiness": "50", "net.ipv4.tcp_congestion_control": "reno"}
    starts = np.stack([observer.at_baseline(original, {"cpu_usage": 40.0}, host) for host in ("small", "large")])
    environment = SurrogateEnv(study.space, observer, max_steps, envs, seed=1)
    environment.set_model(predict, starts, seed=1)
    return environment, observer, starts


class SingleEnv(gymnasium.Env[Any, Any]):
    """A single environment, as the checkers require it."""

    def __init__(self, environment: SurrogateEnv) -> None:
        self._environment = environment
        self.action_space, self.observation_space = environment.action_space, environment.observation_space

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._environment.set_model(predict, self._environment._starts, seed=seed or 1)
        return self._environment.reset()[0], {}

    def step(self, action: Any) -> Any:
        observations, rewards, dones, infos = self._environment.step(action[None, :])
        last = infos[0].get("terminal_observation", observations[0])
        return last, float(rewards[0]), False, bool(dones[0]), infos[0]


def test_passes_the_checks_of_gymnasium_and_stable_baselines(study: Study) -> None:
    one = SingleEnv(new_environment(study, envs=1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gymnasium.utils.env_checker.check_env(one, skip_render_check=True)
        stable_baselines3.common.env_checker.check_env(one)


def test_it_has_the_spaces_of_the_real_environment(study: Study) -> None:
    environment, observer, dummy = new_environment(study, envs=2)
    assert environment.action_space == action_box(study.space)
    assert environment.observation_space == observer.box


def test_observes_the_candidate_and_its_predicted_performance(study: Study) -> None:
    environment, dummy, starts = new_environment(study, envs=4)
    before = environment.reset()
    actions = np.array([[-1.0, -1.0], [0.004, 0.3], [1.0, 1.0], [1.0, 1.0]])
    observations, rewards, dones, dummy2 = environment.step(actions)
    # vm.swappiness is an integer, and bbr takes the upper half of its axis.
    assert observations[:, 0] == pytest.approx([0.0, 0.5, 1.0, 1.0])
    assert observations[:, 1] == pytest.approx([0.25, 0.75, 0.75, 0.75])
    assert observations[:, 2] == pytest.approx(np.clip(rewards / 10 / 2, -1, 1))
    assert (observations[:, 3:] == before[:, 3:]).all()
    assert not dones.any()
    assert {tuple(row) for row in before} <= {tuple(row) for row in starts}


def test_episodes_are_truncated_as_stable_baselines_expects(study: Study) -> None:
    environment, dummy, starts = new_environment(study, envs=3, max_steps=2)
    environment.reset()
    actions = np.zeros((3, 2))
    assert not environment.step(actions)[2].any()
    observations, dummy2, dones, infos = environment.step(actions)
    assert dones.all()
    assert all(info["TimeLimit.truncated"] and info["terminal_observation"][0] == 0.5 for info in infos)
    assert {tuple(row) for row in observations} <= {tuple(row) for row in starts}


@pytest.mark.takes_seconds
def test_the_policy_learns_from_real_trials(study: Study) -> None:
    environment, dummy, starts = new_environment(study, envs=8)
    policy = Policy(environment, TrainingConfig(learning_rate=0.01), seed=1)
    random = np.random.default_rng(1)
    before = policy.propose(np.tile(starts[0], (300, 1)), seed=3)[:, 0].mean()
    for number in range(15):
        actions = random.uniform(-1, 1, (40, 2)).astype(np.float32)
        policy.train_on_trials(np.tile(starts[0], (40, 1)), actions, actions[:, 0], seed=number)
    assert policy.propose(np.tile(starts[0], (300, 1)), seed=3)[:, 0].mean() > before + 0.1


def test_global_random_generators_are_left_alone(study: Study) -> None:
    environment, dummy, starts = new_environment(study, envs=8)
    torch.manual_seed(7)
    np.random.seed(7)
    expected = torch.rand(1), np.random.random()
    torch.manual_seed(7)
    np.random.seed(7)
    policy = Policy(environment, TrainingConfig(), seed=1)
    policy.train_on_surrogate(16, seed=1)
    policy.propose(starts, seed=1)
    assert (torch.rand(1), np.random.random()) == expected


@pytest.mark.parametrize("verbose", [False, True])
def test_logs_only_if_verbose_and_leaves_no_folder(
    study: Study, verbose: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    environment = new_environment(study, envs=8)[0]
    Policy(environment, TrainingConfig(verbose=verbose), seed=1).train_on_surrogate(32, seed=1)
    said = capsys.readouterr()
    assert ("train/" in said.err and "loss" in said.err) is verbose
    assert not said.out
    assert not list(tmp_path.iterdir())
