from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Trial
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.benchmark import Benchmark, BenchmarkFailed
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.local import LocalTransport
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.service import Service
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.trial_runner import HostContext, run_trial

from .conftest import NEVER

# A process in a session of its own, as a daemon is, which writes its number.
START = "setsid sleep 300 >/dev/null 2>&1 </dev/null & echo $! >> {log}"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Benchmark]:
    commands = Benchmark(LocalTransport(), {}, 60)
    commands.copy([])
    yield commands
    commands.remove()


def shell(text: str) -> str:
    return f"sh -c '{text}'"


def started(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_starts_once_and_again_when_a_parameter_needs_it(folder: Benchmark, tmp_path: Path) -> None:
    log = tmp_path / "log"
    service = Service(folder, shell(START.format(log=log)), f"touch {tmp_path}/stopped", ["net.core.somaxconn"])

    assert service.require({"net.core.somaxconn": "128", "vm.swappiness": "60"})
    assert not service.require({"net.core.somaxconn": "128", "vm.swappiness": "10"})
    (first,) = started(log)
    assert is_alive(first)
    assert not (tmp_path / "stopped").exists()

    assert service.require({"net.core.somaxconn": "256", "vm.swappiness": "10"})
    second = started(log)[1]
    assert (tmp_path / "stopped").exists()
    assert (is_alive(first), is_alive(second)) == (False, True)

    service.remove()
    assert not is_alive(second)
    assert not Path(folder.process_group).parent.exists()


def test_the_end_of_the_connection_ends_the_service(folder: Benchmark, tmp_path: Path) -> None:
    log = tmp_path / "log"
    Service(folder, shell(START.format(log=log)), None, []).require({})
    (process,) = started(log)
    assert folder._cleanup
    folder._cleanup.end_input()
    limit = time.monotonic() + 60
    while is_alive(process):
        assert time.monotonic() < limit
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("no-such-command", "the command `start` ended with exit code 127"),
        (START + "; echo port taken >&2; exit 3", "the command `start` ended with exit code 3: port taken"),
    ],
)
def test_a_service_that_does_not_start_leaves_nothing_and_is_tried_again(
    start: str, message: str, folder: Benchmark, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    service = Service(folder, shell(start.format(log=log)), "false", [])
    for dummy in range(2):
        with pytest.raises(BenchmarkFailed, match=message):
            service.require({})
    assert not any(is_alive(process) for process in started(log))
    service.remove()


def test_a_stop_that_fails_is_told_and_its_processes_end_all_the_same(folder: Benchmark, tmp_path: Path) -> None:
    log = tmp_path / "log"
    service = Service(folder, shell(START.format(log=log)), "false", [])
    service.require({})
    with pytest.raises(BenchmarkFailed, match="the command `stop` ended with exit code 1"):
        service.remove()
    assert not is_alive(started(log)[0])


def test_the_service_runs_with_the_values_of_the_trial_and_outlives_its_benchmark(
    new_context: Callable[..., HostContext], folder: Benchmark, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    start = shell(START.format(log=log))
    context = new_context(f"sh -c 'kill -0 $(tail -n 1 {log}) && echo throughput: 1'", start=start)
    context = replace(context, services={None: Service(folder, start, None, ["vm.swappiness"])})
    trials = [run_trial(context, Trial.pending(Phase.TRAIN, {"vm.swappiness": 80}), NEVER) for dummy in range(2)]
    assert [trial.error for trial in trials] == [None, None]
    assert ["service" in trial.seconds for trial in trials] == [True, False]
    assert len(started(log)) == 1


def test_a_service_that_a_candidate_killed_is_started_anew(
    new_context: Callable[..., HostContext], folder: Benchmark, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    service = Service(folder, shell(START.format(log=log)), "false", [])
    alive = f'case "$(cut -d" " -f3 /proc/$(tail -n 1 {log})/stat 2>&1)" in [RSD]) echo throughput: 1;; esac'
    context = replace(new_context(shell(alive)), services={None: service})
    trial = Trial.pending(Phase.TRAIN, {"vm.swappiness": 80})
    assert run_trial(context, trial, NEVER).metric == 1.0
    os.kill(started(log)[0], signal.SIGKILL)
    assert run_trial(context, trial, NEVER).metric is None
    assert run_trial(context, trial, NEVER).metric == 1.0
    assert len(started(log)) == 2


def test_only_the_service_of_the_trial_s_workload_runs(
    new_context: Callable[..., HostContext], folder: Benchmark, tmp_path: Path
) -> None:
    """Both listen on the same port, and the other one would take a part of the host."""
    guard = {"name": "g", "benchmark_command": "echo mbit: 7", "metric": "mbit", "may_worsen": 3}
    own, others = tmp_path / "own", tmp_path / "others"
    other = Benchmark(LocalTransport(), {}, 60)
    other.copy([])
    services = {
        None: Service(folder, shell(START.format(log=own)), None, []),
        "g": Service(other, shell(START.format(log=others)), None, []),
    }
    context = replace(new_context(guard_benchmarks=[guard]), services=services)
    trial = Trial.pending(Phase.GUARD, {"vm.swappiness": 80})
    for benchmark, alive in ("g", (0, 1)), (None, (1, 0)), ("g", (0, 1)):
        assert run_trial(context, replace(trial, benchmark=benchmark), NEVER).metric
        assert tuple(sum(map(is_alive, started(log))) for log in (own, others)) == alive
    other.remove()


def test_a_trial_whose_service_does_not_start_fails(new_context: Callable[..., HostContext], folder: Benchmark) -> None:
    context = new_context(start="false")
    context = replace(context, services={None: Service(folder, "false", None, [])})
    trial = run_trial(context, Trial.pending(Phase.TRAIN, {"vm.swappiness": 80}), NEVER)
    assert trial.error == "the command `start` ended with exit code 1: no message"


def test_warming_up_ends_a_benchmark_that_takes_longer(folder: Benchmark) -> None:
    began = time.monotonic()
    folder.warm_up("sleep 300", 0.3)
    assert 0.3 <= time.monotonic() - began < 300


def test_warming_up_comes_before_the_run_that_counts(new_context: Callable[..., HostContext], tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    command = shell(f"echo run >> {runs}; echo throughput: $(wc -l < {runs})")
    trial = run_trial(new_context(command, warm_up=100), Trial.pending(Phase.TRAIN, {"vm.swappiness": 80}), NEVER)
    assert (trial.error, trial.metric) == (None, 2.0)
    assert trial.seconds["warm_up"] > 0


def test_a_benchmark_that_ends_while_warming_up_counts_as_warm_and_a_failure_is_told(
    new_context: Callable[..., HostContext],
) -> None:
    pending = Trial.pending(Phase.TRAIN, {"vm.swappiness": 80})
    assert run_trial(new_context(warm_up=100), pending, NEVER).error is None
    trial = run_trial(new_context("false", warm_up=100), pending, NEVER)
    assert trial.error == "the command `benchmark_command` ended with exit code 1: no message"
