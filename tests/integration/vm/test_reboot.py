# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The reset button at the worst moments, and what is there after the boot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.learned_role import carry_out, plan

ROOT = Path(__file__).resolve().parents[3]
ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
VALUES = {
    "vm.swappiness": 11,
    "vm.dirty_bytes": 200003584,
    "vm.dirty_background_bytes": 100003840,
    "net.core.somaxconn": 3333,
    "net.ipv4.tcp_fin_timeout": 31,
}
APPLIED = {parameter: str(value) for parameter, value in VALUES.items()}
APPLIED |= {"vm.dirty_ratio": "0", "vm.dirty_background_ratio": "0"}
# On the virtual machine the benchmark takes long enough to be met in the middle, and until then the other waits for it.
SENSOR = """
import os, random, time
time.sleep(6 if os.uname().nodename == "vm" else 4 if os.path.exists("/run/slow") else 0.2)
timeout = int(open("/proc/sys/net/ipv4/tcp_fin_timeout").read())
print(f"throughput: {random.gauss(1000 + 5 * timeout, 5):.3f}")
"""
STUDY = {
    "workload_name": "sensor",
    "reward_metric": "throughput",
    "benchmark_command": "python3 sensor.py",
    "action_space": [{"param": "net.ipv4.tcp_fin_timeout", "min": 70, "max": 120}],
    "training_config": {"total_timesteps": 24, "benchmark_timeout": 20},
    "verification": {"pairs": 4, "candidates": 2},
    "baseline_trials": 2,
    "early_stopping": False,
}


@pytest.fixture
def learned(tmp_path: Path, write_result: Callable[..., Path]) -> Path:
    """learned/sensor with its playbooks."""
    folder = write_result(tmp_path / "learned/sensor", VALUES, workload_name="sensor", metric="throughput")
    carry_out(plan(folder))
    return folder


@pytest.fixture
def begin(tmp_path: Path) -> Any:
    """Start ansible-playbook; its output goes to a file. What still runs at the test's end is killed."""
    runs: list[subprocess.Popen[bytes]] = []
    output = tmp_path / "output"

    def begin_run(*arguments: str | Path) -> tuple[subprocess.Popen[bytes], Path]:
        environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "COLUMNS": "200"}
        with open(output, "wb") as file:
            command = [ANSIBLE_PLAYBOOK, *arguments]
            runs.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file))
        return runs[-1], output

    yield begin_run
    for run in runs:
        if run.poll() is None:
            run.kill()


def on_loan(vm: Any, parameter: str) -> bool:
    """Whether the machine has a value on loan which is another one than its own."""
    path = f"/proc/sys/{parameter.replace('.', '/')}"
    found = vm.run(f"cat {path} && cat /run/autotune/lease.json", check=False)
    value, dummy, lease = found.stdout.partition("\n")
    return found.returncode == 0 and json.loads(lease)["originals"].get(parameter, value) != value


@pytest.fixture
def tune(vm: Any, begin: Callable[..., Any], tmp_path: Path, wait_until: Callable[..., None]) -> Callable[..., Any]:
    """Start a run, and return when the virtual machine has a candidate's value on loan."""

    def tune_until_on_loan(inventory: dict[str, Any]) -> tuple[subprocess.Popen[bytes], Path]:
        (tmp_path / "sensor.py").write_text(SENSOR)
        (tmp_path / "study.yml").write_text(yaml.safe_dump(STUDY))
        (tmp_path / "inventory.json").write_text(json.dumps(inventory))
        process, output = begin(
            *("playbooks/tune.yml", "-i", tmp_path / "inventory.json", "-e", f"study={tmp_path}/study.yml"),
            *("-e", f"output={tmp_path}/learned", "-e", "seed=3"),
        )
        wait_until(lambda: " vm training: " in output.read_text() or process.poll() is not None, 600)
        wait_until(lambda: process.poll() is not None or on_loan(vm, "net.ipv4.tcp_fin_timeout"), 120)
        assert process.poll() is None, output.read_text()
        return process, output

    return tune_until_on_loan


def test_a_run_goes_on_with_the_others_when_a_host_is_reset_in_the_middle(
    vm: Any, lab: Any, tune: Callable[..., Any], tmp_path: Path
) -> None:
    both = json.loads(lab.inventory.read_text())
    del both["lab"]["hosts"]["lab2"]
    both["vms"] = {"hosts": {"vm": vm.variables()}}

    lab.run("lab1", "touch", "/run/slow")
    try:
        process, output = tune(both)
        vm.reset()
    finally:
        lab.run("lab1", "rm", "/run/slow")
    code = process.wait(600)
    vm.wait_until_up()

    text = output.read_text()
    assert "Traceback" not in text
    assert code == 4, text  # Ansible's for a host that was unreachable
    assert "fatal: [vm]: UNREACHABLE!" in text
    result = json.loads((tmp_path / "learned/sensor/result.json").read_text())
    assert result["verdict"] == "improved", text
    assert result["trials"]["train"] == 24
    assert result["per_host"]["lab1"]["pairs"] == 4
    # What the machine has now, the fixture `as_found` compares; that it has had another value, `on_loan` has seen.
    assert vm.run("systemctl list-units --plain --no-legend 'autotune-lease-*'").stdout == ""


def test_a_run_ends_when_its_only_host_loses_its_power(vm: Any, tune: Callable[..., Any], tmp_path: Path) -> None:
    process, output = tune({"vms": {"hosts": {"vm": vm.variables()}}})

    vm.power_cut()
    code = process.wait(300)
    vm.boot()

    text = output.read_text()
    assert "Traceback" not in text
    assert code == 4, text
    assert "fatal: [vm]: UNREACHABLE!" in text
    assert json.loads((tmp_path / "learned/sensor/result.json").read_text())["verdict"] == "failed", text
    assert not (tmp_path / "learned/sensor/roles").exists()


def test_what_was_applied_is_there_after_a_boot_and_gone_after_the_rollback(vm: Any, learned: Path) -> None:
    own = vm.values(*APPLIED)
    applied = vm.play(str(learned / "apply.yml"))
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert vm.values(*APPLIED) == APPLIED

    vm.reset()
    vm.wait_until_up()
    assert vm.values(*APPLIED) == APPLIED
    again = vm.play(str(learned / "apply.yml"))
    assert "changed=0" in again.stdout, again.stdout

    back = vm.play(str(learned / "rollback.yml"))
    assert back.returncode == 0, back.stdout + back.stderr
    assert vm.values(*APPLIED) == own
    vm.reset()
    vm.wait_until_up()
    assert vm.values(*APPLIED) == own


def test_a_reset_between_lease_and_confirmation_leaves_nothing(
    vm: Any, learned: Path, begin: Callable[..., Any], as_found: str, wait_until: Callable[..., None]
) -> None:
    variables = {"health_command": ["sleep", "100"], "health_seconds": 120, "lease_seconds": 600}
    process, output = begin(learned / "apply.yml", "-i", vm.inventory, "-e", json.dumps(variables))
    wait_until(lambda: "Check the health of the host" in output.read_text() or process.poll() is not None, 120)
    assert on_loan(vm, "vm.swappiness"), output.read_text()
    nonce = json.loads(vm.run("cat /run/autotune/lease.json").stdout)["nonce"]

    vm.reset()
    code = process.wait(300)
    vm.wait_until_up()

    assert code in (2, 4), output.read_text()
    assert "was not applied" in output.read_text()
    assert vm.state() == as_found
    late = vm.call(check=False, values=VALUES, holder="apply-sensor", nonce=nonce, persist="autotune-sensor")
    assert late["expired"], late
