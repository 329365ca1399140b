"""Which host runs which trial, and what happens to it when the host leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.host import Host
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.replay_log import ReplayLog
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.trial_queue import TrialQueue
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, State, Trial

FOR_ANY = [Trial.pending(Phase.TRAIN, {"vm.swappiness": value}) for value in range(5)]
FOR_H1 = [Trial.pending(Phase.VERIFY, {"vm.swappiness": 7}, "h1", pair) for pair in range(2)]


def queue_for(*names: str, replay: ReplayLog | None = None) -> tuple[TrialQueue, list[Host]]:
    queue = TrialQueue(replay or ReplayLog(), control_interval=1000)
    hosts = [Host(name, {}, {}) for name in names]
    for host in hosts:
        queue.add_host(host.name)
        for number in (1, 2):
            host.drift.add(number, 0.0)  # the baseline
    return queue, hosts


def requested_by(queue: TrialQueue, host: Host) -> tuple[object, ...] | None:
    trial = queue.start_next(host)
    if trial is None:
        return None
    assert (trial.state, trial.host) == (State.RUNNING, host.name)
    return key(trial)


def key(trial: Trial) -> tuple[object, ...]:
    return trial.phase, trial.requested, trial.pair


def test_trials_for_one_host_come_first() -> None:
    queue, (h1, h2) = queue_for("h1", "h2")
    for trial in (FOR_ANY[0], *FOR_H1, FOR_ANY[1]):
        queue.add(trial)
    begun = [requested_by(queue, host) for host in (h2, h1, h1, h1, h1)]
    assert begun == [*map(key, (FOR_ANY[0], *FOR_H1, FOR_ANY[1])), None]


def test_another_host_runs_the_training_trial_of_a_lost_host_next() -> None:
    queue, (h1, h2) = queue_for("h1", "h2")
    tickets = [queue.add(trial) for trial in FOR_ANY]
    assert queue.start_next(h1) == queue.running_on("h1") == replace(FOR_ANY[0], host="h1", state=State.RUNNING)
    assert queue.running_count == 1
    queue.remove_host("h1", "it left")
    assert queue.running_count == 0
    assert tickets[0].trial == FOR_ANY[0]
    assert [requested_by(queue, h2) for dummy in FOR_ANY] == [*map(key, FOR_ANY)]
    assert not any(ticket.has_ended for ticket in tickets)


def test_a_training_trial_for_one_host_is_lost_with_it() -> None:
    """An agent asks for the same values on each host."""
    queue, (h1, h2) = queue_for("h1", "h2")
    of_h1, of_h2 = (queue.add(Trial.pending(Phase.TRAIN, {"vm.swappiness": 7}, name)) for name in ("h1", "h2"))
    queue.start_next(h1)
    queue.remove_host("h1", "it left")
    assert of_h1.trial.state == State.LOST
    assert requested_by(queue, h2) == key(of_h2.trial)
    assert queue.start_next(h2) is None


def test_a_trial_of_the_original_values_requests_them() -> None:
    queue, (h1,) = queue_for("h1")
    h1.original_values["vm.swappiness"] = "60"
    queue.add(Trial.pending(Phase.VERIFY, None, "h1", 1))
    assert requested_by(queue, h1) == (Phase.VERIFY, {"vm.swappiness": "60"}, 1)


def test_trials_for_a_lost_host_are_lost_even_if_it_returns() -> None:
    queue, (h1,) = queue_for("h1")
    tickets = [queue.add(trial) for trial in FOR_H1]
    queue.start_next(h1)
    queue.remove_host("h1", "it left")
    late = queue.add(FOR_H1[0])
    queue.add_host("h1")
    assert queue.start_next(h1) is None
    assert [(ticket.trial.state, ticket.trial.host, ticket.trial.error) for ticket in (*tickets, late)] == [
        (State.LOST, "h1", "it left"),
        (State.LOST, "h1", "it left"),
        (State.LOST, "h1", "the host is gone"),
    ]


def test_the_ticket_has_the_finished_trial() -> None:
    queue, (h1,) = queue_for("h1")
    ticket = queue.add(FOR_ANY[0])
    queue.start_next(h1)
    trial = replace(FOR_ANY[0], host="h1", state=State.COMPLETE)
    queue.finish(trial)
    assert ticket.trial is trial
    with pytest.raises(KeyError):
        queue.running_on("h1")


def test_a_stored_trial_answers_once() -> None:
    done = replace(FOR_H1[0], id=9, state=State.COMPLETE)
    queue, (h1,) = queue_for("h1", replay=ReplayLog(answerable=[(done, None)]))
    assert [queue.add(FOR_H1[0]).trial for dummy in range(2)] == [done, FOR_H1[0]]
    assert [requested_by(queue, h1), requested_by(queue, h1)] == [key(FOR_H1[0]), None]
