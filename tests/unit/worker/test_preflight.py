from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.action.evaluate import ARGUMENTS
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.preflight import (
    _PLAYBOOK_SETTINGS,
    become_advice,
    cautious_start_problem,
    holder_is_gone,
    misspelt_setting,
    notices,
    problems,
)

GOOD = {
    "exists": True,
    "readable": True,
    "writable": True,
    "why_not_writable": None,
    "value": "60",
    "denied": False,
    "namespaced": False,
}
DEBUGFS = "debugfs is not readable, since it is not mounted: mount -t debugfs debugfs /sys/kernel/debug"
FIXED = {"writable": False, "why_not_writable": "/proc/sys is read-only here"}
HERE = ("the controller's boot", 4026531840)


def facts(state: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    own = {"kernel": "6.1.0", "effective_uid": 0, "gate": None, "gate_message": None, "managed_by": []}
    own |= {"container": None, "boot_id": "its own", "network_namespace": HERE[1]}
    return own | {"parameters": {"vm.x": GOOD | (state or {})}} | fields


def test_a_suitable_host_has_no_problems() -> None:
    assert problems(facts(), allow_unsafe=[]) == []


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (
            facts({"exists": False}),
            "vm.x does not exist here (kernel 6.1.0); remove it, load its module, or mark it `optional: true`",
        ),
        (
            facts({"exists": False, "why_not_writable": f"it does not exist here: {DEBUGFS}"}),
            f"vm.x does not exist here (kernel 6.1.0): {DEBUGFS}; "
            "remove it, load its module, or mark it `optional: true`",
        ),
        (
            facts({"exists": False, "why_not_writable": "it does not exist here: did you mean vm.y?"}),
            "vm.x does not exist here (kernel 6.1.0): did you mean vm.y? "
            "If not, remove it, load its module, or mark it `optional: true`",
        ),
        (facts({"readable": False}), "vm.x cannot be read, so it could not be restored"),
        (
            facts({"readable": False, "writable": False, "why_not_writable": "debugfs is closed"}),
            "vm.x cannot be read, so it could not be restored: debugfs is closed",
        ),
        (facts(FIXED), "vm.x cannot be set: /proc/sys is read-only here"),
        (
            facts({"writable": False}, effective_uid=1000, gate_message="anna cannot use the gate"),
            "anna cannot use the gate",
        ),
        (facts({"denied": True}, effective_uid=1000, gate="/gate", gate_message="vm.x is denied"), "vm.x is denied"),
        (facts({"denied": True}), "vm.x is on the denylist; to tune it anyway, add it to allow_unsafe"),
        (
            facts(managed_by=["tuned", "bpftune"]),
            "tuned and bpftune are running and would change parameters during the study; stop them with "
            "`systemctl stop tuned bpftune`, and start them again after the study",
        ),
    ],
)
def test_each_problem_is_one_line_with_a_remedy(found: dict[str, Any], problem: str) -> None:
    assert problems(found, allow_unsafe=[]) == [problem]


def test_reports_all_problems_at_once() -> None:
    parameters = {"vm.a": GOOD | {"exists": False}, "vm.b": GOOD | FIXED, "vm.c": GOOD}
    found = problems(facts(parameters=parameters, managed_by=["tuned"]), allow_unsafe=[])
    assert [line.split()[0] for line in found] == ["vm.a", "vm.b", "tuned"]


def test_the_study_cannot_allow_what_the_gate_refuses() -> None:
    found = facts({"denied": True}, effective_uid=1000, gate="/gate", gate_message="vm.x is denied")
    assert problems(found, allow_unsafe=["vm.x"]) == ["vm.x is denied"]


def test_the_study_may_allow_a_denied_parameter() -> None:
    assert problems(facts({"denied": True}), allow_unsafe=["vm.x"]) == []


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (facts(), []),
        (facts({"namespaced": True}, container="docker"), []),
        (facts({"namespaced": None}), []),
        (facts(container="docker"), ["in a container (docker); vm.x is machine-wide"]),
        (facts(boot_id=HERE[0]), ["this is the controller itself"]),
        # A lab's host, or a container beside the trainer: the same kernel, but another place on the network.
        (facts(boot_id=HERE[0], network_namespace=7), []),
    ],
)
def test_notes_do_not_exclude_a_host(found: dict[str, Any], words: list[str]) -> None:
    assert [notice[: len(word)] for notice, word in zip(notices(found, HERE), words, strict=True)] == words


@pytest.mark.parametrize(
    ("value", "said"), [("60", None), ("100", None), ("200", "vm.swappiness is 200"), ("5", "vm.swappiness is 5")]
)
def test_cautious_exploration_starts_from_the_original_values(value: str, said: str | None) -> None:
    content = {"workload_name": "s", "reward_metric": "m", "benchmark_command": "true"}
    space = [{"param": "vm.swappiness", "min": 10, "max": 100}]
    found = cautious_start_problem(
        Study.model_validate({**content, "action_space": space}).space, {"vm.swappiness": value}
    )
    assert [said is not None and said in line for line in found] == ([True] if said else [])


@pytest.mark.parametrize(
    ("holder", "gone"),
    [
        ("root@here, process 0, study w", True),  # no process has this number
        ("root@here, process 1, study w", False),
        ("root@elsewhere, process 0, study w", False),
        ("somebody", False),
    ],
)
def test_only_holders_on_this_machine_can_be_known_to_be_gone(holder: str, gone: bool) -> None:
    assert holder_is_gone(holder, "root@here") is gone


@pytest.mark.parametrize(
    ("method", "takes"),
    [
        ("sudo", "it needs a rule in sudoers and, unless that says NOPASSWD, the password"),
        ("su", "su needs the password of the target account, by default root's"),
        ("doas", "doas must let the connection's user become root"),
    ],
)
def test_advice_on_become_depends_on_its_method(method: str, takes: str) -> None:
    said = become_advice(f"Incorrect {method} password", method)
    assert said.startswith(f"become does not work (Incorrect {method} password); {takes}")
    assert said.endswith("; nothing was written")
    assert ("sudoers" in said) == (method == "sudo")


@pytest.mark.parametrize(
    ("extra_vars", "suggestion"),
    [
        (["dryrun"], "dry_run"),
        (["study", "lease_margn"], "lease_margin"),
        (["dashboard_pot"], "dashboard_port"),
        (["study", "dry_run", "target", "ansible_user", "threads"], None),
    ],
)
def test_a_misspelt_setting_is_refused(extra_vars: list[str], suggestion: str | None) -> None:
    """With -e dryrun=true the run would not have been dry."""
    problem = misspelt_setting(extra_vars, ["study", "dry_run", "lease_margin"])
    assert problem == (
        suggestion and f"-e {extra_vars[-1]} is not a setting of playbook tune; did you mean {suggestion}?"
    )


def test_every_setting_of_the_playbook_is_known() -> None:
    playbook = (Path(__file__).parents[3] / "playbooks/tune.yml").read_text()
    settings = set(re.findall(r"(?:\{\{|- ) ?\(?(\w+) \| (?:default|mandatory)", playbook))
    assert {"study", "dashboard", "dashboard_port"} < settings
    assert settings <= {*ARGUMENTS, *_PLAYBOOK_SETTINGS}
