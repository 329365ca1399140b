from __future__ import annotations

import json
import math
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.fleet import Ended
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, State, Trial, to_json
from ansible_collections.autotune.kernel.plugins.plugin_utils._wire import Disconnected

from ..conftest import facts

NewFleet = Callable[..., Any]
PATIENCE = 180.0


def candidate(value: int) -> Trial:
    return Trial.pending(Phase.TRAIN, {"vm.swappiness": value})


def test_measures_the_baseline_with_the_original_values(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1")
    worker = harness.worker("h1").hello().ready(values={"vm.swappiness": "\t60 "})
    waiting = harness.wait_for_baselines()
    for metric in (90.0, 110.0):
        assert not waiting.done()
        trial = worker.trial()
        assert (trial["phase"], trial["requested"]) == ("baseline", {"vm.swappiness": "60"})
        worker.answer(metric)
    waiting.result(PATIENCE)
    host = harness.fleet.hosts["h1"]
    assert (harness.ready, host.baseline_metrics) == (["h1"], [90.0, 110.0])
    assert math.exp(host.drift.level(2).level) == pytest.approx(100.0, abs=1)


def test_a_host_says_how_long_its_guard_benchmarks_take(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1", "h2")
    tried, other = harness.worker("h1").hello(), harness.worker("h2").baseline()
    tried.line.send("ready", host="h1", facts=facts(boot_id="h1"), guard_seconds={"receive": 3.7})
    tried.trial()
    assert harness.fleet.hosts["h1"].guard_seconds == {"receive": 3.7}
    assert harness.fleet.hosts["h2"].guard_seconds == {}
    other.leave()


def test_waits_for_the_baselines_of_all_connected_hosts(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1", "h2", "never")
    slow = harness.worker("h2").hello()
    harness.until(lambda: "h2" in harness.fleet._workers.connected)
    first = harness.worker("h1").baseline()
    waiting = harness.wait_for_baselines()
    slow.ready()
    for dummy in range(2):
        slow.trial()
        assert not waiting.done()
        slow.answer()
    waiting.result(PATIENCE)
    first.leave()


def test_idle_hosts_get_trials_and_the_results_keep_the_order_of_the_requests(new_fleet: NewFleet) -> None:
    harness = new_fleet("fast", "slow")
    slow, fast = harness.worker("slow").baseline(), harness.worker("fast").baseline()
    measuring = harness.measure(*map(candidate, range(5)))
    held = slow.trial()
    for dummy in range(4):
        value = fast.trial()["requested"]["vm.swappiness"]
        fast.answer(100.0 + value)
    assert not measuring.done()
    slow.answer(100.0 + held["requested"]["vm.swappiness"])
    trials = measuring.result(PATIENCE)
    assert [trial.metric for trial in trials] == [100.0, 101.0, 102.0, 103.0, 104.0]
    assert sorted(trial.host for trial in trials) == ["fast"] * 4 + ["slow"]
    assert sorted(trial.id for trial in trials) == [5, 6, 7, 8, 9]


def test_another_host_runs_the_trial_of_a_lost_host(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1", "h2")
    first = harness.worker("h1").baseline()
    measuring = harness.measure(candidate(7))
    assert first.trial()["requested"] == {"vm.swappiness": 7}
    first.line.close()
    second = harness.worker("h2").baseline()
    assert second.trial()["requested"] == {"vm.swappiness": 7}
    second.answer(130.0)
    (trial,) = measuring.result(PATIENCE)
    assert (trial.host, trial.metric) == ("h2", 130.0)
    assert harness.lost == [("h1", "the connection to its worker was lost")]


ANSWER = to_json(replace(candidate(1), host="faulty", state=State.COMPLETE, metric=1.0))


@pytest.mark.parametrize(
    "invalid",
    [
        {"kind": "trial", "trial": {**ANSWER, "colour": "green"}},
        {"kind": "trial", "trial": {**ANSWER, "metric": "many"}},
        {"kind": "trial", "trial": {**ANSWER, "streamed": [1, 2, "3"]}},
        {"kind": "trial", "trial": {**ANSWER, "requested": {"vm.swappiness": 3}}},
        {"kind": "trial", "trial": {**ANSWER, "phase": "sleep"}},
        {"kind": "trial"},
        b'{"kind": "dance"}\n',
        b"[]\n",
        b"hello?\n",
        b"\xff\xfe\n",
    ],
)
def test_a_host_that_sends_an_invalid_message_is_lost_and_its_trial_is_not(invalid: Any, new_fleet: NewFleet) -> None:
    harness = new_fleet("faulty", "h2")
    faulty, other = harness.worker("faulty").baseline(), harness.worker("h2").baseline()
    measuring = harness.measure(candidate(1), candidate(2))
    faulty.trial()
    faulty.line._connection.sendall(invalid if isinstance(invalid, bytes) else json.dumps(invalid).encode() + b"\n")
    for dummy in range(2):
        other.trial()
        other.answer()
    assert [trial.host for trial in measuring.result(PATIENCE)] == ["h2", "h2"]
    ((name, reason),) = harness.lost
    assert name == "faulty"
    assert reason.startswith("invalid message from its worker: ")


def test_an_invalid_first_message_loses_no_host(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1")
    stranger = harness.worker("unnamed")
    stranger.line._connection.sendall(b"GET / HTTP/1.1\n")
    with pytest.raises(Disconnected):
        stranger.line.receive()
    harness.worker("h1").baseline()
    assert harness.lost == []


def test_the_verify_trials_of_a_lost_host_are_lost(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1", "h2")
    worker, other = harness.worker("h1").baseline(), harness.worker("h2").baseline()
    pending = [
        Trial.pending(Phase.VERIFY, values, host, 1)
        for host in ("h1", "h2", "gone")
        for values in (None, {"vm.swappiness": 1})
    ]
    measuring = harness.measure(*pending)
    worker.trial()
    worker.leave("lost: the SSH connection broke")
    for dummy in range(2):
        other.trial()
        other.answer()
    trials = measuring.result(PATIENCE)
    assert [trial.error for trial in trials] == [
        "lost: the SSH connection broke",
        "lost: the SSH connection broke",
        None,
        None,
        "the host is gone",
        "the host is gone",
    ]
    assert [trial.state != State.LOST for trial in trials] == [False, False, True, True, False, False]


def test_a_control_trial_follows_each_interval(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1", control_interval=3)
    worker = harness.worker("h1").baseline()
    measuring = harness.measure(*map(candidate, range(7)))
    phases = []
    for dummy in range(9):
        phases.append(worker.trial()["phase"])
        worker.answer(100.0)
    measuring.result(PATIENCE)
    assert phases == [*["train"] * 3, "control", *["train"] * 3, "control", "train"]


def test_an_improbable_control_is_repeated_at_once_and_a_shift_is_reported(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1", control_interval=2, baseline_trials=3)
    worker = harness.worker("h1").baseline(count=3)
    measuring = harness.measure(*map(candidate, range(4)))
    phases = []
    for number in range(6):
        if number == 4:
            assert worker.receive("notice")["text"].startswith("h1: baseline shifted by -50 %: ")
        trial = worker.trial()
        phases.append(trial["phase"])
        worker.answer(50.0 if trial["phase"] == "control" else 100.0)
    measuring.result(PATIENCE)
    assert phases == ["train"] * 2 + ["control"] * 2 + ["train"] * 2
    # As good as the baseline before the shift, and twice as good as the baseline after it.
    assert [round(trial.score.performance or 0.0, 2) for trial in harness.trials[3:]] == [
        *[0.0, 0.0],
        *[-0.69, 0.0],
        *[0.69, 0.69],
    ]
    ((name, text),) = harness.notices
    assert (name, text.split(":")[0]) == ("h1", "baseline shifted by -50 %")
    assert [round(trial.score.level or 0.0) for trial in harness.trials[-2:]] == [50, 50]


def test_refuses_a_host_on_which_the_benchmark_does_not_work(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1")
    worker = harness.worker("h1").hello().ready()
    for dummy in range(2):
        worker.trial()
        worker.answer(None, error="the benchmark ended with exit code 3: no disk")
    reason = worker.receive("refused")["reason"]
    assert reason == (
        "the benchmark does not work with the host's original values: the benchmark ended with exit code 3: no disk"
    )
    with pytest.raises(Ended, match="h1: the benchmark does not work") as caught:
        harness.wait_for_baselines().result(PATIENCE)
    assert not caught.value.stopped


def test_a_failed_baseline_trial_is_retried_once(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1")
    worker = harness.worker("h1").hello().ready()
    worker.trial()
    worker.answer(None, error="the benchmark ended with exit code 1: the server is busy")
    for dummy in range(2):
        assert worker.trial()["phase"] == "baseline"
        worker.answer()
    harness.wait_for_baselines().result(PATIENCE)
    assert harness.fleet.hosts["h1"].baseline_metrics == [100.0, 100.0]


@pytest.mark.parametrize("metric", [0.0, -5.0, None])
def test_a_metric_without_a_logarithm_is_a_failure(metric: float | None, new_fleet: NewFleet) -> None:
    harness = new_fleet("h1")
    worker = harness.worker("h1").baseline()
    measuring = harness.measure(candidate(1))
    worker.trial()
    worker.answer(metric)
    (trial,) = measuring.result(PATIENCE)
    assert trial.state == State.FAILED
    assert trial.error == f"the metric throughput is {metric or 0:g}; it must be above 0"
    assert trial.score.reward == -2.0


@pytest.mark.parametrize(
    ("parameter", "first", "second", "refused"),
    [
        ("vm.swappiness", ("boot", 1), ("boot", 1), True),
        ("vm.swappiness", ("boot", 1), ("boot", 2), True),
        ("vm.swappiness", ("boot", 1), ("other boot", 1), False),
        ("net.core.somaxconn", ("boot", 1), ("boot", 1), True),
        ("net.core.somaxconn", ("boot", 1), ("boot", 2), False),
        ("net/ipv4/conf/eth0.1/mc_x", ("boot", 1), ("boot", 2), False),
        ("net.core.somaxconn", ("boot", 1), ("other boot", 1), False),
    ],
)
def test_refuses_two_names_for_one_kernel(
    parameter: str, first: tuple[str, int], second: tuple[str, int], refused: bool, new_fleet: NewFleet
) -> None:
    harness = new_fleet("h1", "h2", action_space=[{"param": parameter, "type": "bool"}])
    values = {parameter: "0"}
    harness.worker("h1").baseline(boot_id=first[0], network_namespace=first[1], values=values)
    worker = harness.worker("h2").hello().ready(boot_id=second[0], network_namespace=second[1], values=values)
    if refused:
        reason = worker.receive("refused")["reason"]
        assert reason == f"h2 and h1 are the same kernel and share {parameter}; tune one of them"
        assert list(harness.fleet.hosts) == ["h1"]
    else:
        assert worker.trial()["phase"] == "baseline"


@pytest.mark.parametrize("exploration", ["cautious", "free"])
def test_cautious_exploration_needs_equal_original_values(new_fleet: NewFleet, exploration: str) -> None:
    harness = new_fleet("h1", "h2", exploration=exploration)
    harness.worker("h1").baseline()
    second = harness.worker("h2").hello().ready(values={"vm.swappiness": "10"})
    if exploration == "free":
        assert second.trial()["phase"] == "baseline"
    else:
        reason = second.receive("refused")["reason"]
        assert "vm.swappiness is 10 on h2 and 60 on h1; tune h2 separately" in reason


def test_a_late_host_gets_trials(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1", "late")
    first = harness.worker("h1").baseline()
    harness.wait_for_baselines().result(PATIENCE)
    measuring = harness.measure(candidate(1), candidate(2))
    held = first.trial()
    late = harness.worker("late").baseline()
    assert late.trial()["requested"] != held["requested"]
    late.answer()
    first.answer()
    assert {trial.host for trial in measuring.result(PATIENCE)} == {"h1", "late"}


def test_hosts_may_join_and_leave_during_an_iteration_over_them(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1", "late")
    harness.worker("h1").baseline()
    measured = harness.wait_for_baselines().result(PATIENCE)
    before = iter(harness.fleet.hosts)
    late = harness.worker("late").hello().ready()
    harness.until(lambda: "late" in harness.fleet.hosts)
    assert list(before) == ["h1"]
    assert list(measured) == ["h1"], "the late host has no baseline yet"
    both = iter(harness.fleet.hosts)
    late.leave()
    harness.until(lambda: "late" not in harness.fleet.hosts)
    assert list(both) == ["h1", "late"]


def test_nothing_changes_while_the_fleet_is_paused(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1", "late")
    worker = harness.worker("h1").baseline()
    measuring = harness.measure(candidate(1))
    worker.trial()
    with harness.fleet.paused():
        worker.send_answer(metric=100.0)
        harness.worker("late").hello().ready()
        time.sleep(0.2)
        assert (len(harness.trials), list(harness.fleet.hosts), measuring.done()) == (2, ["h1"], False)
    measuring.result(PATIENCE)
    harness.until(lambda: "late" in harness.fleet.hosts)


def test_waiting_for_hosts_ends_when_the_last_one_is_lost(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1")
    worker = harness.worker("h1").baseline()
    assert list(harness.fleet.wait_for_hosts()) == ["h1"]
    worker.leave("its link was cut")
    harness.until(lambda: not harness.fleet.hosts)
    with pytest.raises(Ended, match="h1: its link was cut"):
        harness.fleet.wait_for_hosts()


HERE = {"boot_id": "the controller's", "network_namespace": 7}


def test_the_trainers_machine_runs_no_trial_while_the_learner_works(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1", here=tuple(HERE.values()))
    baselines = harness.wait_for_baselines()
    worker = harness.worker("h1").baseline(**HERE)
    baselines.result(PATIENCE)
    tickets = harness.fleet.submit([candidate(1), candidate(2)])
    time.sleep(0.2)
    assert not worker.line.is_readable()
    for ticket in tickets:
        waiting = harness.wait_for_any([each for each in tickets if not each.has_ended])
        worker.trial()
        worker.answer()
        waiting.result(PATIENCE)
        assert ticket.has_ended
        time.sleep(0.2)
        assert not worker.line.is_readable(), "the learner is working"


def test_the_learner_waits_for_the_trial_on_its_machine_while_other_hosts_continue(new_fleet: NewFleet) -> None:
    harness = new_fleet("local", "other", here=tuple(HERE.values()))
    baselines = harness.wait_for_baselines()
    local, other = harness.worker("local").baseline(**HERE), harness.worker("other").baseline()
    baselines.result(PATIENCE)
    waiting = harness.wait_for_any(harness.fleet.submit([candidate(at) for at in range(4)]))
    local.trial()
    for dummy in range(2):
        other.trial()
        other.answer()
    assert not waiting.done()
    local.answer()
    waiting.result(PATIENCE)
    other.trial()
    time.sleep(0.2)
    assert not local.line.is_readable()


def test_notices_reach_a_worker(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1")
    worker = harness.worker("h1").baseline()
    harness.fleet.notify("total_timesteps is less than one rollout")
    assert worker.receive("notice")["text"] == "total_timesteps is less than one rollout"


def test_a_notice_that_a_worker_did_not_get_reaches_another_one(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1", "h2")
    leaving, staying = (harness.worker(name).baseline() for name in ("h1", "h2"))
    leaving.line.close()
    harness.fleet.notify("writing to the store failed")
    assert staying.receive("notice")["text"] == "writing to the store failed"


def test_notices_that_belong_together_reach_one_worker_in_order(new_fleet: NewFleet) -> None:
    """Two workers could show them in the wrong order."""
    harness = new_fleet("h1", "h2")
    workers = [harness.worker(name).baseline() for name in ("h1", "h2")]
    together = [f"line {number}" for number in range(20)]
    harness.fleet.notify(*together)
    harness.until(lambda: any(worker.line.is_readable() for worker in workers))
    (worker,) = [worker for worker in workers if worker.line.is_readable()]
    assert [worker.receive("notice")["text"] for dummy in together] == together


def test_many_hosts_run_each_trial_once(new_fleet: NewFleet) -> None:
    names = [f"h{at}" for at in range(8)]
    harness = new_fleet(*names, control_interval=4)
    done: list[int] = []
    for name in names:
        harness.working(name, lambda trial: done.append(trial["requested"]["vm.swappiness"]) or {"metric": 100.0})
    harness.wait_for_baselines().result(PATIENCE)
    done.clear()
    trials = harness.measure(*map(candidate, range(200))).result(PATIENCE)
    assert [trial.requested["vm.swappiness"] for trial in trials] == list(range(200))
    assert sorted(value for value in done if isinstance(value, int)) == list(range(200))


def test_a_worker_lost_while_it_is_sent_a_trial_does_not_affect_others(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1", "gone")
    gone = harness.worker("gone").baseline()
    stay = harness.worker("h1").baseline()
    gone.line._connection.shutdown(socket.SHUT_RDWR)
    measuring = harness.measure(*map(candidate, range(4)))
    answering = threading.Thread(target=lambda: [(stay.trial(), stay.answer()) for dummy in range(4)])
    answering.start()
    assert [trial.host for trial in measuring.result(PATIENCE)] == ["h1"] * 4
    answering.join()
