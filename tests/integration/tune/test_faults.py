# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can go wrong: one clear message, the hosts' own values back, nothing lost from the store."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("untouched")
Write = Callable[..., Path]
Runner = Callable[..., Any]

FIN_TIMEOUT = {"param": "net.ipv4.tcp_fin_timeout", "min": 10, "max": 300}


@pytest.mark.parametrize(
    ("action_space", "message"),
    [
        ([{"param": "net.ipv4.tcp_no_such", "min": 1, "max": 2}], "net.ipv4.tcp_no_such does not exist here"),
        (
            [{"param": "net.ipv4.tcp_available_congestion_control", "choices": ["a", "b"]}],
            "net.ipv4.tcp_available_congestion_control cannot be set: ",
        ),
        ([{"param": "kernel.core_pattern", "choices": ["a", "b"]}], "kernel.core_pattern is denied"),
        ([{"param": "net.ipv4.tcp_fin_timeout", "min": 9, "max": 3}], "action_space[0]: min (9) must be below max (3)"),
    ],
    ids=["unknown", "read-only", "denied", "bad range"],
)
def test_parameters_that_cannot_be_tuned_are_refused_before_anything_is_written(
    tune: Runner, write_study: Write, action_space: list[dict[str, Any]], message: str
) -> None:
    run = tune(write_study(action_space=[FIN_TIMEOUT, *action_space] if len(message) > 60 else action_space))

    assert run.process.returncode != 0
    assert message in " ".join(run.text.split()), run.text
    assert "Traceback" not in run.text
    assert " baseline: " not in run.text


def test_a_value_that_the_kernel_forbids_is_a_failed_evaluation_and_the_run_goes_on(
    tune: Runner, write_study: Write
) -> None:
    # In a network namespace cubic is not among the allowed ones on every kernel; dctcp is on none of them.
    space = [FIN_TIMEOUT, {"param": "net.ipv4.tcp_congestion_control", "choices": ["reno", "no_such"]}]

    run = tune(write_study(action_space=space, training_config={"total_timesteps": 12, "benchmark_timeout": 5}))

    assert run.process.returncode == 0, run.text
    failed = [row for row in run.evaluations if row.error]
    assert failed
    assert all("net.ipv4.tcp_congestion_control" in row.error and row.metric is None for row in failed)
    assert all(row.reward < min(r.reward for r in run.evaluations if not r.error) for row in failed)
    assert run.result["best_config"]["net.ipv4.tcp_congestion_control"] == "reno"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"benchmark_command": "no-such-program"}, "no-such-program"),
        ({"script": "import sys\nsys.exit('out of luck')"}, "ended with exit code 1: out of luck"),
        ({"script": "print('latency: 3')"}, "printed no line `throughput: NUMBER`; its last line was 'latency: 3'"),
        ({"script": "print('throughput: nan')"}, "`throughput: nan`, which is no number to compare"),
        ({"script": "print('throughput: 1.234,5')"}, "printed `throughput: 1.234,5`, which is no number"),
        ({"script": "print('throughput: 0')"}, "the metric is 0.0; it must be above 0"),
        (
            {
                "script": "import subprocess\nsubprocess.run(['sleep', '60'])",
                "training_config": {"total_timesteps": 8, "benchmark_timeout": 1},
            },
            "ran into its time limit of 1 s",
        ),
    ],
    ids=["missing", "exit code", "no metric", "NaN", "locale", "zero", "hangs"],
)
def test_a_benchmark_that_does_not_work_ends_the_study_at_its_baseline(
    lab: Any, tune: Runner, write_study: Write, changes: dict[str, Any], message: str
) -> None:
    run = tune(write_study(**changes))

    assert run.process.returncode == 2, run.text
    assert message in " ".join(run.text.split())
    assert "Traceback" not in run.text
    assert run.result["verdict"] == "failed"
    assert all(message in row.error for row in run.evaluations)
    assert lab.run("lab1", "pgrep", "-x", "sleep", check=False).stdout == ""


def test_a_study_file_with_mistakes_touches_nothing(tune: Runner, write_study: Write) -> None:
    run = tune(write_study(direction="up", benchmark_command="python3 other.py", verificaton={}))

    assert run.process.returncode == 2
    assert "3 mistakes in the study, nothing was touched" in run.text
    for mistake in ("direction", "other.py", "did you mean verification?"):
        assert mistake in run.text
    assert not run.output.exists()


def test_a_store_that_cannot_be_written_is_said_before_anything_is_touched(tune: Runner, write_study: Write) -> None:
    run = tune(write_study(), "-e", "store=sqlite:////proc/nowhere/autotune.sqlite")

    assert run.process.returncode == 2
    assert "set `store`" in run.text
    assert " baseline: " not in run.text


def test_a_host_that_is_unreachable_from_the_start_does_not_stop_the_others(
    lab: Any, tune: Runner, write_study: Write, tmp_path: Path
) -> None:
    shown = json.loads(lab.inventory.read_text())
    own = shown["lab"]["hosts"]["lab1"]
    shown["lab"]["hosts"]["nowhere"] = {**own, "ansible_host": "127.0.0.1", "ansible_port": 9}
    inventory = tmp_path / "inventory.json"
    inventory.write_text(json.dumps(shown))

    run = tune(write_study(), inventory=inventory)

    assert "unreachable=1" in run.text
    assert run.process.returncode == 4
    assert run.result["verdict"] == "improved"
    assert set(run.result["per_host"]) == {"lab1", "lab2"}


def test_one_kernel_under_two_names_is_refused(lab: Any, tune: Runner, write_study: Write, tmp_path: Path) -> None:
    own = json.loads(lab.inventory.read_text())["lab"]
    both = {"one": own["hosts"]["lab1"], "two": own["hosts"]["lab1"]}
    inventory = tmp_path / "inventory.json"
    inventory.write_text(json.dumps({"lab": {**own, "hosts": both}}))

    run = tune(write_study(), inventory=inventory)

    assert "are the same kernel and share net.ipv4.tcp_fin_timeout" in " ".join(run.text.split())
    assert len(run.result["per_host"]) == 1


@pytest.mark.parametrize("how", ["sshd killed", "link cut"])
def test_a_host_that_is_lost_in_the_middle_gets_its_values_back_and_the_others_go_on(
    lab: Any, start: Runner, write_study: Write, how: str
) -> None:
    run = start(write_study(training_config={"total_timesteps": 30, "benchmark_timeout": 5}))
    run.wait_for("lab1 train: ")
    try:
        if how == "link cut":
            subprocess.run(["ip", "link", "set", lab.link("lab1"), "down"], check=True)
        else:
            lab.run("lab1", "pkill", "-KILL", "sshd")
        code = run.end()
        # It had a candidate's values when it was lost, and nobody could reach it since.
        assert lab.sysctl("lab1", "net.ipv4.tcp_fin_timeout") == "60"
    finally:
        lab.build()

    assert code == 4, run.text
    assert "takes its own values back within" in run.text
    assert run.result["verdict"] == "improved", run.text
    trained = [row for row in run.evaluations if row.phase == "train"]
    assert len(trained) == 30
    assert run.result["per_host"]["lab2"]["pairs"] == 4


@pytest.mark.parametrize("phase", ["baseline", "train", "race", "verify"])
def test_ctrl_c_puts_everything_back_and_keeps_what_was_measured(
    lab: Any, start: Runner, write_study: Write, untouched: dict[str, Any], phase: str
) -> None:
    run = start(write_study(baseline_evaluations=4))
    run.wait_for(f" {phase}: ")

    run.signal(signal.SIGINT)

    assert run.end(30) != 0
    shown = [line for line in run.lines if " left\n" in line and line.startswith("[autotune] ")]
    assert len(run.evaluations) >= len(shown) > 0
    assert run.result["verdict"] == "stopped"
    for host in lab.hosts:
        assert f"{host}: stopped by SIGINT; its own values are back, verified" in run.text
        assert {name: lab.sysctl(host, name) for name in untouched[host]["values"]} == untouched[host]["values"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP], ids=lambda number: number.name)
def test_the_end_of_ansible_playbook_puts_everything_back(start: Runner, write_study: Write, number: int) -> None:
    run = start(write_study(training_config={"total_timesteps": 40, "benchmark_timeout": 5}))
    run.wait_for(" train: ")

    run.process.send_signal(number)

    assert run.end(30) != 0
    # What "everything" is, the fixture `untouched` checks.


def test_a_user_without_rights_is_told_so(lab: Any, tune: Runner, write_study: Write, tmp_path: Path) -> None:
    accounts = "cp /etc/passwd /run/lab/passwd && echo tester:x:64999:65534::/tmp:/bin/sh >> /run/lab/passwd"
    shadow = "cp /etc/shadow /run/lab/shadow2 && echo 'tester:*:19000:0:99999:7:::' >> /run/lab/shadow2"
    binds = "mount -B /run/lab/passwd /etc/passwd && mount -B /run/lab/shadow2 /etc/shadow"
    binds += " && chmod 644 /run/lab/authorized_keys"
    lab.run("lab1", "sh", "-c", f"{accounts} && {shadow} && {binds}")
    own = json.loads(lab.inventory.read_text())["lab"]
    inventory = tmp_path / "inventory.json"
    hosts = {"lab1": {**own["hosts"]["lab1"], "ansible_user": "tester"}}
    inventory.write_text(
        json.dumps({"lab": {**own, "hosts": hosts, "vars": {**own.get("vars", {}), "ansible_user": "tester"}}})
    )
    try:
        run = tune(write_study(), inventory=inventory)
    finally:
        lab.run("lab1", "sh", "-c", "umount /etc/passwd; umount /etc/shadow")

    assert run.process.returncode == 2, run.text
    assert "cannot be set: user id 64999 may not write it: use become" in " ".join(run.text.split())
