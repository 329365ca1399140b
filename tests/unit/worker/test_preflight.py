from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.preflight import problems

GOOD = {"exists": True, "readable": True, "writable": True, "value": "60", "denied": False}


def facts(state: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    own = {"kernel": "6.1.0", "effective_uid": 0, "gate": None, "gate_said": None, "managed_by": []}
    return own | {"parameters": {"vm.x": GOOD | (state or {})}} | fields


def test_a_good_host_has_none() -> None:
    assert problems(facts(), allow_unsafe=[]) == []


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (facts({"exists": False}), "vm.x does not exist here (kernel 6.1.0); remove it or load its module"),
        (facts({"readable": False}), "vm.x cannot be read, so it could not be put back"),
        (facts({"writable": False}), "vm.x is read-only here"),
        (
            facts({"writable": False}, effective_uid=1000),
            "vm.x is not writable for user id 1000; use become, or connect as root",
        ),
        (
            facts({"writable": False}, effective_uid=1000, gate_said="anna cannot use the gate"),
            "anna cannot use the gate",
        ),
        (facts({"denied": True}, effective_uid=1000, gate="/gate", gate_said="vm.x is denied"), "vm.x is denied"),
        (facts({"denied": True}), "vm.x is denied; name it in the study's allow_unsafe if you mean it"),
        (
            facts(managed_by=["tuned", "bpftune"]),
            "tuned and bpftune is running and sets parameters too; stop it for the study",
        ),
    ],
)
def test_each_problem_is_one_line_that_says_what_to_do(found: dict[str, Any], problem: str) -> None:
    assert problems(found, allow_unsafe=[]) == [problem]


def test_tells_all_problems_at_once() -> None:
    parameters = {"vm.a": GOOD | {"exists": False}, "vm.b": GOOD | {"writable": False}, "vm.c": GOOD}
    found = problems(facts(parameters=parameters, managed_by=["tuned"]), allow_unsafe=[])
    assert [line.split()[0] for line in found] == ["vm.a", "vm.b", "tuned"]


def test_what_the_gate_refuses_the_study_cannot_allow() -> None:
    found = facts({"denied": True}, effective_uid=1000, gate="/gate", gate_said="vm.x is denied")
    assert problems(found, allow_unsafe=["vm.x"]) == ["vm.x is denied"]


def test_whoever_means_it_may_have_a_denied_parameter() -> None:
    assert problems(facts({"denied": True}), allow_unsafe=["vm.x"]) == []
