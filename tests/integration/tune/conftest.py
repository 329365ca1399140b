# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Studies on the lab's hosts, short enough for a test and real all the same: real sshd, real kernel, real trainer.

The benchmark here is a sensor: it reads the parameters from the kernel and prints what they are worth, with noise. So
the best values are known, and a trial takes half a second.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.autotune.kernel.plugins.plugin_utils._store import store

ROOT = Path(__file__).resolve().parents[3]
ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
WATCHED = (
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_congestion_control",
)
SENSOR = """
import random, sys, time
read = lambda name: open("/proc/sys/net/ipv4/" + name).read().split()
worth = 100 + int(read("tcp_fin_timeout")[0]) / 2 + (10 if read("tcp_congestion_control") == ["bbr"] else 0)
for dummy in range(4):
    time.sleep(0.05)
    print(f"throughput: {random.gauss(worth, worth / 100):.3f}", flush=True)
"""


@dataclass
class Run:
    """A finished or running `ansible-playbook playbooks/tune.yml`."""

    process: subprocess.Popen[str]
    output: Path
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        self.lines.extend(self.process.stdout or ())

    @property
    def text(self) -> str:
        return "".join(self.lines)

    @property
    def result(self) -> dict[str, Any]:
        """Waits for it: after an interruption the trainer may outlive Ansible and all workers."""
        limit = time.monotonic() + 120
        while not list(self.output.glob("*/result.json")) and time.monotonic() < limit:
            time.sleep(0.1)
        (file,) = self.output.glob("*/result.json")
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    @property
    def trials(self) -> Any:
        engine = store.open_store(f"sqlite:///{self.output}/autotune.sqlite")
        return store.trials(engine, store.studies(engine)[0].id)

    @property
    def hosts(self) -> Any:
        engine = store.open_store(f"sqlite:///{self.output}/autotune.sqlite")
        return store.hosts(engine, store.studies(engine)[0].id)

    def wait_for(self, text: str, seconds: float = 240) -> None:
        """Until the run has printed `text`."""
        limit = time.monotonic() + seconds
        while text not in self.text:
            if time.monotonic() > limit or self.process.poll() is not None:
                pytest.fail(f"the run did not print {text!r}:\n{self.text}")
            time.sleep(0.02)

    def end(self, seconds: float = 240) -> int:
        """Wait for the run's end; returns ansible-playbook's exit code."""
        code = self.process.wait(seconds)
        self.reader.join(60)  # until all that print have ended: workers may outlive Ansible
        return code

    def signal(self, number: int) -> None:
        """As a terminal does: to the whole process group."""
        os.killpg(self.process.pid, number)


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[..., Path]:
    """A study file with a benchmark beside it. Keywords replace keys of the study; `script` is the benchmark's text."""

    def write(script: str = SENSOR, **changes: Any) -> Path:
        study = {
            "workload_name": "sensor",
            "reward_metric": "throughput",
            "benchmark_command": "python3 sensor.py",
            "allow_unsafe": ["net.ipv4.tcp_fin_timeout"],  # up to 300: more room for what the sensor feels
            "action_space": [
                {"param": "net.ipv4.tcp_fin_timeout", "min": 10, "max": 300},
                {"param": "net.ipv4.tcp_congestion_control", "choices": ["reno", "bbr"]},
                {
                    "param": "net.ipv4.tcp_rmem",
                    "elements": [
                        {"value": 4096},
                        {"min": 8192, "max": 131072, "log": True},
                        {"min": 200000, "max": 9000000},
                    ],
                },
            ],
            "state_space": [{"metric": "cpu_usage"}, {"metric": "memory_used_percent"}],
            "algorithm": "random",  # no test of the learner: that one takes seconds to start
            "baseline_trials": 2,
            "training_config": {"total_timesteps": 5, "benchmark_timeout": 5},
            "verification": {"pairs": 4, "candidates": 1, "keep": "all"},  # an ablation takes as long as all the rest
        }
        (tmp_path / "sensor.py").write_text(script)
        path = tmp_path / "study.yml"
        path.write_text(yaml.safe_dump({**study, **changes}))
        return path

    return write


@pytest.fixture
def start(lab: Any, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Start tune.yml on these hosts of the lab, or on all of another inventory; arguments go to ansible-playbook.

    What still runs at the test's end is killed.
    """
    runs: list[Run] = []

    def start_run(study: Path, *arguments: str, inventory: Path | None = None, hosts: str = "lab1") -> Run:
        output = tmp_path / "learned"
        given = ["-e", f"study={study}", "-e", f"output={output}", "-e", "lease_margin=5", "-e", "seed=3"]
        given += [] if inventory else ["--limit", hosts]
        process = subprocess.Popen(
            [ANSIBLE_PLAYBOOK, "-i", inventory or lab.inventory, ROOT / "playbooks/tune.yml", *given, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # Whoever runs the tests under nohup must not keep the run from hearing it.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "COLUMNS": "200"},
        )
        run = Run(process, output)
        runs.append(run)
        return run

    yield start_run
    for run in runs:
        if run.process.poll() is None:
            run.signal(signal.SIGKILL)


@pytest.fixture
def tune(start: Callable[..., Run]) -> Callable[..., Run]:
    """The same, run to its end."""

    def tune_to_the_end(study: Path, *arguments: str, **keywords: Any) -> Run:
        run = start(study, *arguments, **keywords)
        run.end()
        return run

    return tune_to_the_end


def state(lab: Any) -> dict[str, Any]:
    """All that a run must leave as it found it, by host."""
    return {
        host: {
            "values": {name: lab.sysctl(host, name) for name in WATCHED},
            "files": lab.run(
                host, "sh", "-c", "ls -d /tmp/autotune* /run/autotune/lease.json /etc/sysctl.d/*", check=False
            ).stdout,
            # With what they are, as one that stays behind is rare.
            "processes": lab.run(host, "pgrep", "-fa", "sensor.py|autotune-sample", check=False).stdout,
        }
        for host in lab.hosts
    }


def settled(lab: Any, wanted: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The state of the lab once it is `wanted`, or what it is after `seconds`."""
    limit = time.monotonic() + seconds
    while (found := state(lab)) != wanted and time.monotonic() < limit:
        time.sleep(0.2)
    return found


@pytest.fixture
def untouched(lab: Any) -> Iterator[dict[str, Any]]:
    """Checks after the test that every host is as it was before: the point of the whole thing."""
    before = state(lab)
    yield before
    # A killed run's hosts need their lease's time: the benchmark's limit and margin, and the watchdog's second. After a
    # cut link they find out that nobody is there once TCP sends again, which takes as long as the cut lasted.
    assert settled(lab, before, seconds=60) == before


@pytest.fixture
def ssh_option(lab: Any) -> dict[str, Any]:
    """What Ansible's own connection to lab1 says of itself, by the names of its options."""
    own = json.loads(lab.inventory.read_text())["lab"]
    variables = {**own["vars"], **own["hosts"]["lab1"]}
    return {
        "host": variables["ansible_host"],
        "remote_user": variables["ansible_user"],
        "private_key_file": variables["ansible_ssh_private_key_file"],
        "ssh_common_args": variables["ansible_ssh_common_args"],
        "host_key_checking": True,
        "timeout": 10,
    }
