# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Guard rails on a real host over real SSH, with real trouble: memory that runs out, stalls, a sick service."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Trial
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker import sampling
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.benchmark import Benchmark
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.ssh import SSHTransport
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.ssh_config import SSHAddress
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.trial_runner import HostContext, run_trial

MEMORY_CGROUPS = ((Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"), (Path("/sys/fs/cgroup"), "memory.max"))
PRESSURE_CGROUPS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
EAT = "import os; open('{group}/cgroup.procs', 'w').write(str(os.getpid())); x = b'x' * (200 << 20); print(len(x))"
# Long enough that only the guard can have ended it; the marker makes it findable.
BENCHMARK = "sh -c 'echo throughput: 100; exec sleep 471.1'"


class Never:
    """Interrupts that do not come."""

    allowed = nullcontext


@pytest.fixture
def measure(lab: Any, ssh_option: dict[str, Any]) -> Iterator[Callable[..., Trial]]:
    """One trial on lab1 over its own sshd; keywords are the study's `guard`."""
    transport = SSHTransport(SSHAddress.of_connection(ssh_option.get))
    benchmark = Benchmark(transport, {}, timeout=600)
    benchmark.copy([])

    def run(command: str = BENCHMARK, **guard: Any) -> Trial:
        study = Study.model_validate(
            {
                "workload_name": "guarded",
                "reward_metric": "throughput",
                "benchmark_command": command,
                "action_space": [{"param": "net.ipv4.tcp_fin_timeout", "min": 10, "max": 120}],
                "guard": guard,
            }
        )

        def apply(values: Any, guard_benchmark: str | None = None) -> dict[str, str]:
            lab.run("lab1", "sysctl", "-q", "-w", *(f"{name}={value}" for name, value in values.items()))
            return {name: str(value) for name, value in values.items()}

        context = HostContext(
            host="lab1",
            study=study,
            apply=apply,
            renew=apply,
            restore=lambda: apply({"net.ipv4.tcp_fin_timeout": 60}),
            transport=transport,
            benchmark=benchmark,
            connect_seconds=0.0,
        )
        never: Any = Never()
        try:
            return run_trial(context, Trial.pending(Phase.TRAIN, {"net.ipv4.tcp_fin_timeout": 111}), never)
        finally:
            apply({"net.ipv4.tcp_fin_timeout": 60})

    yield run
    benchmark.remove()
    transport.close()


def running(lab: Any) -> bool:
    return lab.run("lab1", "pgrep", "-fx", "sleep 471.1", check=False).returncode == 0


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


@contextmanager
def memory_cgroup(limit: str) -> Iterator[Path]:
    """A cgroup of the machine's whose members may use so much memory."""
    found = next((place for place in MEMORY_CGROUPS if (place[0] / "memory.stat").exists()), None)
    if found is None:
        pytest.skip("the machine has no memory cgroups")
    group = found[0] / f"autotune-test-{os.getpid()}"
    group.mkdir()
    try:
        (group / found[1]).write_text(limit)
        yield group
    finally:
        wait_for(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


def run_out_of_memory() -> float:
    """Have a process killed for want of memory; returns when that was."""
    with memory_cgroup("30000000") as group:
        eaten = subprocess.run([sys.executable, "-c", EAT.format(group=group)], capture_output=True, check=False)
        killed = time.monotonic()
    assert eaten.returncode == -9, eaten
    return killed


@pytest.mark.alone
@pytest.mark.parametrize("kept", ["oom_kills", "its log alone"])
def test_memory_that_runs_out_ends_the_trial(
    lab: Any, measure: Callable[..., Trial], kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kept == "its log alone":  # as on a kernel before 4.13, which counts no OOM kills
        monkeypatch.setattr(sampling, "_SCRIPT", sampling._SCRIPT.replace("|oom_kill ", ""))
    times: dict[str, float] = {}

    def trouble() -> None:
        wait_for(lambda: running(lab))
        times["killed"] = run_out_of_memory()
        wait_for(lambda: not running(lab))
        times["ended"] = time.monotonic()

    thread = Thread(target=trouble)
    thread.start()
    trial = measure()
    thread.join()

    assert "1 OOM kill (python" in str(trial.error)
    assert trial.metric is None
    assert lab.sysctl("lab1", "net.ipv4.tcp_fin_timeout") == "60"
    print(f"from the OOM kill to the end of the benchmark: {times['ended'] - times['killed']:.2f} s")


@pytest.mark.alone
def test_a_kill_in_the_last_moment_counts(lab: Any, measure: Callable[..., Trial]) -> None:
    """The benchmark itself is the victim, and is gone before anybody looks."""
    mount = "mkdir -p /tmp/groups; mount -t cgroup -o memory none /tmp/groups 2>/dev/null"
    mount += " || mount -t cgroup2 none /tmp/groups; mkdir -p /tmp/groups/autotune-last"
    limit = (
        "for f in memory.limit_in_bytes memory.max; do echo 30000000 > /tmp/groups/autotune-last/$f; done 2>/dev/null"
    )
    lab.run("lab1", "sh", "-c", f"{mount}; {limit}; true")
    eat = EAT.format(group="/tmp/groups/autotune-last").replace("'", '"')
    try:
        trial = measure(f"python3 -c '{eat}'")
    finally:
        lab.run("lab1", "sh", "-c", "sleep 0.1; rmdir /tmp/groups/autotune-last; umount /tmp/groups; rmdir /tmp/groups")
    assert "1 OOM kill (python3), limit 0" in str(trial.error)


@contextmanager
def pressure_of_a_cgroup(lab: Any) -> Iterator[Path]:
    """A cgroup whose memory pressure lab1 takes for the machine's.

    The machine's own rises only while nothing at all gets on there, which a test cannot arrange beside other work.
    """
    root = next((place for place in PRESSURE_CGROUPS if (place / "memory.pressure").exists()), None)
    if root is None:
        pytest.skip("this kernel has no pressure stall information")
    group = root / f"autotune-pressure-{os.getpid()}"
    group.mkdir()
    seen = f"/tmp/groups/{group.name}/memory.pressure"
    mount = f"mkdir -p /tmp/groups; mount -t cgroup2 none /tmp/groups; mount --bind {seen} /proc/pressure/memory"
    try:
        lab.run("lab1", "sh", "-ec", mount)
        yield group
    finally:
        lab.run("lab1", "sh", "-c", "umount /proc/pressure/memory; umount /tmp/groups; rmdir /tmp/groups")
        wait_for(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


@pytest.mark.alone  # a reader may be killed for want of memory, which others would take for their own trouble
def test_pressure_of_memory_ends_the_trial(lab: Any, measure: Callable[..., Trial]) -> None:
    """Two processes read a file again and again and may cache next to nothing of it: they wait for their memory."""
    reader = (
        "import os\nfor group in {groups}: open(group + '/cgroup.procs', 'w').write(str(os.getpid()))\n"
        "file = open('{file}', 'rb', buffering=0)\n"
        "os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)\n"  # else they are another cgroup's memory
        "while not os.path.exists('{stop}'):\n"
        "    file.seek(0)\n    while file.read(1 << 20): pass\n"
    )
    # Its own OOM kills, should it come to one, are not what this is about.
    guard = {"memory_pressure": 0.2, "io_pressure": False, "oom_kills": 1000}
    with memory_cgroup("6000000") as limited, pressure_of_a_cgroup(lab) as observed:
        big, stop = (Path(f"/var/tmp/autotune-test-{os.getpid()}-{name}") for name in ("big", "stop"))
        big.write_bytes(b"x" * (32 << 20))
        os.sync()
        program = reader.format(groups=[str(limited), str(observed)], file=big, stop=stop)
        processes = [subprocess.Popen([sys.executable, "-c", program]) for dummy in range(2)]
        try:
            trial = measure(**guard)
        finally:
            stop.touch()
            for process in processes:
                process.wait()
            big.unlink()
            stop.unlink()
    assert "memory pressure (PSI full) " in str(trial.error), trial
    assert lab.sysctl("lab1", "net.ipv4.tcp_fin_timeout") == "60"


@pytest.mark.alone
def test_what_a_program_writes_into_the_kernel_log_is_not_the_kernels_word(
    measure: Callable[..., Trial],
) -> None:
    write = 'echo "BUG: task dd:1 blocked for more than 120 seconds" > /dev/kmsg'
    trial = measure(f"sh -c 'sleep 0.3; {write}; sleep 0.8; echo throughput: 1'")
    assert trial.metric == 1.0
    assert trial.health["kernel_messages"] == 0.0


@pytest.mark.slow
def test_a_service_that_falls_ill_costs_the_candidate_and_not_the_run(
    lab: Any, tune: Callable[..., Any], write_study: Callable[..., Path], untouched: dict[str, Any]
) -> None:
    """The service, a file here, is ill while tcp_fin_timeout is above 90: only some candidates make it so."""
    script = """
import os, subprocess, time
value = int(open("/proc/sys/net/ipv4/tcp_fin_timeout").read())
print("throughput:", 100 + value, flush=True)
open("ill", "w").close() if value > 90 else None
time.sleep(600 if value > 90 else 0.1)
print("throughput:", 100 + value)
"""
    guard = {"health_command": "sh -c 'if test -e ill; then rm ill; echo no answer >&2; exit 1; fi'"}
    space = [{"param": "net.ipv4.tcp_fin_timeout", "min": 60, "max": 120}]  # most of what is drawn is well, and better
    study = write_study(
        script,
        action_space=space,
        guard=guard,
        state_space=[],
        training_config={"total_timesteps": 6, "benchmark_timeout": 900},
        verification={"candidates": 1, "pairs": 4, "keep": "all"},
        baseline_trials=2,
    )
    run = tune(study)

    assert run.process.returncode == 0, run.text
    ended = [row for row in run.trials if row.error]
    assert ended
    for row in ended:
        assert row.error == "guard limit exceeded: the health command ended with exit code 1: no answer"
        assert int(row.applied["net.ipv4.tcp_fin_timeout"]) > 90
        assert row.metric is None
    fine = [row for row in run.trials if not row.error]
    assert all(int(row.applied["net.ipv4.tcp_fin_timeout"]) <= 90 for row in fine)
    assert all({"retransmits", "errors"} <= set(row.stability_parts) for row in fine)
    assert int(run.result["best_config"]["net.ipv4.tcp_fin_timeout"]) <= 90
    for side in ("baseline", "best"):
        stability = run.result[side]["stability"]
        assert 0 <= stability["score"] <= 1
        assert {"retransmits", "errors"} <= set(stability["parts"])
