"""How a fleet's study ends, and how everybody hears of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.fleet import Ended
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.store import StoreError
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Trial

NewRoom = Callable[..., Any]
PATIENCE = 180.0


def candidate(value: int) -> Trial:
    return Trial.pending(Phase.TRAIN, {"vm.swappiness": value})


def test_a_stop_ends_what_is_being_measured(new_room: NewRoom) -> None:
    room = new_room("h1", "h2")
    first, second = room.worker("h1").baseline(), room.worker("h2").baseline()
    measuring = room.measure(candidate(1), candidate(2))
    first.trial()
    second.trial()
    first.leave("stopped by SIGINT", stopped=True)
    with pytest.raises(Ended, match="stopped by SIGINT") as caught:
        measuring.result(PATIENCE)
    assert caught.value.stopped
    # The other one may finish, and then hears how it ended.
    second.answer()
    room.fleet.end({"verdict": "stopped"}, patience=0)
    assert second.receive("end")["result"] == {"verdict": "stopped"}


def test_hears_an_idle_worker_say_farewell(new_room: NewRoom) -> None:
    room = new_room("h1", "h2")
    idle, busy = room.worker("h1").baseline(), room.worker("h2").baseline()
    measuring = room.measure(Trial.pending(Phase.VERIFY, None, "h2", 1))
    busy.trial()
    idle.leave("stopped by SIGTERM", stopped=True)
    with pytest.raises(Ended, match="stopped by SIGTERM") as caught:
        measuring.result(PATIENCE)
    assert caught.value.stopped
    room.until(lambda: list(room.fleet.hosts) == ["h2"])


def test_without_hosts_the_study_ends_with_the_last_reason(new_room: NewRoom) -> None:
    room = new_room("h1", "h2")
    first, second = room.worker("h1").baseline(), room.worker("h2").hello()
    second.leave("vm.swappiness is read-only here")
    measuring = room.measure(candidate(1))
    first.trial()
    first.leave("lost: no route to host")
    with pytest.raises(Ended, match="h1: lost: no route to host") as caught:
        measuring.result(PATIENCE)
    assert not caught.value.stopped


def test_a_host_that_comes_after_the_end_is_told_so(new_room: NewRoom) -> None:
    room = new_room("h1")
    room.fleet.end({"verdict": "improved"}, patience=0)
    assert room.worker("h1").hello().ready().receive("end")["result"] == {"verdict": "improved"}


def test_end_waits_until_every_worker_has_heard_it(new_room: NewRoom) -> None:
    room = new_room("h1", "h2")
    workers = [room.working(name, lambda job: {"metric": 100.0}) for name in ("h1", "h2")]
    room.wait_for_baselines().result(PATIENCE)
    room.fleet.end({"verdict": "improved"}, patience=PATIENCE)
    assert room.fleet.hosts == {}
    assert [worker.result(PATIENCE)["result"] for worker in workers] == [{"verdict": "improved"}] * 2


@pytest.mark.parametrize("callback", ["on_host", "on_evaluation", "on_lost"])
def test_a_store_that_fails_ends_the_study_and_not_a_host(callback: str, new_room: NewRoom) -> None:
    room = new_room("h1", "h2")
    first, second = room.worker("h1"), room.worker("h2")
    room.fails[callback] = StoreError("the store takes no more: disk full")
    first.hello().ready()
    if callback != "on_host":
        first.trial()
    if callback == "on_evaluation":
        first.send_answer(metric=100.0)
    if callback == "on_lost":
        first.leave()
    with pytest.raises(Ended, match="the store takes no more: disk full") as caught:
        room.wait_for_baselines().result(PATIENCE)
    assert not caught.value.stopped
    room.fleet.end({"verdict": "failed"}, patience=0)
    # Whoever is there still hears it.
    listener = second.hello().ready() if callback == "on_lost" else first
    assert listener.receive("end")["result"] == {"verdict": "failed"}


def test_end_hears_what_every_host_has_now(new_room: NewRoom) -> None:
    room = new_room("h1")
    worker = room.working("h1", lambda job: {"metric": 100.0})
    room.wait_for_baselines().result(PATIENCE)
    room.fleet.end({"verdict": "improved"}, patience=PATIENCE)
    assert room.endings == [("h1", "its own values are back, verified", True)]
    assert room.doing[-1] == ("h1", None)
    worker.result(PATIENCE)


def test_hears_what_a_host_has_that_left_before_the_end_and_gives_its_job_away_at_once(new_room: NewRoom) -> None:
    room = new_room("h1", "h2")
    first, second = room.worker("h1").baseline(), room.worker("h2").baseline()
    measuring = room.measure(candidate(1), candidate(2), candidate(3))
    first.trial()
    first.line.send("farewell", reason="stopped by SIGINT", stopped=False)
    # While it cleans up, its host's job is another one's, and the run does not wait for it.
    for dummy in range(3):
        second.trial()
        second.answer()
    measuring.result(PATIENCE)
    assert room.doing[-1] != ("h1", None)
    ended = room.measure(candidate(4))
    room.fleet.stop("stopped on the dashboard")
    with pytest.raises(Ended):
        ended.result(PATIENCE)
    ending = room.end({"verdict": "stopped"})
    second.leave(ending="its own values are back, verified")
    room.until(lambda: ("h2", None) in room.doing)
    assert not ending.done()
    first.line.send("left", ending="NEEDS ATTENTION: vm.swappiness could not be put back", restored=False)
    first.line.close()
    ending.result(PATIENCE)
    assert sorted(room.endings) == [
        ("h1", "NEEDS ATTENTION: vm.swappiness could not be put back", False),
        ("h2", "its own values are back, verified", True),
    ]
    assert room.doing[-1] == ("h1", None)


def test_a_worker_that_leaves_while_it_is_spoken_to_is_heard_all_the_same(new_room: NewRoom) -> None:
    room = new_room("h1")
    worker = room.worker("h1").baseline()
    room.until(lambda: ("h1", "waits") in room.doing)
    with room.fleet.still():
        room.fleet.notify("nobody is there to read this")
        worker.leave("stopped by SIGINT", stopped=True, ending="its own values are back, verified")
    room.until(lambda: room.lost)
    assert room.lost == [("h1", "stopped by SIGINT")]
    room.until(lambda: room.endings)
    assert room.endings == [("h1", "its own values are back, verified", True)]


def test_restore_reaches_a_worker_in_the_middle_of_its_benchmark_and_one_that_waits(new_room: NewRoom) -> None:
    room = new_room("h1", "h2")
    busy, idle = room.worker("h1").baseline(), room.worker("h2").baseline()
    measuring = room.measure(Trial.pending(Phase.VERIFY, None, "h1", 1))
    busy.trial()
    room.fleet.restore("stopped on the dashboard by 127.0.0.1")
    with pytest.raises(Ended, match="stopped on the dashboard by 127.0.0.1") as caught:
        measuring.result(PATIENCE)
    assert caught.value.stopped
    for worker in (busy, idle):
        worker.receive("restore")
        worker.line.send("restored", ending="its own values are back, verified")
    room.until(lambda: len(room.endings) == 2)
    room.fleet.end({"verdict": "stopped"}, patience=0)
    assert [worker.receive("end")["result"] for worker in (busy, idle)] == [{"verdict": "stopped"}] * 2


def test_what_comes_after_the_end_does_not_count(new_room: NewRoom) -> None:
    room = new_room("h1")
    worker = room.worker("h1").baseline()
    room.measure(candidate(1))
    worker.trial()
    room.fleet.stop("stopped on the dashboard by 127.0.0.1")
    room.fleet.end({"verdict": "stopped"}, patience=0)
    worker.send_answer(metric=100.0)
    assert worker.receive("end")["result"] == {"verdict": "stopped"}
    assert len(room.evaluations) == 2  # the baseline


def test_says_what_a_host_is_doing(new_room: NewRoom) -> None:
    room = new_room("h1")
    worker = room.worker("h1").baseline()
    room.measure(candidate(1))
    worker.trial()
    room.until(lambda: room.doing[-1] == ("h1", "train 3"))
    worker.answer()
    room.until(lambda: room.doing[-1] == ("h1", "waits"))
    worker.leave()
    room.until(lambda: room.doing[-1] == ("h1", None))


@pytest.mark.parametrize("stopped", [True, False])
def test_a_last_host_that_goes_leaves_nothing_to_judge_by(new_room: NewRoom, stopped: bool) -> None:
    room = new_room("h1")
    worker = room.worker("h1").baseline()
    measuring = room.measure(
        Trial.pending(Phase.VERIFY, None, "h1", 1), Trial.pending(Phase.VERIFY, {"vm.swappiness": 1}, "h1", 1)
    )
    worker.trial()
    worker.leave("stopped by SIGINT", stopped=stopped)
    with pytest.raises(Ended, match="stopped by SIGINT") as caught:
        measuring.result(PATIENCE)
    assert caught.value.stopped is stopped
