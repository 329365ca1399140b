from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.benchmark import BenchmarkFailed
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.check import check_benchmark
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.trial_runner import HostContext

from .conftest import NEVER

NewContext = Callable[..., HostContext]


def check(context: HostContext) -> tuple[bool, list[str]]:
    shown: list[str] = []
    return check_benchmark(replace(context, originals={"vm.swappiness": "60"}), NEVER, shown.append), shown


@pytest.mark.takes_seconds
def test_runs_own_values_and_probes_by_turns_and_says_that_it_is_fit(new_context: NewContext) -> None:
    fit, shown = check(new_context())
    assert fit
    # vm.swappiness has an expert setting.
    assert [line.partition(": ")[2].rpartition(" 94.5")[0] for line in shown if " left" in line] == [
        *["original values"] * 8,
        "lowest values of the ranges",
        "original values",
        "highest values of the ranges",
        "original values",
        "expert setting tuned-throughput-performance",
        "original values",
    ]
    assert shown[-1] == "h1: the benchmark is fit for tuning"


def test_a_benchmark_that_fails_with_the_hosts_own_values_ends_the_check(new_context: NewContext) -> None:
    with pytest.raises(BenchmarkFailed, match="the benchmark ended with exit code 1: no message, with the host's own"):
        check(new_context("false"))


def test_a_probe_that_fails_is_told_and_the_check_goes_on(new_context: NewContext, tmp_path: Path) -> None:
    count = tmp_path / "count"
    ninth = f"echo run >> {count}; [ $(wc -l < {count}) -ne 9 ] && echo throughput: 94.5"
    fit, shown = check(new_context(f"sh -c '{ninth}'"))
    assert fit
    failed = "9/14 h1: lowest values of the ranges failed: the benchmark ended with exit code 1: no message"
    assert failed in shown


@pytest.mark.takes_seconds
def test_an_unfit_benchmark_is_told_what_to_change(new_context: NewContext, tmp_path: Path) -> None:
    count = tmp_path / "count"
    fit, shown = check(new_context(f"sh -c 'echo run >> {count}; echo throughput: $(wc -l < {count})'"))
    assert not fit
    assert any(line.startswith("  recommendation: reset in `between`") for line in shown)
    assert shown[-1] == "h1: the benchmark is not yet fit for tuning: follow the recommendations above"
