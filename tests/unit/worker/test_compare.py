from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_entry import SMALL, Machine
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker import compare as module
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.compare import (
    compare,
    problem_with,
    unsafe_in,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.trial_runner import HostContext

from .conftest import NEVER

MACHINE = Machine(64 * 2**30, 8)


def test_each_set_is_measured_once_a_round_with_its_values(new_context: Callable[..., HostContext]) -> None:
    asked: list[dict[str, Any]] = []
    context = new_context()
    real = context.apply

    def apply(values: Any, guard: str | None) -> dict[str, str]:
        asked.append(dict(values))
        return real(values, guard)

    context = replace(context, apply=apply, originals={"vm.swappiness": "60"})
    shown: list[str] = []
    rows = compare(context, MACHINE, {"low": {"vm.swappiness": 1}}, 3, NEVER, shown.append)
    names = ("original values", "expert setting tuned-throughput-performance", "low")
    assert Counter((row["round"], row["name"]) for row in rows) == Counter(
        (number, name) for number in (1, 2, 3) for name in names
    )
    assert {row["metric"] for row in rows} == {94.5}
    values = dict(zip(names, ("60", 10, 1), strict=True))
    assert [each["vm.swappiness"] for each in asked] == [values[row["name"]] for row in rows]
    assert shown[-1].endswith("94.5 throughput, 0 s left")


def test_a_production_host_does_not_try_expert_settings(new_context: Callable[..., HostContext]) -> None:
    context = replace(new_context(exploration="cautious"), originals={"vm.swappiness": "60"})
    shown: list[str] = []
    rows = compare(context, MACHINE, {"low": {"vm.swappiness": 59}}, 1, NEVER, shown.append)
    assert {row["name"] for row in rows} == {"original values", "low"}
    assert shown[0] == "h1: exploration is cautious, so that expert settings are not measured"


def test_an_expert_setting_that_is_unsafe_on_a_small_host_is_not_measured(
    new_context: Callable[..., HostContext],
) -> None:
    parameter = "net.core.rmem_max"
    context = new_context(action_space=[{"param": parameter, "min": 212992, "max": 4194304, "log": True}])
    own = {parameter: "212992"}
    context = replace(context, originals=own, apply=lambda dummy, guard: own)
    shown: list[str] = []
    rows = compare(context, SMALL, {"low": {parameter: 300000}}, 1, NEVER, shown.append)
    assert "expert setting esnet-test-host" not in {row["name"] for row in rows}
    assert "h1: expert setting esnet-test-host is not measured: net.core.rmem_max: 268435456 is not within" in shown[0]
    large = Machine(256 * 2**30, 8)
    rows = compare(context, large, {"low": {parameter: 300000}}, 1, NEVER, shown.append)
    assert "expert setting esnet-test-host" in {row["name"] for row in rows}


def test_a_run_that_fails_has_no_metric(new_context: Callable[..., HostContext]) -> None:
    context = replace(new_context("false"), originals={"vm.swappiness": "60"})
    rows = compare(context, MACHINE, {}, 1, NEVER, lambda text: None)
    assert {row["metric"] for row in rows} == {None}


def test_the_time_left_does_not_rest_on_the_longest_run(
    new_context: Callable[..., HostContext], replace_for: Callable[..., None]
) -> None:
    moments = iter((0.0, 3.0, 3.0, 63.0, 63.0, 66.0, 66.0, 69.0))
    replace_for(module, "time", monotonic=lambda: next(moments))
    shown: list[str] = []
    list(module.measured(new_context(), [("low", {"vm.swappiness": 1})] * 4, NEVER, shown.append))
    assert [line.rpartition(", ")[2] for line in shown] == ["9 s left", "6 s left", "3 s left", "0 s left"]


@pytest.mark.parametrize(
    ("sets", "rounds", "problem"),
    [
        ({"low": {"vm.swappiness": 1}}, 1, None),
        ({"low": {"vm.swappiness": 1}}, 0, "rounds is 0; it must be at least 1"),
        ({"low": {"vm.dirty_ratio": 1}}, 1, "compare: low changes vm.dirty_ratio, which the study does not tune"),
        ({"low": 3}, 1, "compare: low is not a dictionary of parameters and values"),
    ],
)
def test_a_mistake_is_one_line(sets: dict[str, Any], rounds: int, problem: str | None) -> None:
    assert problem_with(sets, rounds, ["vm.swappiness"]) == problem


def test_a_value_that_was_learned_on_a_larger_host_is_refused(new_context: Callable[..., HostContext]) -> None:
    study = new_context().study
    facts = {"parameters": {"vm.min_free_kbytes": {"safe_range": [[4096, 209715]]}, "vm.swappiness": {}}}
    learned = {"vm.min_free_kbytes": 4194304, "vm.swappiness": 10}
    assert unsafe_in({"learned": learned}, study, facts) == [
        "compare: learned: vm.min_free_kbytes: 4194304 is not within the safe range 4096 to 209715 of this host; "
        "leave it out, or add vm.min_free_kbytes to the study's allow_unsafe"
    ]
    assert unsafe_in({"learned": {**learned, "vm.min_free_kbytes": 8192}}, study, facts) == []
    allowing = study.model_copy(update={"allow_unsafe": ["vm.min_free_kbytes"]})
    assert unsafe_in({"learned": learned}, allowing, facts) == []
