# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Gymnasium environment on the lab's hosts. Agents are programs of their own, as users write them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.client.environment import EnvironmentFailed, OSTuningEnv
from ansible_collections.autotune.kernel.dashboard import queries
from ansible_collections.autotune.kernel.dashboard.readonly_store import ReadOnlyStore
from ansible_collections.autotune.kernel.plugins.plugin_utils._store import store

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/how-to/environment.md").read_text()
FIN_TIMEOUT = "net.ipv4.tcp_fin_timeout"
QUICK = """
import time
time.sleep(0.2)
print("throughput:", 100 + int(open("/proc/sys/net/ipv4/tcp_fin_timeout").read()) / 2)
"""
# The first candidate has run, and its values are still there, when the program says so.
BEGIN = """
import sys, time
import gymnasium
import autotune_kernel
study, inventory, output, hosts = sys.argv[1:]
settings = {"output": output, "lease_margin": int(sys.stdin.readline())}
hosts = {"inventory": inventory, "options": ["--limit", hosts]}
env = gymnasium.make("autotune/OSTuning-v0", study=study, settings=settings, **hosts)
"""
STEP = """
import numpy as np
env.reset()
trials = env.step(np.array([1, 1, 1, 1], dtype=np.float32))[4]["trials"]
print("stepped", trials[0].applied["net.ipv4.tcp_fin_timeout"], flush=True)
"""
CHECK = """
import gymnasium.utils.env_checker
gymnasium.utils.env_checker.check_env(env.unwrapped)
"""
FINISH = """
sys.stdin.readline()
left = env.unwrapped.trials_left
env.step(-np.ones(4))
print(left, env.unwrapped.trials_left)
print(env.unwrapped.finish()["verdict"])
env.close()
"""
ENDLESS = """
import time
value = int(open("/proc/sys/net/ipv4/tcp_fin_timeout").read())
print("throughput:", value, flush=True)
time.sleep(0 if value == 60 else 600)
"""
pytestmark = pytest.mark.usefixtures("untouched")


@pytest.fixture
def begin(lab: Any, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start an agent, a program for these hosts of the lab; what still runs at the test's end is killed."""
    agents: list[subprocess.Popen[str]] = []

    def begin_agent(
        program: str, study: Path | None = None, *, hosts: str = "lab1", lease_margin: int = 60
    ) -> subprocess.Popen[str]:
        agent = subprocess.Popen(
            [sys.executable, "-c", program, str(study), str(lab.inventory), str(tmp_path / "learned"), hosts],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            # Whoever runs the tests in the background must not keep the agent from hearing it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        agents.append(agent)
        assert agent.stdin
        agent.stdin.write(f"{lease_margin}\n")
        agent.stdin.flush()
        return agent

    yield begin_agent
    for agent in agents:
        agent.kill()


def ended(agent: subprocess.Popen[str]) -> str:
    """What an agent has printed that succeeds."""
    output, errors = agent.communicate(timeout=240)
    assert agent.returncode == 0, errors
    return output


def wait_for(lab: Any, value: str) -> None:
    """Until lab1 has this value of the parameter that the benchmark feels."""
    limit = time.monotonic() + 240
    while (found := lab.sysctl("lab1", FIN_TIMEOUT)) != value:
        assert time.monotonic() < limit, found
        time.sleep(0.1)


def stored(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The study as the page lists it, and the phases of its trials in the store."""
    url = f"sqlite:///{folder}/learned/autotune.sqlite"
    with ReadOnlyStore(url).reading() as connection:
        (study,), dummy = queries.listed_studies(connection)
    return study, [row.phase for row in store.trials(store.open_store(url), study["id"])]


@pytest.mark.slow
def test_the_example_of_the_documentation_trains_ppo(
    lab: Any, begin: Callable[..., Any], untouched: dict[str, Any], tmp_path: Path
) -> None:
    """With a shorter benchmark, and on the lab."""
    lab.play(str(ROOT / "playbooks/new.yml"), "-e", "workload=my-service", "-e", f"folder={tmp_path}/my-service")
    benchmark = tmp_path / "my-service/benchmark.py"
    benchmark.write_text(benchmark.read_text().replace("SECONDS = 5", "SECONDS = 0.2"))
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    on_lab = f'inventory="{lab.inventory}", options=["--limit", "lab1"]'
    example, changed = re.subn(r'(study="my-service/study.yml")', rf"\1, {on_lab}", example)
    assert changed == 1
    reward = float(ended(begin(example)).split()[0])
    assert -2 <= reward <= 2
    study, phases = stored(tmp_path)
    assert (study["workload_name"], study["verdict"], study["hosts"]) == ("my-service", "stopped", 1)
    assert study["trials"] == len(phases) == 3 + 13 + phases.count("control")
    assert phases.count("train") == 13
    assert phases.count("control") == 1, "an agent's trials are followed by controls as any other's"
    assert lab.sysctl("lab1", FIN_TIMEOUT) == untouched["lab1"]["values"][FIN_TIMEOUT]


def test_passes_the_check_and_a_killed_agent_leaves_the_original_values(
    lab: Any, begin: Callable[..., Any], write_study: Callable[..., Path], untouched: dict[str, Any]
) -> None:
    study = write_study(QUICK, training_config={"total_timesteps": 100, "benchmark_timeout": 5})
    agent = begin(BEGIN + CHECK + STEP + "time.sleep(600)", study, lease_margin=600)
    assert agent.stdout.readline() == "stepped 300\n", agent.stderr.read()
    assert lab.sysctl("lab1", FIN_TIMEOUT) == "300"
    agent.kill()
    wait_for(lab, untouched["lab1"]["values"][FIN_TIMEOUT])  # the lease alone would take longer than this waits


@pytest.mark.slow
def test_what_an_agent_has_found_on_a_fleet_is_proved(
    lab: Any,
    begin: Callable[..., Any],
    write_study: Callable[..., Path],
    untouched: dict[str, Any],
    tmp_path: Path,
) -> None:
    """After a step the agent computes for longer than the leases last. Each step is a trial on both hosts."""
    study = write_study(QUICK, training_config={"total_timesteps": 5, "benchmark_timeout": 2})
    agent = begin(BEGIN + STEP + FINISH, study, hosts="lab", lease_margin=1)
    assert agent.stdout.readline() == "stepped 300\n", agent.stderr.read()
    wait_for(lab, untouched["lab1"]["values"][FIN_TIMEOUT])
    agent.stdin.write("go on\n")
    agent.stdin.flush()
    assert ended(agent).splitlines() == ["3 1", "improved"]
    dummy, phases = stored(tmp_path)
    assert phases.count("train") == 4
    assert (tmp_path / "learned/sensor/apply.yml").exists()


def test_ctrl_c_ends_with_the_original_values(
    lab: Any, begin: Callable[..., Any], write_study: Callable[..., Path], untouched: dict[str, Any]
) -> None:
    """During a step, whose benchmark never ends by itself."""
    study = write_study(ENDLESS, training_config={"total_timesteps": 5, "benchmark_timeout": 600})
    agent = begin(BEGIN + STEP, study)
    wait_for(lab, "300")
    agent.send_signal(signal.SIGINT)
    errors = agent.communicate(timeout=240)[1]
    assert errors.rstrip().endswith("KeyboardInterrupt"), errors
    assert lab.sysctl("lab1", FIN_TIMEOUT) == untouched["lab1"]["values"][FIN_TIMEOUT], "it has waited for that"


def test_a_wrong_study_is_one_clear_line(lab: Any, write_study: Callable[..., Path]) -> None:
    env = OSTuningEnv(write_study(algoritm="ppo"), lab.inventory)
    with pytest.raises(EnvironmentFailed, match=r"^\S+/study\.yml: .*algoritm: unknown key; did you mean algorithm\?$"):
        env.reset()
    env.close()
