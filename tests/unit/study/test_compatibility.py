# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.compatibility import (
    differences,
    is_same_search,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study


def study(**changes: Any) -> Study:
    content = {
        "workload_name": "small",
        "reward_metric": "throughput",
        "benchmark_command": "true",
        "action_space": [
            {"param": "vm.swappiness", "min": 0, "max": 100, "description": "how eagerly to swap"},
            {"param": "net.ipv4.tcp_congestion_control", "choices": ["reno", "bbr"]},
        ],
        "training_config": {"total_timesteps": 40},
    }
    return Study.model_validate({**content, **changes})


SWAPPINESS = {"param": "vm.swappiness", "min": 0, "max": 100}
CONTROL = {"param": "net.ipv4.tcp_congestion_control", "choices": ["reno", "bbr"]}


@pytest.mark.parametrize(
    "changes",
    [
        {"training_config": {"total_timesteps": 80, "seed": 3, "verbose": True}},
        {"environment": {"SERVER": "10.0.0.1"}, "share": True, "teardown": "true"},
        {"action_space": [SWAPPINESS, {**CONTROL, "description": "which algorithm"}]},
    ],
)
def test_what_does_not_matter_is_no_difference(changes: dict[str, Any]) -> None:
    assert differences(study(), study(**changes)) == []


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"benchmark_command": "false"}, 'benchmark_command was "true" and is "false"'),
        (
            {"training_config": {"total_timesteps": 40, "benchmark_timeout": 5}},
            "training_config.benchmark_timeout was 60.0 and is 5.0",
        ),
        (
            {"action_space": [{**SWAPPINESS, "max": 60}, CONTROL]},
            "action_space of vm.swappiness max was 100 and is 60",
        ),
        ({"reward": {"performance": 0.9, "stability": 0}}, "reward.stability was 0.1 and is 0.0"),
        ({"run_on": "generator"}, 'run_on was absent and is "generator"'),
    ],
)
def test_what_matters_is_named(changes: dict[str, Any], difference: str) -> None:
    assert differences(study(), study(**changes)) == [difference]


def test_a_parameter_that_is_gone_is_named() -> None:
    found = differences(study(), study(action_space=[SWAPPINESS]))
    assert found
    assert all("net.ipv4.tcp_congestion_control" in difference for difference in found)


def test_a_smaller_budget_is_a_difference() -> None:
    smaller = study(training_config={"total_timesteps": 39})
    assert differences(study(), smaller) == ["training_config.total_timesteps was 40 and is 39, but may only grow"]


def test_trials_mean_the_same_where_space_and_metric_are() -> None:
    assert is_same_search(study(), study(verification={"candidates": 1}, benchmark_command="python3 other.py"))
    assert not is_same_search(study(), study(direction="minimise"))
    assert not is_same_search(study(), study(action_space=[SWAPPINESS]))
    assert not is_same_search(study(), study(workload_name="large"))
