# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can go wrong: one clear message, the hosts' own values back, nothing lost from the store."""

from __future__ import annotations

import json
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.benchmark import Benchmark
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.ssh import SSHTransport
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.ssh_config import SSHAddress

pytestmark = pytest.mark.usefixtures("untouched")
Write = Callable[..., Path]
Runner = Callable[..., Any]

SSHD_KILLED, LINK_CUT = (pytest.param(how, marks=pytest.mark.slow) for how in ("sshd killed", "link cut"))
FIN_TIMEOUT = {"param": "net.ipv4.tcp_fin_timeout", "min": 10, "max": 300}


@pytest.mark.parametrize(
    ("action_space", "message"),
    [
        ([{"param": "net.ipv4.tcp_no_such", "min": 1, "max": 2}], "net.ipv4.tcp_no_such does not exist here"),
        (
            [{"param": "net.ipv4.tcp_available_congestion_control", "choices": ["a", "b"]}],
            "net.ipv4.tcp_available_congestion_control cannot be set: ",
        ),
        ([{"param": "kernel.core_pattern", "choices": ["a", "b"]}], "kernel.core_pattern is on the denylist"),
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


@pytest.mark.slow
def test_a_value_that_the_kernel_forbids_is_a_failed_trial_and_the_run_goes_on(
    tune: Runner, write_study: Write
) -> None:
    # In a network namespace cubic is not among the allowed ones on every kernel; dctcp is on none of them.
    space = [FIN_TIMEOUT, {"param": "net.ipv4.tcp_congestion_control", "choices": ["reno", "no_such"]}]

    training = {"total_timesteps": 8, "benchmark_timeout": 5}
    run = tune(write_study("print('throughput: 100')", action_space=space, training_config=training))

    assert run.process.returncode == 0, run.text
    failed = [row for row in run.trials if row.error]
    assert failed
    assert all("net.ipv4.tcp_congestion_control" in row.error and row.metric is None for row in failed)
    assert all(row.reward < min(r.reward for r in run.trials if not r.error) for row in failed)
    proof = [row for row in run.trials if row.phase == "verify"]
    assert {row.applied["net.ipv4.tcp_congestion_control"] for row in proof} == {"reno"}


# Each host fails twice and is given up then: what the benchmark does there the first and the second time.
IN_TURN = """
import os, pathlib, subprocess, sys
count = pathlib.Path("count")
count.write_text(count.read_text() + "x" if count.exists() else "x")
exec({scripts}[os.uname().nodename][len(count.read_text()) - 1])
"""
EXIT_CODE = "sys.exit('out of luck')", "ended with exit code 1: out of luck"
NO_METRIC = "print('latency: 3')", "printed no line `throughput: NUMBER`; its last line was 'latency: 3'"
NOT_A_NUMBER = "print('throughput: nan')", "`throughput: nan`, which is not a finite number"
LOCALE = "print('throughput: 1.234,5')", "printed `throughput: 1.234,5`, which is not a number"
ZERO = "print('throughput: 0')", "the metric throughput is 0; it must be above 0"
HANGS = "subprocess.run(['sleep', '600'])", "exceeded its time limit of 10 s"
FLOOD = "[print('x' * 10**6) for dummy in range(20)]", "printed no line `throughput: NUMBER`; its last line was 'xxx"
NO_TEXT = "os.write(1, bytes(range(128, 256)))", "printed no line `throughput: NUMBER`; its last line was"


@pytest.mark.parametrize(
    "faults",
    [
        {"lab1": [EXIT_CODE, NO_METRIC], "lab2": [NOT_A_NUMBER, LOCALE]},
        {"lab1": [ZERO, HANGS], "lab2": [FLOOD, NO_TEXT]},
    ],
    ids=["exit code, no metric, NaN, locale", "zero, hangs, flood, no text"],
)
def test_a_benchmark_that_does_not_work_ends_the_study_at_its_baseline(
    lab: Any, tune: Runner, write_study: Write, faults: dict[str, list[tuple[str, str]]]
) -> None:
    scripts = {host: [script for script, dummy in own] for host, own in faults.items()}
    config = {"total_timesteps": 8, "benchmark_timeout": 10}
    run = tune(write_study(IN_TURN.format(scripts=scripts), training_config=config), hosts="lab")

    assert run.process.returncode == 2, run.text
    for own in faults.values():
        assert own[1][1] in " ".join(run.text.split())
    assert "Traceback" not in run.text
    assert run.result["verdict"] == "failed"
    errors = [row.error for row in run.trials]
    assert len(errors) == 4
    for dummy, message in faults["lab1"] + faults["lab2"]:
        assert any(message in error for error in errors), errors
    assert lab.run("lab1", "pgrep", "-x", "sleep", check=False).stdout == ""


def test_a_benchmark_that_is_missing_is_named(tune: Runner, write_study: Write) -> None:
    run = tune(write_study(benchmark_command="no-such-program"))

    assert run.process.returncode == 2, run.text
    assert "no-such-program" in run.result["reason"]


def test_a_study_file_with_mistakes_touches_nothing(tune: Runner, write_study: Write) -> None:
    run = tune(write_study(direction="up", benchmark_command="python3 other.py", verificaton={}))

    assert run.process.returncode == 2
    assert "3 errors in the study; no host was touched" in run.text
    for mistake in ("direction", "other.py", "did you mean verification?"):
        assert mistake in run.text
    assert not run.output.exists()


def test_a_store_that_cannot_be_written_is_said_before_anything_is_touched(tune: Runner, write_study: Write) -> None:
    run = tune(write_study(), "-e", "store=sqlite:////proc/nowhere/autotune.sqlite")

    assert run.process.returncode == 2
    assert "set `store`" in run.text
    assert " baseline: " not in run.text


def test_hosts_that_cannot_take_part_do_not_stop_the_others(
    lab: Any, tune: Runner, write_study: Write, tmp_path: Path
) -> None:
    """One that nobody can reach, and one kernel under two names."""
    own = json.loads(lab.inventory.read_text())["lab"]
    lab1, lab2 = own["hosts"]["lab1"], own["hosts"]["lab2"]
    nowhere = {**lab1, "ansible_host": "127.0.0.1", "ansible_port": 9}
    inventory = tmp_path / "inventory.json"
    hosts = {"one": lab1, "two": lab1, "lab2": lab2, "nowhere": nowhere}
    inventory.write_text(json.dumps({"lab": {**own, "hosts": hosts}}))

    run = tune(write_study(action_space=[FIN_TIMEOUT]), inventory=inventory)

    assert "unreachable=1" in run.text
    assert "are the same kernel and share net.ipv4.tcp_fin_timeout" in " ".join(run.text.split())
    assert run.process.returncode == 4, (
        run.text
    )  # of hosts that failed and hosts that were unreachable, Ansible tells these
    assert run.result["verdict"] == "improved"
    assert set(run.result["per_host"]) in ({"one", "lab2"}, {"two", "lab2"})


@pytest.mark.parametrize("how", [SSHD_KILLED, LINK_CUT, "frozen"])
def test_a_host_that_is_lost_in_the_middle_gets_its_values_back_and_the_others_go_on(
    lab: Any, start: Runner, write_study: Write, tmp_path: Path, how: str
) -> None:
    shown = json.loads(lab.inventory.read_text())
    # A cut link is noticed sooner than by the play's own settings.
    shown["lab"]["vars"]["ansible_ssh_extra_args"] = "-o ServerAliveInterval=1 -o ConnectTimeout=3"
    (tmp_path / "inventory.json").write_text(json.dumps(shown))
    run = start(
        write_study(action_space=[FIN_TIMEOUT], training_config={"total_timesteps": 10, "benchmark_timeout": 5}),
        inventory=tmp_path / "inventory.json",
    )
    run.wait_for("lab1 training: ")
    try:
        if how == "link cut":
            subprocess.run(["ip", "link", "set", lab.link("lab1"), "down"], check=True)
        else:
            lab.run("lab1", "pkill", "-KILL" if how == "sshd killed" else "-STOP", "sshd")
        code = run.end()
        # It had a candidate's values when it was lost, and nobody could reach it since.
        assert lab.sysctl("lab1", "net.ipv4.tcp_fin_timeout") == "60"
    finally:
        if how == "frozen":
            lab.run("lab1", "pkill", "-CONT", "sshd")
        else:
            lab.build()

    assert code == 4, run.text
    assert "will restore its original values within" in run.text
    assert run.result["verdict"] == "improved", run.text
    trained = [row for row in run.trials if row.phase == "train"]
    assert len(trained) == 10
    assert run.result["per_host"]["lab2"]["pairs"] == 4


def test_a_controller_that_went_while_the_link_was_cut_leaves_no_folder(lab: Any, ssh_option: dict[str, Any]) -> None:
    transport = SSHTransport(SSHAddress.of_connection(ssh_option.get))
    Benchmark(transport, {}, timeout=5).copy([])
    assert lab.run("lab1", "sh", "-c", "ls -d /tmp/autotune.*").stdout
    subprocess.run(["ip", "link", "set", lab.link("lab1"), "down"], check=True)
    # What goes by a reset says so once only, and here nobody hears it.
    connection = transport._socket.socket
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.close()
    lab.build()
    # That the host has nothing of it left, the fixture `untouched` checks.


# The other phases: tests/unit/trainer/test_session.py. The worker knows no phases.
@pytest.mark.parametrize(("phase", "times"), [("training", 1), ("proof", 3)])
def test_ctrl_c_puts_everything_back_and_keeps_what_was_measured(
    lab: Any, start: Runner, write_study: Write, untouched: dict[str, Any], phase: str, times: int
) -> None:
    run = start(write_study(), hosts="lab")
    run.wait_for(f" {phase}: ")

    for dummy in range(times):  # as whoever has no patience presses it
        run.signal(signal.SIGINT)
        time.sleep(0.2)

    assert run.end() != 0
    shown = [line for line in run.lines if " left\n" in line and line.startswith("[autotune] ")]
    assert len(run.trials) >= len(shown) > 0
    assert run.result["verdict"] == "stopped"
    # A second Ctrl-C ends Ansible before its workers have said all; they finish nevertheless.
    limit = time.monotonic() + (0 if times == 1 else 20)
    for host in lab.hosts:
        said = f"{host}: stopped by SIGINT; original values restored and verified"
        assert times > 1 or said in run.text, run.text[-3000:]
        own = untouched[host]["values"]
        while (found := {name: lab.sysctl(host, name) for name in own}) != own and time.monotonic() < limit:
            time.sleep(0.2)
        assert found == own
    # What the page says of the hosts they report themselves, which may outlast Ansible.
    limit = time.monotonic() + 60
    while not all(host.restored for host in run.hosts) and time.monotonic() < limit:
        time.sleep(0.2)
    assert [host.restored for host in run.hosts] == [True] * len(lab.hosts)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP], ids=lambda number: number.name)
def test_the_end_of_ansible_playbook_puts_everything_back(start: Runner, write_study: Write, number: int) -> None:
    run = start(write_study(training_config={"total_timesteps": 40, "benchmark_timeout": 5}))
    run.wait_for(" training: ")

    run.process.send_signal(number)

    assert run.end() != 0
    # What "everything" is, the fixture `untouched` checks.
