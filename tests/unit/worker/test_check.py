from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.benchmark import BenchmarkFailed
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.check import _probes, _whole, check_benchmark
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.trial_runner import HostContext

from .conftest import NEVER, FakeHost

NewContext = Callable[..., HostContext]


def check(context: HostContext, hosts: int = 1) -> tuple[dict[str, Any], list[str]]:
    shown: list[str] = []
    found = check_benchmark(replace(context, originals={"vm.swappiness": "60"}), NEVER, shown.append, hosts)
    return found, shown


@pytest.mark.takes_seconds
def test_runs_own_values_and_probes_by_turns_and_decides(new_context: NewContext) -> None:
    found, shown = check(new_context())
    # vm.swappiness has an expert setting.
    assert [line.partition(": ")[2].rpartition(" 94.5")[0] for line in shown if " left" in line] == [
        *["original values"] * 8,
        "lowest values of the ranges",
        "original values",
        "highest values of the ranges",
        "original values",
        "middle of the ranges",
        "original values",
        "expert setting tuned-throughput-performance",
        "original values",
    ]
    # The same number whatever the values are: there is nothing to be found.
    assert (found["decision"], found["advice"]) == ("give up", [])
    assert shown[-1] == f"h1: decision: give up: {found['reason']}"


@pytest.mark.takes_seconds
def test_a_fit_benchmark_goes_on_with_what_the_study_will_take(new_context: NewContext, tmp_path: Path) -> None:
    count = tmp_path / "count"
    lively = f"echo run >> {count}; n=$(wc -l < {count}); echo throughput: $((940 + n * 7 % 5 + (n == 9) * 400))"
    found, shown = check(new_context(f"sh -c '{lively}'"), hosts=2)
    assert found["decision"] == "go on"
    trials = new_context().study.trials_on(2)
    assert shown[-1].startswith(f"h1: decision: go on: the study takes up to {trials} trials and ")
    assert " on 2 hosts, and detects gains from " in shown[-1]


def test_a_benchmark_that_fails_with_the_hosts_own_values_ends_the_check(new_context: NewContext) -> None:
    with pytest.raises(BenchmarkFailed, match="with the host's own values, the benchmark ended with exit code 1"):
        check(new_context("false"))


def test_a_probe_that_fails_is_told_and_the_check_goes_on(new_context: NewContext, tmp_path: Path) -> None:
    count = tmp_path / "count"
    ninth = f"echo run >> {count}; [ $(wc -l < {count}) -ne 9 ] && echo throughput: 94.5"
    dummy, shown = check(new_context(f"sh -c '{ninth}'"))
    failed = "9/16 h1: lowest values of the ranges failed: the benchmark ended with exit code 1: no message"
    assert failed in shown


@pytest.mark.takes_seconds
def test_an_unfit_benchmark_is_told_what_to_change(new_context: NewContext, tmp_path: Path) -> None:
    count = tmp_path / "count"
    found, shown = check(new_context(f"sh -c 'echo run >> {count}; echo throughput: $(wc -l < {count})'"))
    assert found["decision"] == "change"
    assert any(line.startswith("  recommendation: reset in `between`") for line in shown)
    assert shown[-1].startswith(f"h1: decision: change: {found['advice'][0]}")
    assert shown[-1].endswith("; then check again")


def test_every_choice_is_tried_and_values_are_named_once(new_context: NewContext) -> None:
    space = [{"param": "net.ipv4.tcp_congestion_control", "choices": ["reno", "bbr", "cubic", "dctcp"]}]
    study = new_context(action_space=space).study
    probes = _probes(study.space, {"net.ipv4.tcp_congestion_control": "reno"})
    tried = [values["net.ipv4.tcp_congestion_control"] for values in probes.values()]
    assert {"bbr", "cubic", "dctcp"} <= set(tried)


@pytest.mark.takes_seconds
def test_expert_settings_are_tried_within_the_study_s_ranges(new_context: NewContext) -> None:
    space = new_context(action_space=[{"param": "vm.swappiness", "min": 60, "max": 80}]).study.space
    assert {60 <= values["vm.swappiness"] <= 80 for values in _probes(space, {"vm.swappiness": 70}).values()} == {True}


def test_with_cautious_exploration_no_other_values_are_applied(new_context: NewContext, host: FakeHost) -> None:
    found, shown = check(new_context(exploration="cautious"))
    assert {values["vm.swappiness"] for values in host.applied} == {"60"}
    assert found["decision"] == "go on"
    assert any("exploration is cautious" in line for line in shown)


@pytest.mark.takes_seconds
def test_trials_of_a_guard_benchmark_count_with_their_own_time(new_context: NewContext) -> None:
    guard = {"name": "slow", "benchmark_command": "sh -c 'sleep 1; echo mbit: 5'", "metric": "mbit", "may_worsen": 5}
    context = new_context(guard_benchmarks=[guard])
    pairs = context.study.guard_rounds(context.study.guard_benchmarks[0], 1)
    assert _whole(context.study, 1, 0.1, {"slow": 1.0}) == pytest.approx(
        (context.study.trials_on(1) - 2 * pairs) * 0.1 + 2 * pairs * 1.0
    )
