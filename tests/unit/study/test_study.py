from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.file import StudyFile
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study

Read = Callable[[str], StudyFile]
Mistakes = Callable[[str], list[str]]
LARGEST = 1_000_000


@pytest.mark.parametrize(
    ("more", "mistake"),
    [
        ("reward_metrc: x", "reward_metrc: unknown key; did you mean reward_metric?"),
        ("zzzzzz: 1", "zzzzzz: unknown key"),
        ("total_timesteps: 40", "total_timesteps: this key does not belong here"),
        (
            "training_config: {total_timestep: 5}",
            "training_config.total_timestep: unknown key; did you mean total_timesteps?",
        ),
        (
            "training_config: {total_timesteps: 0}",
            "training_config.total_timesteps: must be greater than or equal to 1, not 0",
        ),
        (
            "training_config: {total_timesteps: 1000000000}",
            f"training_config.total_timesteps: must be less than or equal to {LARGEST}, not 1000000000",
        ),
        (
            "training_config: {benchmark_timeout: -1}",
            "training_config.benchmark_timeout: must be greater than 0, not -1",
        ),
        (
            "training_config: {learning_rate: .nan}",
            "training_config.learning_rate: must be a finite number, not NaN",
        ),
        (
            "training_config: {learning_rate: 1e999}",
            "training_config.learning_rate: must be a finite number, not Infinity",
        ),
        (
            'training_config: {n_steps: "64"}',
            'training_config.n_steps: must be a valid integer, not "64"',
        ),
        ("training_config: 5", "training_config: must be a mapping of keys to values, not 5"),
        ("training_config: {seed: -1}", "training_config.seed: must be greater than or equal to 0, not -1"),
        ("verification: {pairs: 2}", "verification.pairs: must be greater than or equal to 4, not 2"),
        ("verification: {confidence: 1}", "verification.confidence: must be less than 1, not 1"),
        ("direction: maximize", "direction: must be 'maximise' or 'minimise', not \"maximize\""),
        ("environment: {PORT: 5201}", "environment.PORT: must be text, not 5201; put it in quotes"),
        ("run_on: yes", "run_on: must be text, not true; put it in quotes"),
        ("allow_unsafe: vm.x", 'allow_unsafe: must be a valid list, not "vm.x"'),
        ("files: [../x]", "files: ../x must be a relative path without .."),
        ("files: [/etc/passwd]", "files: /etc/passwd must be a relative path without .."),
        (
            "files: [a/../../x, gone]",
            "files: a/../../x must be a relative path without ..; gone is neither next to the study file nor in the "
            "current folder",
        ),
        ("guard: {oom_kills: true}", "guard.oom_kills: must be a valid integer, not true"),
        ("guard: {io_pressure: 101}", "guard.io_pressure: must be less than or equal to 100, not 101"),
        ("guard: {free_memory: -1}", "guard.free_memory: must be greater than or equal to 0, not -1"),
        ("guard: {oom_kill: 0}", "guard.oom_kill: unknown key; did you mean oom_kills?"),
        (
            "guard: {health_command: sh gone.sh}",
            "guard: health_command: gone.sh is neither next to the study file nor in the current folder",
        ),
        ("guard: {health_command: ''}", "guard: health_command: is empty; write the command to run"),
        ("exploration: careful", "exploration: must be 'free' or 'cautious', not \"careful\""),
        ("caution: {step: 0}", "caution.step: must be greater than 0, not 0"),
        ("caution: {harm: 100}", "caution.harm: must be less than 100, not 100"),
        ("early_stopping: sometimes", 'early_stopping: must be a valid boolean, not "sometimes"'),
        ("objectives: [{metric: p99, weight: 0}]", "objectives[0].weight: must be greater than 0, not 0"),
        (
            "objectives: [{metric: p99, direction: less}]",
            "objectives[0].direction: must be 'maximise' or 'minimise', not \"less\"",
        ),
        (
            "objectives: [{metric: throughput}]",
            "objectives: throughput is named twice; reward_metric is an objective already",
        ),
        (
            "objectives: [{metric: p99}, {metric: p99}]",
            "objectives: p99 is named twice; reward_metric is an objective already",
        ),
        (
            "guard_metrics: [{metric: p99, direction: minimise, may_worsen: 5}, "
            "{metric: p99, direction: maximise, may_worsen: 50}]",
            "guard_metrics: p99 is guarded twice; a metric has one direction",
        ),
        ("warm_start: [0]", "warm_start: 0 is neither a workload_name nor the ID of a study"),
        (f"warm_start: [{2**63}]", f"warm_start: {2**63} is neither a workload_name nor the ID of a study"),
        ("setup: sh gone.sh", "setup: gone.sh is neither next to the study file nor in the current folder"),
        ("teardown: 'a \"b'", "teardown: cannot be split into words: No closing quotation"),
        ("setup: ''", "setup: is empty; write the command to run"),
        (
            "stop: 'true'",
            "stop: stops what a command `start` has started, and there is none; give `start` too, or stop in "
            "`teardown` what `setup` started",
        ),
        ("start: ''\nstop: 'true'", "start: is empty; write the command to run"),
        ("1: x", "1: a key must be text; put it in quotes"),
    ],
)
def test_says_what_is_wrong_and_what_would_be_right(more: str, mistake: str, mistakes_with: Mistakes) -> None:
    assert mistakes_with(more) == [mistake]


def test_a_stored_study_with_stop_alone_can_still_be_read(new_study: Callable[..., Study]) -> None:
    """For warm start: it was accepted once."""
    assert new_study(stop="true").stop == "true"


def test_refuses_a_system_metric_that_nobody_samples(mistakes_with: Mistakes) -> None:
    (line,) = mistakes_with("state_space: [{metric: cpu}]")
    assert line.startswith("state_space[0].metric: unknown system metric 'cpu'; choose one of cpu_usage, ")


@pytest.mark.parametrize(
    ("constraint", "mistake"),
    [
        ("vm.swappiness <", "is not a constraint"),
        ("vm.swappiness = 5", "is not a constraint"),
        ("vm.swappiness < 5 < 6", "is not a constraint"),
        ("1 < 2", "compares two numbers"),
        ("vm.dirty_ratio < 3", "vm.dirty_ratio[0] is not a number in the action_space"),
        ("vm.swappiness > inf", "inf[0] is not a number in the action_space"),
        ("vm.swappiness < inf", "inf[0] is not a number in the action_space"),
        ("NaN <= vm.swappiness", "NaN[0] is not a number in the action_space"),
        ("infinity < nan", "infinity[0] is not a number in the action_space"),
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


@pytest.mark.parametrize("name", ["[net/ipv4/tcp_sack]", "{net/ipv4/tcp_sack: 1}", "[/]", "5", "null"])
def test_a_name_that_is_no_text_is_one_line(
    name: str, mistakes_of_parameter: Mistakes, mistakes_with: Mistakes
) -> None:
    (line,) = mistakes_of_parameter(f"param: {name}, type: bool")
    assert line.startswith("action_space[0].param: must be ")
    (line,) = mistakes_with(f"allow_unsafe: [{name}]")
    assert line.startswith("allow_unsafe[0]: must be ")


def test_tells_of_every_constraint_that_is_wrong(mistakes_with: Mistakes) -> None:
    (line,) = mistakes_with("constraints: [a.b <= 1, vm.swappiness]")
    assert "a.b[0] is not a number" in line
    assert "`vm.swappiness` is not a constraint" in line


def test_a_name_is_there_once(mistakes: Mistakes, mistakes_with: Mistakes) -> None:
    assert mistakes_with("  - {param: vm/swappiness, min: 1, max: 2}") == [
        "action_space: vm.swappiness is listed twice"
    ]


@pytest.mark.parametrize("name", ["ansible", "ansible-ssh", "on", "null", "y"])
def test_a_workload_that_cannot_name_a_role_is_refused(name: str, mistakes: Mistakes) -> None:
    text = (
        f"workload_name: '{name}'\nreward_metric: m\nbenchmark_command: iperf3\n"
        "action_space: [{param: vm.swappiness, min: 0, max: 100}]\n"
    )
    assert mistakes(text) == [
        f"workload_name: {name} cannot name a role, since Ansible or YAML would take it for something else"
    ]


def test_allow_unsafe_permits_a_denied_parameter(read: Read, mistakes: Mistakes) -> None:
    text = (
        "workload_name: w\nreward_metric: m\nbenchmark_command: iperf3\n"
        "action_space: [{param: net.ipv4.ip_forward, type: bool}]\n"
    )
    (line,) = mistakes(text)
    assert line.startswith("action_space[0].param: net.ipv4.ip_forward is on the denylist: ")
    assert line.endswith("; to tune it anyway, add it to allow_unsafe")
    assert read(text + "allow_unsafe: [net.ipv4.ip_forward]\n").study.space.parameters == ["net.ipv4.ip_forward"]


def test_objectives_come_with_a_direction_and_a_weight(study_with: Read) -> None:
    (objective,) = study_with("objectives: [{metric: p99_ms, direction: minimise, weight: 0.5}]").study.objectives
    assert (objective.metric, objective.direction, objective.weight) == ("p99_ms", "minimise", 0.5)
