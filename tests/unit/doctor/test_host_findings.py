# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the facts of a host to findings: which there are, and which there are not on a sound host."""

from __future__ import annotations

import getpass
import os
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._doctor import host_findings
from ansible_collections.autotune.kernel.plugins.plugin_utils._doctor.finding import Severity
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study

RESTORE = "ansible web1 -m autotune.kernel.sysctl -a state=restored"
HERE = f"{getpass.getuser()}@{socket.gethostname()}"
GOOD = {
    "exists": True,
    "readable": True,
    "writable": True,
    "why_not_writable": None,
    "value": "60",
    "original": "60",
    "denied": False,
    "namespaced": False,
    "safe_range": [[0, 100]],
}
READ_ONLY = {"writable": False, "why_not_writable": "/proc/sys is read-only here, as in a container: tune the machine"}
NO_ROOT = {"writable": False, "why_not_writable": "user id 1000 may not write it: use become"}
LEASE = {"holder": "tuner@far, process 7, study web", "nonce": "1", "expires_in": 60.0}


def facts(state: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    own = {"kernel": "6.1.0", "gate": None, "gate_message": None, "managed_by": [], "container": None, "lease": None}
    own |= {"boot_id": "its own", "network_namespace": 1, "verdict": None, "lease_message": None, "overridden": []}
    return own | {"parameters": {"vm.swappiness": GOOD | (state or {}), "vm.other": GOOD}} | fields


def found(facts: dict[str, Any], study: Study | None) -> list[tuple[str, str, str]]:
    findings = list(host_findings.findings("web1", facts, study, HERE, RESTORE))
    assert {finding.where for finding in findings} <= {"web1"}
    return [(finding.severity.value, finding.what, finding.remedy) for finding in findings]


@pytest.mark.parametrize("with_study", [True, False])
def test_nothing_is_wrong_with_a_sound_host(new_study: Callable[..., Study], with_study: bool) -> None:
    assert found(facts(), new_study() if with_study else None) == []


@pytest.mark.parametrize(
    ("facts", "severity", "what", "remedy"),
    [
        (
            facts(READ_ONLY),
            "problem",
            "vm.swappiness cannot be set: /proc/sys is read-only here",
            "mount -o remount,rw",
        ),
        (facts(NO_ROOT), "problem", "vm.swappiness cannot be set: user id 1000 may not write it", "add --become"),
        (facts({"exists": False}), "problem", "vm.swappiness does not exist here", "remove it, load its module"),
        (facts({"denied": True}), "problem", "vm.swappiness is on the denylist", "add it to allow_unsafe"),
        (facts({"safe_range": [[0, 50]]}), "problem", "vm.swappiness", "narrow it"),
        (
            facts(gate_message="the gate is of another release"),
            "problem",
            "another release",
            "apply role autotune.kernel.",
        ),
        (facts(managed_by=["bpftune"]), "problem", "bpftune is running", "systemctl stop bpftune"),
        (facts(container="docker"), "warning", "in a container (docker); vm.swappiness is", "tune the machine"),
        (facts(lease=LEASE), "problem", "tuner@far, process 7, study web holds a lease", RESTORE),
        (facts(lease={**LEASE, "expires_in": -9.0}), "problem", "expired 9 s ago", RESTORE),
        (
            facts(lease_message="/run is not writable"),
            "problem",
            "no lease can be stored on this host: /run",
            "mount -o remount",
        ),
    ],
)
def test_every_fault_has_its_remedy(
    new_study: Callable[..., Study], facts: dict[str, Any], severity: str, what: str, remedy: str
) -> None:
    ((grade, said, how),) = found(facts, new_study())
    assert grade == severity
    assert what in said
    assert remedy in how


@pytest.mark.takes_seconds
def test_a_lease_of_a_run_that_has_ended_is_only_waited_for(new_study: Callable[..., Study]) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    lease = {**LEASE, "holder": f"{HERE}, process {gone.pid}, study web"}
    ((grade, said, how),) = found(facts(lease=lease), new_study())
    assert (grade, RESTORE in how) == ("warning", True)
    assert "a run that has ended, is in force for another 60 s" in said
    lease["holder"] = f"{HERE}, process {os.getpid()}, study web"
    assert found(facts(lease=lease), new_study())[0][0] == "problem"


def test_values_that_could_not_be_restored_are_a_problem() -> None:
    verdict = {"holder": "tuner", "verified": False, "interference": {}, "mismatches": [{"parameter": "vm.x"}]}
    ((grade, said, dummy),) = found(facts(verdict=verdict), None)
    assert grade == "problem"
    assert "vm.x could not be restored" in said
    assert found(facts(verdict={**verdict, "verified": True}), None) == []


def test_parameters_with_the_same_reason_are_one_finding(new_study: Callable[..., Study]) -> None:
    space = [{"param": name, "min": 0, "max": 100} for name in ("vm.swappiness", "vm.other")]
    both = facts(parameters=dict.fromkeys(("vm.swappiness", "vm.other"), GOOD | READ_ONLY))
    ((dummy, said, dummy),) = found(both, new_study(action_space=space))
    assert said.startswith("vm.swappiness and 1 more parameters cannot be set")


def test_without_a_study_one_writable_parameter_is_enough() -> None:
    assert found(facts(READ_ONLY), None) == []
    ((dummy, said, dummy),) = found(facts(parameters={"vm.swappiness": GOOD | READ_ONLY}), None)
    assert "cannot be set" in said


def test_cautious_exploration_must_be_able_to_start(new_study: Callable[..., Study]) -> None:
    study = new_study(exploration="cautious", action_space=[{"param": "vm.swappiness", "min": 80, "max": 100}])
    ((dummy, said, how),) = found(facts(), study)
    assert "exploration: cautious" in said
    assert how == "widen the ranges"


def test_the_edit_removes_the_line_that_prevails_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "zz.conf"
    others = "# net.ipv4.tcp_rmem = 1\nnet.ipv4.tcp_rmem_extra = 1\nnet.ipv4.tcp_wmem = 2\n"
    file.write_text(others + "net.ipv4.tcp_rmem = 3\n  -net/ipv4/tcp_rmem=4\n")
    override = {
        "parameter": "net.ipv4.tcp_rmem",
        "file": str(file),
        "path": "net/ipv4/tcp_rmem",
        "message": "it prevails",
    }
    (finding,) = host_findings.overridden("web1", {"overridden": [override]})
    assert finding.severity is Severity.WARNING
    subprocess.run(["sh", "-c", finding.remedy.removeprefix("on the host: ")], check=True)
    assert file.read_text() == others
    assert file.with_name("zz.conf.bak").exists()


def test_a_glob_is_left_to_the_administrator() -> None:
    override = {"parameter": "net.x", "file": "/etc/sysctl.d/z.conf", "path": "net/*", "message": "it prevails"}
    (finding,) = host_findings.overridden("web1", {"overridden": [override]})
    assert finding.remedy == "remove net/* from /etc/sysctl.d/z.conf"


@pytest.mark.parametrize(
    ("there", "said"),
    [(1000.5, None), (1009.0, None), (991.5, None), (1100.0, "99 s ahead of"), (900.0, "100 s behind")],
)
def test_a_clock_counts_only_beyond_the_time_that_asking_took(there: float, said: str | None) -> None:
    findings = list(host_findings.clock("web1", there, before=1000.0, after=1001.0))
    assert [bool(re.search(str(said), finding.what)) for finding in findings] == ([True] if said else [])


def test_a_benchmark_should_not_come_close_to_its_timeout() -> None:
    assert list(host_findings.benchmark_duration("web1", 6.9, 10)) == []
    (finding,) = host_findings.benchmark_duration("web1", 8, 10)
    assert finding.remedy == "training_config: {benchmark_timeout: 24}"
