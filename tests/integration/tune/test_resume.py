# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whatever is killed, and whenever: the run goes on, and no trial is lost or repeated.

Three times in ./dev test, 21 times in ./dev soak.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._store import store

pytestmark = pytest.mark.usefixtures("untouched")
Write = Callable[..., Path]
Runner = Callable[..., Any]

ROUNDS = range(7 if os.environ.get("AUTOTUNE_SOAK") else 1)  # with three interruptions each
STUDY = {
    "training_config": {"total_timesteps": 8, "benchmark_timeout": 2},
    "verification": {"pairs": 4, "candidates": 2},
    # What it gains is far beyond chance, so every run must come to the same verdict.
    "script": (
        "import random, time\n"
        "value = int(open('/proc/sys/net/ipv4/tcp_fin_timeout').read())\n"
        "time.sleep(0.3)\n"
        "print(f'throughput: {random.gauss(100 + value, 0.5):.3f}')\n"
    ),
    "action_space": [{"param": "net.ipv4.tcp_fin_timeout", "min": 100, "max": 300}],
}


def rows(run: Any) -> list[tuple[Any, ...]]:
    """What of a study must stay as it is."""
    engine = store.open_store(f"sqlite:///{run.output}/autotune.sqlite")
    found = [
        (row.id, row.phase, row.pair, row.host_id, str(row.requested), row.metric, row.finished)
        for row in store.trials(engine, 1)
    ]
    engine.dispose()
    return found


def trainer_of(run: Any) -> int | None:
    """The process of a run's trainer."""
    folder_of_run = re.compile(rf"/ansible-local-{run.process.pid}[^/]{{8}}/")
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if len(command) > 3 and command[2].endswith("._trainer") and folder_of_run.search(command[3]):
            return int(folder.name)
    return None


def kill_trainer(run: Any) -> None:
    trainer = trainer_of(run)
    if trainer:  # else its study has just ended
        os.kill(trainer, signal.SIGKILL)
    run.end(300)


def kill_controller(run: Any) -> None:
    """With its trainer, which must not have the time to notice that it is alone and to end the study itself."""
    trainer = trainer_of(run)
    if trainer:  # else its study has just ended
        os.kill(trainer, signal.SIGKILL)
    run.signal(signal.SIGKILL)
    run.end()


def press_ctrl_c(run: Any) -> None:
    run.signal(signal.SIGINT)
    run.end(300)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("round_", ROUNDS)
def test_it_goes_on_where_it_was_interrupted(start: Runner, write_study: Write, round_: int) -> None:
    seed = random.randrange(10**6)
    dice = random.Random(seed)
    faults = [kill_trainer, kill_controller, press_ctrl_c]
    dice.shuffle(faults)
    study = write_study(**STUDY)
    run = start(study, hosts="lab")
    found: list[tuple[Any, ...]] = []
    for fault in faults:
        run.wait_for(" left\n", 300)  # a trial of this very run
        assert trainer_of(run) or fault is not faults[0], f"seed {seed}:\n{run.text}"
        time.sleep(dice.uniform(0, 5))
        if run.process.poll() is not None:
            break
        fault(run)
        if fault is press_ctrl_c and run.process.returncode:
            assert "to resume: the same command with -e resume=true" in run.text, f"seed {seed}:\n{run.text}"
        assert rows(run)[: len(found)] == found, f"seed {seed}"
        found = rows(run)
        if run.process.returncode == 0:
            break
        run = start(study, "-e", "resume=true", hosts="lab")
    run.end(600)

    assert run.process.returncode == 0, f"seed {seed}:\n{run.text}"
    result = run.result
    assert result["verdict"] == "improved", f"seed {seed}:\n{run.text}"
    after = rows(run)
    assert after[: len(found)] == found, f"seed {seed}"
    assert [row[0] for row in after] == list(range(1, len(after) + 1)), f"seed {seed}"
    assert result["trials"]["total"] == len(after)
    phases = [row[1] for row in after]
    assert (phases.count("train"), phases.count("baseline")) == (8, 4), f"seed {seed}"
    sides = [row[1:5] for row in after if row[1] == "verify"]
    assert len(sides) == len(set(sides)), f"seed {seed}"  # each side of each pair once on each host


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_controllers_share_a_server_that_is_started_again_and_tell_nobody_its_password(
    start: Runner, write_study: Write, postgresql: Any, lab: Any, tmp_path: Path
) -> None:
    variables = tmp_path / "store.json"  # not on the command line, which everybody can read
    variables.write_text(json.dumps({"store": postgresql.url}))
    study = write_study(**{**STUDY, "share": True, "workload_name": "shared"})
    runs = [
        start(
            study, "-e", f"@{variables}", "-e", f"target={host}", "-e", f"output={tmp_path / host}", "-vvv", hosts="lab"
        )
        for host in lab.hosts
    ]
    for run in runs:
        run.wait_for(" training: ", 300)
    said = [text for run in runs for text in everything_said(run, tmp_path)]
    postgresql.stop()
    try:
        time.sleep(2)
        assert [run.process.poll() for run in runs] == [None, None]  # they wait for the server
    finally:
        postgresql.start()
    for run in runs:
        run.end(600)
        assert run.process.returncode == 0, run.text
        said += everything_said(run, tmp_path)
    assert not [text for text in said if postgresql.password in text]

    engine = store.open_store(postgresql.url)
    own = [row for row in store.studies(engine) if row.workload_name == "shared"]
    assert [row.verdict for row in own] == ["improved", "improved"]
    assert {row.result["store"] for row in own} == {postgresql.url.replace(postgresql.password, "***")}
    for row in own:
        other = next(one.id for one in own if one.id != row.id)
        told = [event.text for event in store.events(engine, row.id)]
        assert f"also learning from study {other}, the same study on another controller" in told
        trials = store.trials(engine, row.id)
        assert [one.id for one in trials] == list(range(1, len(trials) + 1))
    engine.dispose()


def everything_said(run: Any, folder: Path) -> list[str]:
    """What a run says, writes, and shows of itself in the list of processes."""
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    files = [file for host in folder.glob("lab*") for file in host.rglob("*") if file.is_file()]
    return [run.text, processes, *(file.read_text(errors="replace") for file in files)]
