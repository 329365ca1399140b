from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.file import StudyFile

Read = Callable[[str], StudyFile]
Mistakes = Callable[[str], list[str]]
LARGEST = 1_000_000


@pytest.mark.parametrize(
    ("more", "mistake"),
    [
        ("reward_metrc: x", "reward_metrc: is not a key of a study; did you mean reward_metric?"),
        ("zzzzzz: 1", "zzzzzz: is not a key of a study"),
        ("total_timesteps: 40", "total_timesteps: does not belong here"),
        (
            "training_config: {total_timestep: 5}",
            "training_config.total_timestep: is not a key of a study; did you mean total_timesteps?",
        ),
        (
            "training_config: {total_timesteps: 0}",
            "training_config.total_timesteps: input should be greater than or equal to 1, not 0",
        ),
        (
            "training_config: {total_timesteps: 1000000000}",
            f"training_config.total_timesteps: input should be less than or equal to {LARGEST}, not 1000000000",
        ),
        (
            "training_config: {benchmark_timeout: -1}",
            "training_config.benchmark_timeout: input should be greater than 0, not -1",
        ),
        (
            "training_config: {learning_rate: .nan}",
            "training_config.learning_rate: input should be a finite number, not NaN",
        ),
        (
            "training_config: {learning_rate: 1e999}",
            "training_config.learning_rate: input should be a finite number, not Infinity",
        ),
        (
            'training_config: {n_steps: "64"}',
            'training_config.n_steps: input should be a valid integer, not "64"',
        ),
        ("training_config: 5", "training_config: should be keys with values, not 5"),
        ("training_config: {seed: -1}", "training_config.seed: input should be greater than or equal to 0, not -1"),
        ("verification: {pairs: 2}", "verification.pairs: input should be greater than or equal to 4, not 2"),
        ("verification: {confidence: 1}", "verification.confidence: input should be less than 1, not 1"),
        ("direction: maximize", "direction: input should be 'maximise' or 'minimise', not \"maximize\""),
        ("environment: {PORT: 5201}", "environment.PORT: should be text, not 5201; put it in quotes"),
        ("run_on: yes", "run_on: should be text, not true; put it in quotes"),
        ("allow_unsafe: vm.x", 'allow_unsafe: input should be a valid list, not "vm.x"'),
        ("files: [../x]", "files: ../x must be a relative path without .."),
        ("files: [/etc/passwd]", "files: /etc/passwd must be a relative path without .."),
        ("files: [a/../../x, gone]", "files: a/../../x must be a relative path without ..; gone is not there"),
        ("guard: {oom_kills: true}", "guard.oom_kills: input should be a valid integer, not true"),
        ("guard: {io_pressure: 101}", "guard.io_pressure: input should be less than or equal to 100, not 101"),
        ("guard: {free_memory: -1}", "guard.free_memory: input should be greater than or equal to 0, not -1"),
        ("guard: {oom_kill: 0}", "guard.oom_kill: is not a key of a study; did you mean oom_kills?"),
        (
            "guard: {health_command: sh gone.sh}",
            "guard: health_command names gone.sh, which is neither beside the study nor in the current folder",
        ),
        ("guard: {health_command: ''}", "guard: health_command is empty; write the command to run"),
        ("exploration: careful", "exploration: input should be 'free' or 'cautious', not \"careful\""),
        ("caution: {step: 0}", "caution.step: input should be greater than 0, not 0"),
        ("caution: {harm: 100}", "caution.harm: input should be less than 100, not 100"),
        ("streams: 1", "streams: input should be a valid boolean, not 1"),
        ("early_stopping: {runs: true}", "early_stopping.runs: is not a key of a study; did you mean run?"),
        ("early_stopping: sometimes", 'early_stopping: should be keys with values, not "sometimes"'),
        ("objectives: [{metric: p99, weight: 0}]", "objectives[0].weight: input should be greater than 0, not 0"),
        (
            "objectives: [{metric: p99, direction: less}]",
            "objectives[0].direction: input should be 'maximise' or 'minimise', not \"less\"",
        ),
        (
            "objectives: [{metric: throughput}]",
            "objectives: throughput is there already; name every metric once, the reward_metric first",
        ),
        (
            "objectives: [{metric: p99}, {metric: p99}]",
            "objectives: p99 is there already; name every metric once, the reward_metric first",
        ),
        ("warm_start: [0]", "warm_start: 0 is neither a workload nor the ID of a study"),
        (f"warm_start: [{2**63}]", f"warm_start: {2**63} is neither a workload nor the ID of a study"),
        ("setup: sh gone.sh", "setup: names gone.sh, which is neither beside the study nor in the current folder"),
        ("teardown: 'a \"b'", "teardown: cannot be split into words: No closing quotation"),
        ("setup: ''", "setup: is empty; write the command to run"),
        ("1: x", "1: a key should be text; put it in quotes"),
    ],
)
def test_says_what_is_wrong_and_what_would_be_right(more: str, mistake: str, mistakes_with: Mistakes) -> None:
    assert mistakes_with(more) == [mistake]


def test_refuses_a_system_metric_that_nobody_samples(mistakes_with: Mistakes) -> None:
    (line,) = mistakes_with("state_space: [{metric: cpu}]")
    assert line.startswith("state_space[0].metric: 'cpu' is no system metric; there are cpu_usage, ")


@pytest.mark.parametrize(
    ("constraint", "mistake"),
    [
        ("vm.swappiness <", "is no constraint"),
        ("vm.swappiness = 5", "is no constraint"),
        ("vm.swappiness < 5 < 6", "is no constraint"),
        ("1 < 2", "compares two numbers"),
        ("vm.dirty_ratio < 3", "vm.dirty_ratio[0] is not a number in the action_space"),
        ("vm.swappiness[1] < 3", "vm.swappiness[1] is not a number in the action_space"),
        ("vm.swappiness < 0", "the ranges leave no value for which `vm.swappiness < 0` holds"),
        ("101 <= vm.swappiness", "the ranges leave no value for which `101 <= vm.swappiness` holds"),
        ("vm.swappiness < vm.swappiness", "leave no value"),
    ],
)
def test_refuses_a_constraint_that_cannot_hold(constraint: str, mistake: str, mistakes_with: Mistakes) -> None:
    (line,) = mistakes_with(f"constraints: ['{constraint}']")
    assert line.startswith("constraints: ")
    assert mistake in line


def test_tells_of_every_constraint_that_is_wrong(mistakes_with: Mistakes) -> None:
    (line,) = mistakes_with("constraints: [a.b <= 1, vm.swappiness]")
    assert "a.b[0] is not a number" in line
    assert "`vm.swappiness` is no constraint" in line


def test_a_name_is_there_once(mistakes: Mistakes, mistakes_with: Mistakes) -> None:
    assert mistakes_with("  - {param: vm/swappiness, min: 1, max: 2}") == ["action_space: names vm.swappiness twice"]


def test_a_denied_parameter_may_be_tuned_by_whoever_means_it(read: Read, mistakes: Mistakes) -> None:
    text = (
        "workload_name: w\nreward_metric: m\nbenchmark_command: iperf3\n"
        "action_space: [{param: net.ipv4.ip_forward, type: bool}]\n"
    )
    (line,) = mistakes(text)
    assert line.startswith("action_space[0].param: net.ipv4.ip_forward is denied: ")
    assert line.endswith("; name it in allow_unsafe if you mean it")
    assert read(text + "allow_unsafe: [net.ipv4.ip_forward]\n").study.space.parameters == ["net.ipv4.ip_forward"]


@pytest.mark.parametrize(
    ("more", "run", "evaluation"),
    [
        ("", True, True),
        ("early_stopping: off", False, False),
        ("early_stopping: on", True, True),
        ("early_stopping: {run: false}", False, True),
        ("early_stopping: {evaluation: false}", True, False),
    ],
)
def test_early_stopping_is_on_unless_it_is_switched_off(
    more: str, run: bool, evaluation: bool, study_with: Read
) -> None:
    found = study_with(more).study.early_stopping
    assert (found.run, found.evaluation) == (run, evaluation)


def test_objectives_come_with_a_direction_and_a_weight(study_with: Read) -> None:
    (objective,) = study_with("objectives: [{metric: p99_ms, direction: minimise, weight: 0.5}]").study.objectives
    assert (objective.metric, objective.direction, objective.weight) == ("p99_ms", "minimise", 0.5)
