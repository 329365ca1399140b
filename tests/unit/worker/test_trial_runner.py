from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof import verification
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Trial, to_json
from ansible_collections.autotune.kernel.plugins.plugin_utils._wire import Disconnected, Line
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker import trial_runner
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.benchmark import BenchmarkFailed
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.dry_run import dry_run, try_guard_benchmarks
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.health_guard import HealthMonitor
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.trial_runner import (
    ApplyFailed,
    HostContext,
    HostRefused,
    run_trial,
    run_trials,
)

from .conftest import NEVER

NewContext = Callable[..., HostContext]
PATIENCE = 120.0


TRIAL = Trial.pending(Phase.TRAIN, {"vm.swappiness": 80})
MESSAGE = {"kind": "trial", "trial": to_json(TRIAL)}


@pytest.fixture
def trainer() -> Iterator[tuple[Line, Line]]:
    """The trainer's end of the line, and the worker's."""
    own, theirs = socket.socketpair()
    own.settimeout(PATIENCE)
    lines = Line(own), Line(theirs)
    yield lines
    for line in lines:
        line.close()


@pytest.fixture
def shown() -> list[str]:
    return []


@pytest.fixture
def serving(
    trainer: tuple[Line, Line], new_context: NewContext, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Future[dict[str, Any]]]]:
    monkeypatch.setattr(HealthMonitor, "blind_spots", lambda monitor: [])  # these depend on the test machine
    with ThreadPoolExecutor(1) as pool:
        yield lambda **fields: pool.submit(run_trials, new_context(**fields), trainer[1], NEVER, shown.append)
        trainer[0].close()


def test_runs_trials_until_the_study_ends(
    trainer: tuple[Line, Line], serving: Callable[..., Future[dict[str, Any]]], shown: list[str]
) -> None:
    running = serving()
    trainer[0].send(**MESSAGE)
    first = trainer[0].receive()["trial"]
    assert (first["metric"], first["applied"], first["streamed"]) == (94.5, {"vm.swappiness": "50"}, [])
    assert set(first["seconds"]) == {"connect", "wait", "apply", "benchmark", "sample"}
    assert first["seconds"]["connect"] == 0.25
    assert (first["state"], first["metric"]) == ("complete", 94.5)
    progress = {"number": 1, "of": 9, "phase": "train", "label": "candidate", "metric": 94.5, "change": 2.0}
    progress |= {"benchmark": None}
    trainer[0].send("progress", **progress, best=None, left=5.0, error=None)
    trainer[0].send("notice", text="raise total_timesteps")
    trainer[0].send(**MESSAGE)
    # The time to connect counts once.
    assert set(trainer[0].receive()["trial"]["seconds"]) == {"wait", "apply", "benchmark", "sample"}
    trainer[0].send("end", result={"verdict": "improved"})
    assert running.result(PATIENCE) == {"verdict": "improved"}
    assert shown == ["1/9 h1 training: candidate 94.5 throughput (+2.0 %), 5 s left", "note: raise total_timesteps"]


RECEIVE = {"name": "receive", "benchmark_command": "echo mbit: 7", "metric": "mbit", "may_worsen": 3}


@pytest.mark.usefixtures("repetitions")
@pytest.mark.parametrize(
    ("steals", "counted", "repeated"),
    [
        ([[0.04]], [1], []),
        ([[0.22, 0.01]], [2], ["22"]),
    ],
)
def test_a_trial_is_repeated_when_other_virtual_machines_took_the_cpu(
    steals: list[list[float]],
    counted: list[int],
    repeated: list[str],
    trainer: tuple[Line, Line],
    serving: Callable[..., Future[dict[str, Any]]],
    shown: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planted = iter([steal for trial in steals for steal in trial])
    monkeypatch.setattr(HealthMonitor, "signals", lambda monitor: {"steal": next(planted)})
    runs = tmp_path / "runs"
    serving(command=f"sh -c 'echo run >>{runs}; echo throughput: $(wc -l <{runs})'")
    for metric, of_trial in zip(counted, steals, strict=True):
        trainer[0].send(**MESSAGE)
        trial = trainer[0].receive()["trial"]
        assert (trial["metric"], trial["health"]["steal"]) == (metric, min(of_trial))
        assert ("repetitions" in trial["seconds"]) == (len(of_trial) > 1)
    assert shown == [
        f"h1: other virtual machines took {share} % of the CPU time of this trial (steal): it is run again"
        for share in repeated
    ]


def test_runs_the_guard_benchmark_that_a_trial_names(new_context: NewContext) -> None:
    context = new_context(guard_benchmarks=[RECEIVE])
    own, other = (run_trial(context, replace(TRIAL, benchmark=name), NEVER) for name in (None, "receive"))
    assert (own.metric, other.metric, other.metrics) == (94.5, 7, {"mbit": 7})
    assert other.applied == own.applied == {"vm.swappiness": "50"}


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ({}, None),
        ({"health_command": "false"}, "guard limit exceeded: the health command ended with exit code 1: no message"),
    ],
)
def test_a_guard_benchmark_may_have_limits_of_its_own(
    limits: dict[str, Any], error: str | None, new_context: NewContext
) -> None:
    context = new_context(guard_benchmarks=[{**RECEIVE, "guard": limits}])
    assert run_trial(context, TRIAL, NEVER).error is None
    assert run_trial(context, replace(TRIAL, benchmark="receive"), NEVER).error == error


def test_progress_names_the_guard_benchmark_and_its_metric(
    trainer: tuple[Line, Line], serving: Callable[..., Future[dict[str, Any]]], shown: list[str]
) -> None:
    running = serving(guard_benchmarks=[RECEIVE])
    progress = {"number": 8, "of": 9, "phase": "guard", "label": "receive, candidate", "benchmark": "receive"}
    trainer[0].send("progress", **progress, metric=7.0, change=None, best=None, left=5.0, error=None)
    trainer[0].send("end", result={})
    running.result(PATIENCE)
    assert shown == ["8/9 h1 guard: receive, candidate 7 mbit, 5 s left"]


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("false", "guard benchmark receive ended with exit code 1: no message"),
        ("echo mbit: 0", "guard benchmark receive: the metric mbit is 0; it must be above 0"),
    ],
)
def test_a_guard_benchmark_that_does_not_work_is_found_before_the_run(
    command: str, error: str, new_context: NewContext, shown: list[str]
) -> None:
    context = new_context(guard_benchmarks=[RECEIVE, {**RECEIVE, "name": "second"}])
    seconds = try_guard_benchmarks(context, shown.append)
    assert all(0 < each < 100 for each in seconds.values())
    assert [*seconds] == ["receive", "second"]
    assert [line.partition(":")[0] for line in shown] == [
        "  guard benchmark receive works on h1",
        "  guard benchmark second works on h1",
    ]
    with pytest.raises(BenchmarkFailed, match=f"^{error}$"):
        try_guard_benchmarks(new_context(guard_benchmarks=[{**RECEIVE, "benchmark_command": command}]), shown.append)


def test_what_cannot_be_observed_is_shown_once(
    trainer: tuple[Line, Line],
    serving: Callable[..., Future[dict[str, Any]]],
    shown: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(HealthMonitor, "blind_spots", lambda monitor: ["the kernel log cannot be read"])
    running = serving()
    for dummy in range(2):
        trainer[0].send(**MESSAGE)
        trainer[0].receive()
    trainer[0].send("end", result={})
    running.result(PATIENCE)
    assert shown == ["h1: the kernel log cannot be read"]


def test_a_refusal_of_the_trainer_is_raised(
    trainer: tuple[Line, Line], serving: Callable[..., Future[dict[str, Any]]]
) -> None:
    running = serving()
    trainer[0].send("refused", reason="h1 and h2 are the same kernel")
    with pytest.raises(HostRefused, match="h1 and h2 are the same kernel"):
        running.result(PATIENCE)


def test_notices_that_the_trainer_is_gone(
    trainer: tuple[Line, Line], serving: Callable[..., Future[dict[str, Any]]]
) -> None:
    running = serving()
    trainer[0].close()
    with pytest.raises(Disconnected):
        running.result(PATIENCE)


def test_a_request_to_restore_cancels_a_trial_received_with_it(
    trainer: tuple[Line, Line], serving: Callable[..., Future[dict[str, Any]]]
) -> None:
    both = "".join(json.dumps(message) + "\n" for message in (MESSAGE, {"kind": "restore"}))
    trainer[0]._connection.sendall(both.encode())
    running = serving(command="sleep 15")
    # Otherwise the trial would come first.
    assert trainer[0].receive()["kind"] == "restored"
    trainer[0].send("end", result={"verdict": "stopped"})
    assert running.result(PATIENCE) == {"verdict": "stopped"}


def test_a_request_to_restore_cancels_a_running_trial(
    trainer: tuple[Line, Line], serving: Callable[..., Future[dict[str, Any]]], host: Any, shown: list[str]
) -> None:
    running = serving(command="sleep 600")
    trainer[0].send(**MESSAGE)
    while not host.applied:
        time.sleep(0.01)
    trainer[0].send("restore")
    # The cancelled trial is not sent back.
    assert trainer[0].receive() == {"kind": "restored", "ending": "original values restored and verified"}
    assert host.restored == 1
    trainer[0].send("end", result={"verdict": "stopped"})
    assert running.result(PATIENCE) == {"verdict": "stopped"}
    assert shown == ["h1: original values restored and verified"]


def test_a_benchmark_is_killed_when_the_trainer_is_gone(
    trainer: tuple[Line, Line], serving: Callable[..., Future[dict[str, Any]]], host: Any
) -> None:
    running = serving(command="sleep 600")
    trainer[0].send(**MESSAGE)
    while not host.applied:
        time.sleep(0.01)
    trainer[0].close()
    with pytest.raises(Disconnected):
        running.result(PATIENCE)


def test_a_trial_fails_if_its_values_cannot_be_applied(host: Any, new_context: NewContext) -> None:
    host.refused = [80]
    trial = run_trial(new_context("touch never"), TRIAL, NEVER)
    assert trial.error == ("the values could not be applied: vm.swappiness: 13 was not taken: Invalid argument")
    assert set(trial.seconds) == {"apply"}


def test_a_trial_fails_with_its_benchmark(new_context: NewContext) -> None:
    trial = run_trial(new_context("false"), TRIAL, NEVER)
    assert trial.error == "the benchmark ended with exit code 1: no message"
    assert (trial.applied, trial.metric) == ({"vm.swappiness": "50"}, None)


def test_the_command_between_runs_before_each_benchmark_with_the_applied_values(
    host: Any, new_context: NewContext
) -> None:
    context = new_context("sh -c 'echo throughput: $(wc -l < resets)'", between="sh -c 'echo reset >> resets'")
    trials = [run_trial(context, TRIAL, NEVER) for dummy in range(3)]
    assert [trial.metric for trial in trials] == [1, 2, 3]
    assert all(set(trial.seconds) >= {"apply", "between", "benchmark"} for trial in trials)
    assert host.applied == [{"vm.swappiness": 80}] * 3


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("sh -c 'echo no cache >&2; exit 4'", "the command `between` ended with exit code 4: no cache"),
        ("no-such-command", "the command `between` ended with exit code 127: "),
    ],
)
def test_a_trial_fails_with_the_command_between(command: str, message: str, new_context: NewContext) -> None:
    trial = run_trial(new_context("touch never", between=command), TRIAL, NEVER)
    assert trial.state == "failed"
    assert (trial.error or "").startswith(message)


def test_a_guard_benchmark_has_a_command_between_of_its_own(new_context: NewContext) -> None:
    own = {"between": "sh -c 'echo reset >> resets'", "benchmark_command": "sh -c 'echo mbit: $(wc -l < resets)'"}
    context = new_context(guard_benchmarks=[{**RECEIVE, **own}], between="false")
    assert [run_trial(context, replace(TRIAL, benchmark="receive"), NEVER).metric for dummy in range(2)] == [1, 2]


def test_the_metric_is_found_as_the_study_says(new_context: NewContext) -> None:
    command = """sh -c 'echo "ran 3 times in 2 s"; echo "ran 9 times in 2 s"'"""
    context = new_context(command, output={"patterns": {"throughput": r"ran (\d+) times"}})
    trial = run_trial(context, TRIAL, NEVER)
    assert (trial.metric, trial.metrics) == (9, {"throughput": 9})
    trial = run_trial(new_context(command, output="iperf3"), TRIAL, NEVER)
    assert trial.error == (
        "the benchmark did not print one JSON document; its last line was 'ran 9 times in 2 s'; call iperf3 with --json"
    )


def test_a_pause_comes_before_the_benchmark(new_context: NewContext) -> None:
    trial = run_trial(new_context(), replace(TRIAL, pause=0.3), NEVER)
    assert trial.metric == 94.5
    assert trial.seconds["pause"] >= 0.3


def test_a_pause_ends_when_it_is_cancelled(new_context: NewContext) -> None:
    began = time.monotonic()
    run_trial(new_context(), replace(TRIAL, pause=600), NEVER, is_cancelled=lambda: True)
    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize(("pause", "renewals"), [(0.0, 1), (0.5, 3)])
def test_the_lease_is_renewed_in_a_long_pause_and_after_a_long_reset(
    pause: float, renewals: int, host: Any, new_context: NewContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_runner, "_RENEWAL", 0.1)
    trial = run_trial(new_context(between="sleep 0.2"), replace(TRIAL, pause=pause), NEVER)
    assert trial.metric == 94.5
    assert host.applied[1:] == [{"vm.swappiness": 80}] * len(host.applied[1:])
    assert len(host.applied[1:]) >= renewals


# Ten per cent better with the candidate's values, and 5 % worse if the run before it had them.
LEAVES_SOMETHING = """sh -c '
value=$(cat {folder}/value)
metric=100; [ $value = 80 ] && metric=110
[ -e {folder}/leftover ] && metric=$((metric * 95 / 100)); rm -f {folder}/leftover
[ $value = 80 ] && touch {folder}/leftover
echo throughput: $metric'"""


@pytest.mark.takes_seconds
@pytest.mark.parametrize("reset", [False, True])
def test_the_command_between_removes_what_a_candidate_leaves_behind(
    reset: bool, host: Any, new_context: NewContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proof with real benchmarks: without the reset there is carry-over, and so no improvement."""
    monkeypatch.setattr(verification, "_PAUSES", 0)
    fields = {"between": f"rm -f {tmp_path}/leftover"} if reset else {}
    context = new_context(LEAVES_SOMETHING.format(folder=tmp_path), **fields)

    def run(trial: Trial) -> Trial:
        requested = {"vm.swappiness": 60} if trial.original else trial.requested
        (tmp_path / "value").write_text(str(requested["vm.swappiness"]))
        return run_trial(context, replace(trial, requested=requested), NEVER)

    proof = verification.verify(
        {"vm.swappiness": 80}, ("h1",), lambda pending: [run(trial) for trial in pending], context.study, seed=1
    )
    assert proof.improved is reset
    assert [test.found for test in proof.carry_over] == [not reset]
    assert reset or proof.reason.startswith("Carry-over, also with pauses of 0 s: a run right after one of the ")


def test_a_trial_fails_after_interference(host: Any, new_context: NewContext) -> None:
    host.interference = "vm.swappiness was changed meanwhile: 50 became 10"
    trial = run_trial(new_context(), TRIAL, NEVER)
    assert trial.error == "vm.swappiness was changed meanwhile: 50 became 10"
    assert trial.metric is None


def test_observes_the_study_s_state_space_only(new_context: NewContext) -> None:
    context = new_context("sh -c 'sleep 0.5; echo throughput: 1'", state_space=[{"metric": "load_1m"}])
    assert set(run_trial(context, TRIAL, NEVER).observations) == {"load_1m"}
    assert run_trial(new_context(), TRIAL, NEVER).observations == {}


FACTS = {"values": {"vm.swappiness": "60"}}


def test_a_dry_run_shows_the_search_space(host: Any, new_context: NewContext, shown: list[str]) -> None:
    context = new_context()
    dry_run(context, FACTS, run_benchmark=True, show=shown.append)
    assert shown[:3] == [
        "dry run on h1: connected, 1 parameter found and writable; nothing will be changed",
        "  would tune vm.swappiness: now 60, from 0 to 100",
        "  h1 accepts the bounds of the ranges, as far as can be checked without writing them",
    ]
    assert shown[3].startswith("  the benchmark works: 94.5, 94.5, 94.5 throughput in ")
    assert f"on this host alone, {context.study.trials_on(1)} trials would take about " in shown[3]
    assert shown[4] == "  baseline noise between runs: none"
    assert shown[5].startswith("  40 pairs on 1 host detect a gain of ")
    assert host.applied == [{"vm.swappiness": 0}, {"vm.swappiness": 100}]


@pytest.mark.takes_seconds
def test_a_dry_run_forecasts_the_power_of_the_proof(new_context: NewContext, shown: list[str]) -> None:
    noisy = "sh -c 'echo x >> runs; echo throughput: $((50 + 40 * ($(wc -l < runs) % 2)))'"
    dry_run(new_context(noisy), FACTS, run_benchmark=True, show=shown.append, hosts=4)
    assert "90, 50, 90 throughput" in shown[3]
    assert shown[5].startswith("  h1: 40 pairs on 4 hosts detect a gain of ")
    assert "verification.min_improvement" in shown[6]


def test_a_dry_run_requires_all_objectives(new_context: NewContext, shown: list[str]) -> None:
    context = new_context(objectives=[{"metric": "p99", "direction": "minimise"}])
    with pytest.raises(BenchmarkFailed, match="printed no line `p99: NUMBER`, required by objectives"):
        dry_run(context, FACTS, run_benchmark=True, show=shown.append)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("sh -c 'echo no disk >&2; exit 3'", "the benchmark ended with exit code 3: no disk"),
        ("echo throughput: 0", "the metric throughput is 0; it must be above 0"),
        ("true", "the benchmark printed nothing on standard output; expected a line `throughput: NUMBER`"),
    ],
)
def test_a_dry_run_reports_a_failing_benchmark(new_context: NewContext, command: str, message: str) -> None:
    with pytest.raises(BenchmarkFailed) as failure:
        dry_run(new_context(command), FACTS, run_benchmark=True, show=lambda line: None)
    assert str(failure.value) == message


def test_check_mode_does_not_run_the_benchmark(new_context: NewContext, shown: list[str]) -> None:
    dry_run(new_context("false"), FACTS, run_benchmark=False, show=shown.append)
    assert len(shown) == 3


def test_a_dry_run_finds_a_bound_that_the_host_rejects(host: Any, new_context: NewContext) -> None:
    host.refused = [100]
    with pytest.raises(ApplyFailed, match="Invalid argument"):
        dry_run(new_context(), FACTS, run_benchmark=True, show=lambda line: None)
