"""What a value rests on, in words."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.basis import at_end, basis, shown
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.filters import per_cent
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.result import Change, RangeEnd

WORTH = {"contribution": 12.0, "interval": [8.1, 16.2]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"basis": "alone", **WORTH}, "effect shown on its own: +12.0 % (+8.1 % to +16.2 %)"),
        (
            {"basis": "jointly", "together_with": ["vm.a", "vm.b"], **WORTH},
            "effect shown only together with vm.a, vm.b: +12.0 % (+8.1 % to +16.2 %)",
        ),
        (
            {"basis": "not shown", "contribution": 0.4, "interval": [-2.0, 2.8]},
            "no effect shown on its own: +0.4 % (-2.0 % to +2.8 %)",
        ),
        (
            {"basis": "not shown", "together_with": ["vm.a"], "contribution": 0.4, "interval": [-2.0, 2.8]},
            "no effect shown, alone or together with vm.a: +0.4 % (-2.0 % to +2.8 %)",
        ),
        ({"basis": "not shown"}, "no effect shown on its own"),
        ({"basis": None}, "tested only together with all other values"),
        ({}, "tested only together with all other values"),
    ],
)
def test_says_how_the_worth_of_a_value_was_shown(change: dict[str, Any], words: str) -> None:
    assert shown(change, per_cent) == words


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (
            {"end": "highest", "bound": 64, "gain": 3.0, "wider": 128},
            "this is the largest value of its range (64); the surrogate predicts that the last quarter of the range "
            "adds +3.0 %, so a wider one may gain more: raise max to 128, if that is safe for everything else on the "
            "hosts",
        ),
        (
            {"end": "lowest", "bound": 64, "element": 2, "gain": 0.2},
            "element 3 is the smallest value of its range (64); the surrogate predicts little gain from smaller ones "
            "(+0.2 % for its last quarter)",
        ),
        (
            {"end": "lowest", "bound": 64, "gain": 9.0, "at_limit": True},
            "this is the smallest value of its range (64); smaller values are not safe on these hosts, or run a known "
            "risk",
        ),
        ({"end": "highest", "bound": 64}, "this is the largest value of its range (64); larger values were not tried"),
    ],
)
def test_says_what_lies_beyond_the_end_of_a_range(end: dict[str, Any], words: str) -> None:
    assert at_end(RangeEnd.model_validate(end).model_dump(), per_cent) == words


def test_says_everything_that_is_known_in_one_order() -> None:
    raw = {
        "param": "vm.swappiness",
        "learned": 10,
        "basis": "alone",
        **WORTH,
        "proposed_by": "algorithm ppo, its policy (trial 9)",
        "restart": True,
        "range_ends": [{"end": "lowest", "bound": 10}],
        "risks": [{"warning": "it breaks", "quote": "Do not.", "source": "https://docs.kernel.org/x.html"}],
    }
    lines = basis(Change.model_validate(raw).model_dump(), per_cent)
    assert [line.split()[0] for line in lines] == ["effect", "proposed", "a", "this", "risk:"]
    assert lines[1] == "proposed by algorithm ppo, its policy (trial 9)"
    assert lines[2].startswith("a service reads it only when it starts")
    assert lines[4] == 'risk: it breaks. The documentation: "Do not." (https://docs.kernel.org/x.html)'
    assert basis({"param": "vm.swappiness", "learned": 10}, per_cent) == ["tested only together with all other values"]


def test_says_that_a_reboot_ends_what_sysctl_d_cannot_set() -> None:
    (dummy, line) = basis({"param": "transparent_hugepage.enabled", "learned": "always"}, per_cent)
    assert line == "not kept across reboots, as no file in sysctl.d can set it: apply the role again after a reboot"
