"""How a study ends, and what the workers are sent then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.fleet import Ended
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.store import StoreError
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Trial

NewFleet = Callable[..., Any]
PATIENCE = 180.0


def candidate(value: int) -> Trial:
    return Trial.pending(Phase.TRAIN, {"vm.swappiness": value})


def test_a_stop_ends_a_running_measurement(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1", "h2")
    first, second = harness.worker("h1").baseline(), harness.worker("h2").baseline()
    measuring = harness.measure(candidate(1), candidate(2))
    first.trial()
    second.trial()
    first.leave("stopped by SIGINT", stopped=True)
    with pytest.raises(Ended, match="stopped by SIGINT") as caught:
        measuring.result(PATIENCE)
    assert caught.value.stopped
    # The other host finishes its trial and then gets the result.
    second.answer()
    harness.fleet.end({"verdict": "stopped"}, patience=0)
    assert second.receive("end")["result"] == {"verdict": "stopped"}


def test_receives_the_farewell_of_an_idle_worker(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1", "h2")
    idle, busy = harness.worker("h1").baseline(), harness.worker("h2").baseline()
    measuring = harness.measure(Trial.pending(Phase.VERIFY, None, "h2", 1))
    busy.trial()
    idle.leave("stopped by SIGTERM", stopped=True)
    with pytest.raises(Ended, match="stopped by SIGTERM") as caught:
        measuring.result(PATIENCE)
    assert caught.value.stopped
    harness.until(lambda: list(harness.fleet.hosts) == ["h2"])


def test_without_hosts_the_study_ends_with_the_last_hosts_reason(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1", "h2")
    first, second = harness.worker("h1").baseline(), harness.worker("h2").hello()
    second.leave("vm.swappiness is read-only here")
    harness.until(lambda: [name for name, dummy in harness.lost] == ["h2"])  # each connection has a thread of its own
    measuring = harness.measure(candidate(1))
    first.trial()
    first.leave("lost: no route to host")
    with pytest.raises(Ended, match="h1: lost: no route to host") as caught:
        measuring.result(PATIENCE)
    assert not caught.value.stopped


def test_a_host_that_joins_after_the_end_gets_the_result(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1")
    harness.fleet.end({"verdict": "improved"}, patience=0)
    assert harness.worker("h1").hello().ready().receive("end")["result"] == {"verdict": "improved"}


def test_end_waits_until_all_workers_have_left(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1", "h2")
    workers = [harness.working(name, lambda trial: {"metric": 100.0}) for name in ("h1", "h2")]
    harness.wait_for_baselines().result(PATIENCE)
    harness.fleet.end({"verdict": "improved"}, patience=PATIENCE)
    assert harness.fleet.hosts == {}
    assert [worker.result(PATIENCE)["result"] for worker in workers] == [{"verdict": "improved"}] * 2


@pytest.mark.parametrize("callback", ["on_host", "on_trial", "on_lost"])
def test_a_store_error_ends_the_study_but_loses_no_host(callback: str, new_fleet: NewFleet) -> None:
    harness = new_fleet("h1", "h2")
    first, second = harness.worker("h1"), harness.worker("h2")
    harness.fails[callback] = StoreError("writing to the store failed: disk full")
    first.hello().ready()
    if callback != "on_host":
        first.trial()
    if callback == "on_trial":
        first.send_answer(metric=100.0)
    if callback == "on_lost":
        first.leave()
    with pytest.raises(Ended, match="writing to the store failed: disk full") as caught:
        harness.wait_for_baselines().result(PATIENCE)
    assert not caught.value.stopped
    harness.fleet.end({"verdict": "failed"}, patience=0)
    remaining = second.hello().ready() if callback == "on_lost" else first
    assert remaining.receive("end")["result"] == {"verdict": "failed"}


def test_end_records_the_state_in_which_each_host_was_left(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1")
    worker = harness.working("h1", lambda trial: {"metric": 100.0})
    harness.wait_for_baselines().result(PATIENCE)
    harness.fleet.end({"verdict": "improved"}, patience=PATIENCE)
    assert harness.endings == [("h1", "original values restored and verified", True)]
    assert harness.activities[-1] == ("h1", None)
    worker.result(PATIENCE)


def test_a_host_that_leaves_early_frees_its_trial_at_once_and_reports_its_state_later(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1", "h2")
    first, second = harness.worker("h1").baseline(), harness.worker("h2").baseline()
    measuring = harness.measure(candidate(1), candidate(2), candidate(3))
    first.trial()
    first.line.send("farewell", reason="stopped by SIGINT", stopped=False)
    # While it cleans up, another host runs its trial, and the run does not wait for it.
    for dummy in range(3):
        second.trial()
        second.answer()
    measuring.result(PATIENCE)
    assert harness.activities[-1] != ("h1", None)
    ended = harness.measure(candidate(4))
    harness.fleet.stop("stopped on the dashboard")
    with pytest.raises(Ended):
        ended.result(PATIENCE)
    ending = harness.end({"verdict": "stopped"})
    second.leave(ending="original values restored and verified")
    harness.until(lambda: ("h2", None) in harness.activities)
    assert not ending.done()
    first.line.send("left", ending="NEEDS ATTENTION: vm.swappiness could not be put back", restored=False)
    first.line.close()
    ending.result(PATIENCE)
    assert sorted(harness.endings) == [
        ("h1", "NEEDS ATTENTION: vm.swappiness could not be put back", False),
        ("h2", "original values restored and verified", True),
    ]
    assert harness.activities[-1] == ("h1", None)


def test_the_farewell_of_a_worker_that_is_gone_is_still_read(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1")
    worker = harness.worker("h1").baseline()
    harness.until(lambda: ("h1", "waits") in harness.activities)
    with harness.fleet.paused():
        harness.fleet.notify("the worker is gone")
        worker.leave("stopped by SIGINT", stopped=True, ending="original values restored and verified")
    harness.until(lambda: harness.lost)
    assert harness.lost == [("h1", "stopped by SIGINT")]
    harness.until(lambda: harness.endings)
    assert harness.endings == [("h1", "original values restored and verified", True)]


def test_restore_reaches_a_busy_and_an_idle_worker(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1", "h2")
    busy, idle = harness.worker("h1").baseline(), harness.worker("h2").baseline()
    measuring = harness.measure(Trial.pending(Phase.VERIFY, None, "h1", 1))
    busy.trial()
    harness.fleet.restore("stopped on the dashboard by 127.0.0.1")
    with pytest.raises(Ended, match="stopped on the dashboard by 127.0.0.1") as caught:
        measuring.result(PATIENCE)
    assert caught.value.stopped
    for worker in (busy, idle):
        worker.receive("restore")
        worker.line.send("restored", ending="original values restored and verified")
    harness.until(lambda: len(harness.endings) == 2)
    harness.fleet.end({"verdict": "stopped"}, patience=0)
    assert [worker.receive("end")["result"] for worker in (busy, idle)] == [{"verdict": "stopped"}] * 2


def test_a_trial_that_ends_after_the_study_does_not_count(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1")
    worker = harness.worker("h1").baseline()
    harness.measure(candidate(1))
    worker.trial()
    harness.fleet.stop("stopped on the dashboard by 127.0.0.1")
    harness.fleet.end({"verdict": "stopped"}, patience=0)
    worker.send_answer(metric=100.0)
    assert worker.receive("end")["result"] == {"verdict": "stopped"}
    assert len(harness.trials) == 2  # the baseline


def test_reports_the_activity_of_a_host(new_fleet: NewFleet) -> None:
    harness = new_fleet("h1")
    worker = harness.worker("h1").baseline()
    harness.measure(candidate(1))
    worker.trial()
    harness.until(lambda: harness.activities[-1] == ("h1", "training 3"))
    worker.answer()
    harness.until(lambda: harness.activities[-1] == ("h1", "waits"))
    worker.leave()
    harness.until(lambda: harness.activities[-1] == ("h1", None))


@pytest.mark.parametrize("stopped", [True, False])
def test_losing_the_last_host_ends_the_study_instead_of_returning_lost_trials(
    new_fleet: NewFleet, stopped: bool
) -> None:
    harness = new_fleet("h1")
    worker = harness.worker("h1").baseline()
    measuring = harness.measure(
        Trial.pending(Phase.VERIFY, None, "h1", 1), Trial.pending(Phase.VERIFY, {"vm.swappiness": 1}, "h1", 1)
    )
    worker.trial()
    worker.leave("stopped by SIGINT", stopped=stopped)
    with pytest.raises(Ended, match="stopped by SIGINT") as caught:
        measuring.result(PATIENCE)
    assert caught.value.stopped is stopped
