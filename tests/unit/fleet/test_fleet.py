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

NewRoom = Callable[..., Any]
PATIENCE = 180.0


def candidate(value: int) -> Trial:
    return Trial.pending(Phase.TRAIN, {"vm.swappiness": value})


def test_measures_the_baseline_with_the_hosts_own_values(new_room: NewRoom) -> None:
    room = new_room("h1")
    worker = room.worker("h1").hello().ready(values={"vm.swappiness": "\t60 "})
    waiting = room.wait_for_baselines()
    for metric in (90.0, 110.0):
        assert not waiting.done()
        job = worker.trial()
        assert (job["phase"], job["requested"]) == ("baseline", {"vm.swappiness": "60"})
        worker.answer(metric)
    waiting.result(PATIENCE)
    host = room.fleet.hosts["h1"]
    assert (room.arrived, host.baseline_metrics) == (["h1"], [90.0, 110.0])
    assert math.exp(host.drift.level(2).level) == pytest.approx(100.0, abs=1)


def test_waits_for_the_baselines_of_all_who_are_connected(new_room: NewRoom) -> None:
    room = new_room("h1", "h2", "never")
    slow = room.worker("h2").hello()
    first = room.worker("h1").baseline()
    waiting = room.wait_for_baselines()
    slow.ready()
    for dummy in range(2):
        slow.trial()
        assert not waiting.done()
        slow.answer()
    waiting.result(PATIENCE)
    first.leave()


def test_gives_jobs_to_whoever_is_idle_and_answers_in_their_order(new_room: NewRoom) -> None:
    room = new_room("fast", "slow")
    slow, fast = room.worker("slow").baseline(), room.worker("fast").baseline()
    measuring = room.measure(*map(candidate, range(5)))
    held = slow.trial()
    for dummy in range(4):
        value = fast.trial()["requested"]["vm.swappiness"]
        fast.answer(100.0 + value)
    assert not measuring.done()
    slow.answer(100.0 + held["requested"]["vm.swappiness"])
    evaluations = measuring.result(PATIENCE)
    assert [evaluation.metric for evaluation in evaluations] == [100.0, 101.0, 102.0, 103.0, 104.0]
    assert sorted(evaluation.host for evaluation in evaluations) == ["fast"] * 4 + ["slow"]
    assert sorted(evaluation.id for evaluation in evaluations) == [5, 6, 7, 8, 9]


def test_gives_the_job_of_a_lost_host_to_another(new_room: NewRoom) -> None:
    room = new_room("h1", "h2")
    first = room.worker("h1").baseline()
    measuring = room.measure(candidate(7))
    assert first.trial()["requested"] == {"vm.swappiness": 7}
    first.line.close()
    second = room.worker("h2").baseline()
    assert second.trial()["requested"] == {"vm.swappiness": 7}
    second.answer(130.0)
    (evaluation,) = measuring.result(PATIENCE)
    assert (evaluation.host, evaluation.metric) == ("h2", 130.0)
    assert room.lost == [("h1", "its connection to the trainer broke")]


ANSWER = to_json(replace(candidate(1), host="odd", state=State.COMPLETE, metric=1.0))


@pytest.mark.parametrize(
    "nonsense",
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
def test_a_host_that_talks_nonsense_is_lost_and_its_job_is_not(nonsense: Any, new_room: NewRoom) -> None:
    room = new_room("odd", "h2")
    odd, other = room.worker("odd").baseline(), room.worker("h2").baseline()
    measuring = room.measure(candidate(1), candidate(2))
    odd.trial()
    odd.line._connection.sendall(nonsense if isinstance(nonsense, bytes) else json.dumps(nonsense).encode() + b"\n")
    for dummy in range(2):
        other.trial()
        other.answer()
    assert [evaluation.host for evaluation in measuring.result(PATIENCE)] == ["h2", "h2"]
    ((name, reason),) = room.lost
    assert name == "odd"
    assert reason.startswith("it said something unintelligible: ")


def test_nonsense_instead_of_a_name_loses_nobody(new_room: NewRoom) -> None:
    room = new_room("h1")
    stranger = room.worker("nobody")
    stranger.line._connection.sendall(b"GET / HTTP/1.1\n")
    with pytest.raises(Disconnected):
        stranger.line.receive()
    room.worker("h1").baseline()
    assert room.lost == []


def test_verify_jobs_fail_with_their_host(new_room: NewRoom) -> None:
    room = new_room("h1", "h2")
    worker, other = room.worker("h1").baseline(), room.worker("h2").baseline()
    jobs = [
        Trial.pending(Phase.VERIFY, values, host, 1)
        for host in ("h1", "h2", "gone")
        for values in (None, {"vm.swappiness": 1})
    ]
    measuring = room.measure(*jobs)
    worker.trial()
    worker.leave("lost: the SSH connection broke")
    for dummy in range(2):
        other.trial()
        other.answer()
    evaluations = measuring.result(PATIENCE)
    assert [evaluation.error for evaluation in evaluations] == [
        "lost: the SSH connection broke",
        "lost: the SSH connection broke",
        None,
        None,
        "the host is gone",
        "the host is gone",
    ]
    assert [evaluation.state != State.LOST for evaluation in evaluations] == [False, False, True, True, False, False]


def test_controls_come_after_every_interval(new_room: NewRoom) -> None:
    room = new_room("h1", control_interval=3)
    worker = room.worker("h1").baseline()
    measuring = room.measure(*map(candidate, range(7)))
    phases = []
    for dummy in range(9):
        phases.append(worker.trial()["phase"])
        worker.answer(100.0)
    measuring.result(PATIENCE)
    assert phases == [*["train"] * 3, "control", *["train"] * 3, "control", "train"]


def test_a_control_that_looks_odd_is_repeated_at_once_and_a_jump_is_told(new_room: NewRoom) -> None:
    room = new_room("h1", control_interval=2, baseline_evaluations=3)
    worker = room.worker("h1").baseline(count=3)
    measuring = room.measure(*map(candidate, range(4)))
    phases = []
    for dummy in range(6):
        job = worker.trial()
        phases.append(job["phase"])
        worker.answer(50.0 if job["phase"] == "control" else 100.0)
    measuring.result(PATIENCE)
    assert phases == ["train"] * 2 + ["control"] * 2 + ["train"] * 2
    # Twice as good as the baseline is now; before, it was just as good.
    assert [round(evaluation.score.performance or 0.0, 2) for evaluation in room.evaluations[3:]] == [
        *[0.0, 0.0],
        *[-0.69, 0.0],
        *[0.69, 0.69],
    ]
    ((name, text),) = room.news
    assert (name, text.split(":")[0]) == ("h1", "baseline shifted by -50 %")
    assert [round(evaluation.score.level or 0.0) for evaluation in room.evaluations[-2:]] == [50, 50]


def test_refuses_a_host_on_which_the_benchmark_does_not_work(new_room: NewRoom) -> None:
    room = new_room("h1")
    worker = room.worker("h1").hello().ready()
    for dummy in range(2):
        worker.trial()
        worker.answer(None, error="the benchmark ended with exit code 3: no disk")
    reason = worker.receive("refused")["reason"]
    assert reason == (
        "the benchmark does not work with the host's own values: the benchmark ended with exit code 3: no disk"
    )
    with pytest.raises(Ended, match="h1: the benchmark does not work") as caught:
        room.wait_for_baselines().result(PATIENCE)
    assert not caught.value.stopped


def test_one_failure_in_the_baseline_is_an_accident(new_room: NewRoom) -> None:
    room = new_room("h1")
    worker = room.worker("h1").hello().ready()
    worker.trial()
    worker.answer(None, error="the benchmark ended with exit code 1: the server is busy")
    for dummy in range(2):
        assert worker.trial()["phase"] == "baseline"
        worker.answer()
    room.wait_for_baselines().result(PATIENCE)
    assert room.fleet.hosts["h1"].baseline_metrics == [100.0, 100.0]


@pytest.mark.parametrize("metric", [0.0, -5.0, None])
def test_a_metric_that_forms_no_ratio_is_a_failure(metric: float | None, new_room: NewRoom) -> None:
    room = new_room("h1")
    worker = room.worker("h1").baseline()
    measuring = room.measure(candidate(1))
    worker.trial()
    worker.answer(metric)
    (evaluation,) = measuring.result(PATIENCE)
    assert evaluation.state == State.FAILED
    assert evaluation.error == f"the metric throughput is {metric or 0:g}; it must be above 0"
    assert evaluation.score.reward == -2.0


@pytest.mark.parametrize(
    ("parameter", "own", "other", "refused"),
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
    parameter: str, own: tuple[str, int], other: tuple[str, int], refused: bool, new_room: NewRoom
) -> None:
    room = new_room("h1", "h2", action_space=[{"param": parameter, "type": "bool"}])
    values = {parameter: "0"}
    room.worker("h1").baseline(boot_id=own[0], network_namespace=own[1], values=values)
    second = room.worker("h2").hello().ready(boot_id=other[0], network_namespace=other[1], values=values)
    if refused:
        reason = second.receive("refused")["reason"]
        assert reason == f"h2 and h1 are the same kernel and share {parameter}; tune one of them"
        assert list(room.fleet.hosts) == ["h1"]
    else:
        assert second.trial()["phase"] == "baseline"


@pytest.mark.parametrize("exploration", ["cautious", "free"])
def test_cautious_exploration_has_one_place_to_start_from(new_room: NewRoom, exploration: str) -> None:
    room = new_room("h1", "h2", exploration=exploration)
    room.worker("h1").baseline()
    second = room.worker("h2").hello().ready(values={"vm.swappiness": "10"})
    if exploration == "free":
        assert second.trial()["phase"] == "baseline"
    else:
        reason = second.receive("refused")["reason"]
        assert "vm.swappiness is 10 on h2 and 60 on h1; tune h2 in a run of its own" in reason


def test_a_late_host_takes_its_share(new_room: NewRoom) -> None:
    room = new_room("h1", "late")
    first = room.worker("h1").baseline()
    room.wait_for_baselines().result(PATIENCE)
    measuring = room.measure(candidate(1), candidate(2))
    held = first.trial()
    late = room.worker("late").baseline()
    assert late.trial()["requested"] != held["requested"]
    late.answer()
    first.answer()
    assert {evaluation.host for evaluation in measuring.result(PATIENCE)} == {"h1", "late"}


def test_whoever_goes_through_the_hosts_is_not_disturbed_by_one_that_comes_or_goes(new_room: NewRoom) -> None:
    room = new_room("h1", "late")
    room.worker("h1").baseline()
    measured = room.wait_for_baselines().result(PATIENCE)
    through = iter(room.fleet.hosts)
    late = room.worker("late").hello().ready()
    room.until(lambda: "late" in room.fleet.hosts)
    assert list(through) == ["h1"]
    assert list(measured) == ["h1"], "of the late one there is nothing to begin with"
    both = iter(room.fleet.hosts)
    late.leave()
    room.until(lambda: "late" not in room.fleet.hosts)
    assert list(both) == ["h1", "late"]


def test_while_all_is_looked_at_nothing_comes_in(new_room: NewRoom) -> None:
    room = new_room("h1", "late")
    worker = room.worker("h1").baseline()
    measuring = room.measure(candidate(1))
    worker.trial()
    with room.fleet.still():
        worker.send_answer(metric=100.0)
        room.worker("late").hello().ready()
        time.sleep(0.2)
        assert (len(room.evaluations), list(room.fleet.hosts), measuring.done()) == (2, ["h1"], False)
    measuring.result(PATIENCE)
    room.until(lambda: "late" in room.fleet.hosts)


def test_without_hosts_nobody_waits_for_one_for_ever(new_room: NewRoom) -> None:
    room = new_room("h1")
    worker = room.worker("h1").baseline()
    assert list(room.fleet.wait_for_hosts()) == ["h1"]
    worker.leave("its link was cut")
    room.until(lambda: not room.fleet.hosts)
    with pytest.raises(Ended, match="h1: its link was cut"):
        room.fleet.wait_for_hosts()


HERE = {"boot_id": "the controller's", "network_namespace": 7}


def test_on_the_learners_own_machine_nothing_is_measured_while_it_thinks(new_room: NewRoom) -> None:
    room = new_room("h1", here=tuple(HERE.values()))
    baselines = room.wait_for_baselines()
    worker = room.worker("h1").baseline(**HERE)
    baselines.result(PATIENCE)
    tickets = room.fleet.hand_out([candidate(1), candidate(2)])
    time.sleep(0.2)
    assert not worker.line.has_news()
    for ticket in tickets:
        waiting = room.wait_for_any([each for each in tickets if not each.has_ended])
        worker.trial()
        worker.answer()
        waiting.result(PATIENCE)
        assert ticket.has_ended
        time.sleep(0.2)
        assert not worker.line.has_news(), "it is the learner's turn now"


def test_the_learner_waits_for_the_host_on_its_own_machine_while_others_go_on(new_room: NewRoom) -> None:
    room = new_room("own", "other", here=tuple(HERE.values()))
    baselines = room.wait_for_baselines()
    own, other = room.worker("own").baseline(**HERE), room.worker("other").baseline()
    baselines.result(PATIENCE)
    waiting = room.wait_for_any(room.fleet.hand_out([candidate(at) for at in range(4)]))
    own.trial()
    for dummy in range(2):
        other.trial()
        other.answer()
    assert not waiting.done()
    own.answer()
    waiting.result(PATIENCE)
    other.trial()
    time.sleep(0.2)
    assert not own.line.has_news()


def test_notices_reach_a_worker(new_room: NewRoom) -> None:
    room = new_room("h1")
    worker = room.worker("h1").baseline()
    room.fleet.notify("total_timesteps is less than one rollout")
    assert worker.receive("notice")["text"] == "total_timesteps is less than one rollout"


def test_notices_that_belong_together_reach_one_worker_in_their_order(new_room: NewRoom) -> None:
    """Shown by two workers, the second of two sentences came before the first."""
    room = new_room("h1", "h2")
    workers = [room.worker(name).baseline() for name in ("h1", "h2")]
    together = [f"line {number}" for number in range(20)]
    room.fleet.notify(*together)
    room.until(lambda: any(worker.line.has_news() for worker in workers))
    (worker,) = [worker for worker in workers if worker.line.has_news()]
    assert [worker.receive("notice")["text"] for dummy in together] == together


def test_many_hosts_do_every_job_once(new_room: NewRoom) -> None:
    names = [f"h{at}" for at in range(8)]
    room = new_room(*names, control_interval=4)
    done: list[int] = []
    for name in names:
        room.working(name, lambda job: done.append(job["requested"]["vm.swappiness"]) or {"metric": 100.0})
    room.wait_for_baselines().result(PATIENCE)
    done.clear()
    evaluations = room.measure(*map(candidate, range(200))).result(PATIENCE)
    assert [evaluation.requested["vm.swappiness"] for evaluation in evaluations] == list(range(200))
    assert sorted(value for value in done if isinstance(value, int)) == list(range(200))


def test_a_worker_that_vanishes_while_it_is_spoken_to_disturbs_nobody(new_room: NewRoom) -> None:
    room = new_room("h1", "gone")
    gone = room.worker("gone").baseline()
    stay = room.worker("h1").baseline()
    gone.line._connection.shutdown(socket.SHUT_RDWR)
    measuring = room.measure(*map(candidate, range(4)))
    answering = threading.Thread(target=lambda: [(stay.trial(), stay.answer()) for dummy in range(4)])
    answering.start()
    assert [evaluation.host for evaluation in measuring.result(PATIENCE)] == ["h1"] * 4
    answering.join()
