from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.sections import Guard
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Trial
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker import sampling
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.health_guard import (
    HealthMonitor,
    LimitCheck,
    health_signals,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.local import LocalTransport
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.sampling import Sample
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.trial_runner import HostContext, run_trial

from .conftest import NEVER

NewContext = Callable[..., HostContext]
TRIAL = Trial.pending(Phase.TRAIN, {"vm.swappiness": 80})
HUNG = "INFO: task dd:4711 blocked for more than 120 seconds."


def sample(at: float = 10.0, *log: str, used: float = 50.0, **error_counters: float) -> Sample:
    return Sample(at, {}, {"memory_used_percent": used}, error_counters, tuple((3, text) for text in log))


def reasons(guard: dict[str, Any], *samples: Sample) -> list[str | None]:
    check = LimitCheck(Guard.model_validate(guard))
    return [check.violation(each) for each in samples]


@pytest.mark.parametrize(
    ("limit", "off", "samples", "words"),
    [
        ("oom_kills", False, [sample(oom_kills=7), sample(10.5, oom_kills=8)], "1 OOM kill, limit 0 (guard.oom_kills)"),
        (
            "oom_kills",
            False,
            [sample(), sample(10.5, "Out of memory: Killed process 17 (my server) total-vm:1kB")],
            "1 OOM kill (my server), limit 0 (guard.oom_kills)",
        ),
        (
            "free_memory",
            False,
            [sample(), sample(10.5, used=98.5)],
            "available memory 1.5 %, limit 2 % (guard.free_memory)",
        ),
        ("kernel_log", False, [sample(), sample(10.5, HUNG)], "kernel log: INFO: task dd:4711 blocked"),
        ("kernel_log", False, [sample(), sample(10.5, "Oops: 0002 [#1] SMP")], "kernel log: Oops"),
        (
            "kernel_log",
            False,
            [sample(), sample(10.5, "watchdog: BUG: soft lockup - CPU#1 stuck for 22s!")],
            "kernel log: watchdog: BUG",
        ),
        (
            "memory_pressure",
            False,
            [sample(memory_stalled=5.0), sample(11, memory_stalled=5.5), sample(13, memory_stalled=7.4)],
            "memory pressure (PSI full) 80 % over 3 s, limit 60 % (guard.memory_pressure)",
        ),
        (
            "io_pressure",
            False,
            [sample(io_stalled=5.0), sample(11.5, io_stalled=6.5), sample(13, io_stalled=7.99)],
            "I/O pressure (PSI full) 100 % over 3 s, limit 99 %",
        ),
    ],
)
def test_each_limit_ends_a_trial_and_can_be_switched_off(
    limit: str, off: bool, samples: list[Sample], words: str
) -> None:
    *before, last = reasons({}, *samples)
    assert set(before) == {None}
    assert last is not None
    assert last.startswith(words)
    assert reasons({limit: off}, *samples)[-1] is None


def test_counters_before_the_trial_do_not_count() -> None:
    assert reasons({}, sample(oom_kills=900, memory_stalled=900, io_stalled=900)) == [None]


def test_a_short_stall_is_tolerated() -> None:
    stalled = [sample(10 + at / 2, memory_stalled=min(at / 2, 1.5)) for at in range(20)]
    assert set(reasons({}, *stalled)) == {None}


def test_pressure_is_measured_over_the_last_seconds() -> None:
    """A calm minute does not offset the stall that follows."""
    calm = [sample(10 + at, memory_stalled=0.0) for at in range(60)]
    stalled = [sample(70 + at / 2, memory_stalled=at / 2) for at in range(6)]
    assert reasons({}, *calm, *stalled)[-2:] != [None, None]


def test_oom_kills_up_to_the_limit_are_tolerated() -> None:
    kills = [sample(oom_kills=0), sample(oom_kills=2), sample(oom_kills=3)]
    assert [bool(reason) for reason in reasons({"oom_kills": 2}, *kills)] == [False, False, True]


@pytest.mark.parametrize(
    "text",
    [
        "BUG: kernel NULL pointer dereference, address: 0000000000000000",
        "BUG: unable to handle page fault for address: ffffc900",
        "Unable to handle kernel paging request at virtual address dead",
        "kernel BUG at mm/slub.c:448!",
        "general protection fault, probably for non-canonical address 0xdead: 0000 [#1] SMP",
        "Kernel panic - not syncing: Fatal exception",
        "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
        "watchdog: Watchdog detected hard LOCKUP on cpu 3",
    ],
)
def test_the_kernels_own_trouble_ends_a_trial(text: str) -> None:
    assert reasons({}, sample(), sample(10.5, text))[-1] == f"kernel log: {text}"


def test_ordinary_kernel_messages_are_tolerated() -> None:
    log = ["eth0: link up", "TCP: request_sock_TCP: Possible SYN flooding", "debugging is on", "BUGS fixed"]
    log += ["ACPI BIOS Error (bug): Could not resolve symbol [\\_TZ.ETMD], AE_NOT_FOUND"]
    log += ["[Firmware Bug]: cpu 0, invalid threshold interrupt offset 1"]
    log += ["traps: node[812] general protection fault ip:7f0 sp:7ff error:0 in libc.so.6"]
    assert reasons({}, sample(), sample(10.5, *log)) == [None, None]


def test_health_signals_are_shares() -> None:
    first = sample(
        10.0, cpu=500, cpu_stolen=9, memory_stalled=1, io_stalled=2, packets=100, packets_lost=5, segments=1000,
        segments_retransmitted=7,
    )  # fmt: skip
    last = sample(
        20.0, cpu=2500, cpu_stolen=109, memory_stalled=3, io_stalled=2, packets=300, packets_lost=7, segments=1500,
        segments_retransmitted=17,
    )  # fmt: skip
    assert health_signals([first, last], 3) == {
        "memory_pressure": pytest.approx(0.2),
        "io_pressure": 0.0,
        "steal": pytest.approx(0.05),
        "retransmits": pytest.approx(0.02),
        "errors": pytest.approx(0.01),
        "kernel_messages": 3.0,
    }


def test_unknown_health_signals_are_left_out() -> None:
    assert health_signals([sample(10.0), sample(20.0)], None) == {}
    assert health_signals([sample(10.0)], 0) == {}


def measured(context: HostContext) -> Trial:
    return run_trial(context, TRIAL, NEVER)


def test_a_trial_has_health_signals(host: Any, new_context: NewContext) -> None:
    trial = measured(new_context("sh -c 'sleep 0.3; echo throughput: 1'"))
    assert trial.metric == 1.0
    assert {"steal", "retransmits", "errors"} <= set(trial.health)
    assert all(value >= 0 for value in trial.health.values())
    assert host.restored == 0


def test_an_exceeded_limit_ends_the_benchmark_and_restores_the_original_values(
    host: Any, new_context: NewContext
) -> None:
    """The limit is more memory than there is."""
    trial = measured(new_context("sh -c 'echo throughput: 1; exec sleep 600.25'", guard={"free_memory": 99.9}))
    assert "limit 99.9 % (guard.free_memory)" in str(trial.error)
    assert str(trial.error).startswith("guard limit exceeded: ")
    assert trial.metric is None
    assert host.restored == 1
    while subprocess.run(["pgrep", "-xf", "sleep 600.25"], capture_output=True, check=False).stdout:
        time.sleep(0.01)


def test_a_limit_exceeded_at_the_end_fails_the_trial(host: Any, new_context: NewContext) -> None:
    """The benchmark ends before the first sample; the last one finds it."""
    trial = measured(new_context("echo throughput: 1", guard={"free_memory": 99.9}))
    assert (trial.metric, host.restored) == (None, 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"warm_up": 600},
        {"between": "sleep 600"},
        {"between": "sh -c 'sleep 2; exit 3'"},
        {"pause": 600},
    ],
)
def test_a_limit_holds_before_the_benchmark_too(fields: dict[str, Any], host: Any, new_context: NewContext) -> None:
    trial = replace(TRIAL, pause=fields.pop("pause", 0.0))
    context = new_context("sleep 600", guard={"free_memory": 99.9}, **fields)
    trial = run_trial(context, trial, NEVER)
    assert "limit 99.9 % (guard.free_memory)" in str(trial.error)
    assert host.restored == 1


def test_the_health_command_runs_while_warming_up(host: Any, new_context: NewContext, tmp_path: Path) -> None:
    health = f"sh -c '! test -e {tmp_path}/sick'"
    context = new_context(f"sh -c 'touch {tmp_path}/sick; sleep 600'", warm_up=600, guard={"health_command": health})
    assert "the health command ended with exit code 1" in str(measured(context).error)


def test_a_failing_health_command_ends_the_trial(host: Any, new_context: NewContext, tmp_path: Path) -> None:
    sick = tmp_path / "sick"
    command = f"sh -c 'echo throughput: 1; sleep 1.5; touch {sick}; sleep 600'"
    health = f"sh -c '! test -e {sick} || {{ echo queue is full >&2; exit 3; }}'"
    trial = measured(new_context(command, guard={"health_command": health}))
    assert trial.error == ("guard limit exceeded: the health command ended with exit code 3: queue is full")
    assert host.restored == 1


def test_a_health_command_that_fails_at_the_end_fails_the_trial(new_context: NewContext, tmp_path: Path) -> None:
    sick = tmp_path / "sick"
    context = new_context(
        f"sh -c 'sleep 0.5; touch {sick}; echo throughput: 1'", guard={"health_command": f"sh -c '! test -e {sick}'"}
    )
    assert "the health command ended with exit code 1" in str(measured(context).error)


def test_a_health_command_that_hangs_fails_the_trial(new_context: NewContext) -> None:
    guard = {"health_command": "sleep 60", "health_timeout": 0.5}
    trial = measured(new_context("sh -c 'echo throughput: 1; sleep 600'", guard=guard))
    assert "the health command did not end within 0.5 s" in str(trial.error)


def test_a_healthy_trial_completes(new_context: NewContext) -> None:
    context = new_context("sh -c 'sleep 1.5; echo throughput: 1'", guard={"health_command": "true"})
    assert measured(context).metric == 1.0


def test_reports_what_this_user_cannot_observe(monkeypatch: pytest.MonkeyPatch) -> None:
    script = sampling._SCRIPT.replace("/dev/kmsg", "/dev/no-such-log").replace("pressure/", "no-pressure/")
    monkeypatch.setattr(sampling, "_SCRIPT", script)
    monitor = HealthMonitor(Guard(), LocalTransport(), None)
    monitor.begin()
    monitor.end()
    assert [spot.split(" ", 2)[:2] for spot in monitor.blind_spots()] == [["this", "user"], ["the", "kernel"]]
    assert "kernel_messages" not in monitor.signals()
