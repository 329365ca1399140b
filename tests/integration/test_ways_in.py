# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The same study by Python, by a subcommand and by a sentence, on the lab: one store, one folder, one verdict."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.autotune.kernel.plugins.plugin_utils._store import store

ROOT = Path(__file__).parents[2]
PARAMETER = "net.ipv4.tcp_fin_timeout"
SENSOR = """
import time
value = int(open("/proc/sys/net/ipv4/tcp_fin_timeout").read())
time.sleep(0.2)
print("throughput:", value)
"""
STARTED: list[subprocess.Popen[str]] = []
STUDY = {
    "workload_name": "sensor",
    "reward_metric": "throughput",
    "benchmark_command": "python3 sensor.py",
    "action_space": [{"param": PARAMETER, "min": 60, "max": 120, "type": "int"}],
    "algorithm": "random",  # no test of the learner: that one takes seconds to start
    "training_config": {"total_timesteps": 4, "benchmark_timeout": 5},
    "verification": {"pairs": 4, "candidates": 1},
}
PROGRAM = """
import json, sys
from autotune_kernel import TuningFailed, optimize_os_parameters
config, inventory, options = json.loads(sys.argv[1])
try:
    print(json.dumps(optimize_os_parameters(config, inventory, show_dashboard=False, **options)))
except TuningFailed as failure:
    sys.exit(f"failed: {failure}")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all of them run."""
    made = tmp_path_factory.mktemp("ways")
    (made / "sensor.py").write_text(SENSOR)
    (made / "study.yml").write_text(yaml.safe_dump(STUDY))
    return made


@pytest.fixture(scope="module")
def inventory(lab: Any, folder: Path) -> Path:
    """One host of the lab."""
    found = json.loads(Path(lab.inventory).read_text())
    del found["lab"]["hosts"]["lab2"]
    (folder / "hosts.json").write_text(json.dumps(found))
    return folder / "hosts.json"


@pytest.fixture(autouse=True)
def _unchanged(lab: Any) -> Iterator[None]:
    before = lab.sysctl("lab1", PARAMETER)
    yield
    for run in STARTED:
        if run.poll() is None:  # its test has failed
            run.kill()
    limit = time.monotonic() + 90  # the lease of a run that was killed
    while lab.sysctl("lab1", PARAMETER) != before and time.monotonic() < limit:
        time.sleep(0.5)
    assert lab.sysctl("lab1", PARAMETER) == before


def python(
    folder: Path, config: Any, inventory: Path | None, program: str = PROGRAM, **options: Any
) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", program, json.dumps([config, str(inventory) if inventory else None, options])]
    run = subprocess.Popen(
        words,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background must not keep the program from hearing it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    STARTED.append(run)
    return run


def autotune(folder: Path, *words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "client"), *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False, **options)


def studies(folder: Path) -> list[Any]:
    engine = store.open_store(f"sqlite:///{folder}/learned/autotune.sqlite")
    found = list(store.studies(engine))  # the latest first
    engine.dispose()
    return found


def test_python_returns_what_was_learned(folder: Path, inventory: Path) -> None:
    shown, progress = (run := python(folder, STUDY, inventory)).communicate(timeout=300)

    assert run.returncode == 0, progress
    found = json.loads(shown)
    assert found["verdict"] == "improved"
    assert found["improvement"] > 0
    assert found["interval"][0] > 0
    assert 60 < found["best_config"][PARAMETER] <= 120
    assert found["best_reward"] > 0
    assert (folder / found["path"] / "apply.yml").is_file()
    assert re.search(r"\[autotune\] \d+/\d+ lab1 training: candidate", progress), "a log shows each trial"
    assert f"apply     ansible-playbook learned/sensor/apply.yml -i {inventory}" in progress


def test_python_raises_the_message_of_the_play(folder: Path, inventory: Path) -> None:
    wrong = {**STUDY, "reward_metrik": "x"}
    dummy, message = (run := python(folder, wrong, inventory, dry_run=True)).communicate(timeout=300)

    assert run.returncode == 1
    assert "failed: " in message
    assert "reward_metrik" in message
    assert "Traceback" not in message
    assert "config: 1 error in the study" in message


def test_ctrl_c_in_python_returns_when_the_host_is_restored(lab: Any, folder: Path, inventory: Path) -> None:
    before = lab.sysctl("lab1", PARAMETER)
    run = python(folder, {**STUDY, "training_config": {"total_timesteps": 500, "benchmark_timeout": 5}}, inventory)
    wait_for_training(run)

    run.send_signal(signal.SIGINT)  # as a notebook does: to this process alone
    dummy, message = run.communicate(timeout=120)

    assert "KeyboardInterrupt" in message
    assert lab.sysctl("lab1", PARAMETER) == before
    assert studies(folder)[0].verdict == "stopped"


def test_whatever_is_raised_meanwhile_restores_the_host_first(lab: Any, folder: Path, inventory: Path) -> None:
    before = lab.sysctl("lab1", PARAMETER)
    program = f"import signal\nsignal.signal(signal.SIGUSR1, lambda *dummy: 1 / 0)\n{PROGRAM}"
    long = {**STUDY, "training_config": {"total_timesteps": 500, "benchmark_timeout": 5}}
    run = python(folder, long, inventory, program=program)
    wait_for_training(run)

    run.send_signal(signal.SIGUSR1)
    dummy, message = run.communicate(timeout=120)

    assert "ZeroDivisionError" in message
    assert lab.sysctl("lab1", PARAMETER) == before
    assert studies(folder)[0].verdict == "stopped"


def test_a_killed_program_ends_its_run(folder: Path, inventory: Path) -> None:
    run = python(folder, {**STUDY, "training_config": {"total_timesteps": 500, "benchmark_timeout": 5}}, inventory)
    wait_for_training(run)

    run.kill()
    run.communicate(timeout=60)

    limit = time.monotonic() + 120
    while studies(folder)[0].verdict != "stopped" and time.monotonic() < limit:
        time.sleep(0.5)
    assert studies(folder)[0].verdict == "stopped"


def wait_for_training(run: subprocess.Popen[str]) -> None:
    assert run.stderr
    for line in run.stderr:
        if "training: candidate" in line:
            return
    pytest.fail("the run has ended")


def test_a_subcommand_runs_the_playbook_and_says_which(folder: Path, inventory: Path) -> None:
    before = len(studies(folder))

    run = autotune(folder, "run", "study.yml", "-i", inventory)

    assert run.returncode == 0, run.stdout + run.stderr
    assert f" ansible-playbook {ROOT}/playbooks/tune.yml -i {inventory} -e study=study.yml" in run.stderr
    assert len(studies(folder)) == before + 1
    shown = autotune(folder, "show", "-i", inventory)
    assert shown.stdout.startswith("sensor: improved, ")
    assert json.loads(autotune(folder, "show", "sensor", "--json").stdout)["verdict"] == "improved"
    assert " sensor: improved, throughput +" in autotune(folder, "status").stdout


def test_a_role_is_previewed_applied_and_rolled_back(lab: Any, folder: Path, inventory: Path) -> None:
    before = lab.sysctl("lab1", PARAMETER)

    preview = autotune(folder, "apply", "sensor", "--preview", "-i", inventory)
    assert preview.returncode == 0, preview.stdout + preview.stderr
    assert lab.sysctl("lab1", PARAMETER) == before

    applied = autotune(folder, "apply", "sensor", "-i", inventory)
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert int(lab.sysctl("lab1", PARAMETER)) > int(before)

    assert autotune(folder, "rollback", "sensor", "-i", inventory).returncode == 0
    assert lab.sysctl("lab1", PARAMETER) == before


def test_a_sentence_says_what_it_understood_and_asks(folder: Path, inventory: Path) -> None:
    """The study of the sentence's workload takes many minutes: the last -e names another one."""
    before = len(studies(folder))
    words = ["Optimize my system for memory-intensive workloads", "-i", inventory, "-e", "study=study.yml"]
    controller, terminal = pty.openpty()
    os.write(controller, b"n\n")

    refused = autotune(folder, *words, stdin=terminal)

    os.close(controller)
    os.close(terminal)
    assert refused.returncode == 0, refused.stdout + refused.stderr
    assert "workload   memory (memory): pages read, written and synced" in refused.stdout
    assert "measures   operations_per_second, to maximise" in refused.stdout
    assert "vm.dirty_bytes" in refused.stdout
    assert "trials would take about" in refused.stdout
    assert "Run it? [y/N]" in refused.stdout
    assert len(studies(folder)) == before


def test_a_sentence_runs_to_the_verdict(folder: Path, inventory: Path) -> None:
    words = [
        "tune",
        "this",
        "for",
        "memory",
        "--yes",
        "-i",
        inventory,
        "-e",
        "study=study.yml",
        "-e",
        "dashboard_port=0",
    ]

    run = autotune(folder, *words)

    try:
        assert run.returncode == 0, run.stdout + run.stderr
        assert "[autotune] dashboard: http://127.0.0.1:" in run.stdout
        assert "sensor: improved, throughput +" in run.stdout
    finally:
        assert autotune(folder, "dashboard", "stopped").returncode == 0


def test_all_of_them_are_in_one_store(folder: Path) -> None:
    improved = [study for study in studies(folder) if study.verdict == "improved"]

    assert len(improved) == 3
    assert {study.workload_name for study in improved} == {"sensor"}
    assert [path.name for path in (folder / "learned").iterdir() if path.is_dir()] == ["sensor"]
