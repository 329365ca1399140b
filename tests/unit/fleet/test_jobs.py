"""Which host does what, and what becomes of its jobs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.host import Host
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.jobs import Jobs
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.replay_log import ReplayLog
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, State, Trial

ANYBODYS = [Trial.pending(Phase.TRAIN, {"vm.swappiness": value}) for value in range(5)]
OWN = [Trial.pending(Phase.VERIFY, {"vm.swappiness": 7}, "h1", pair) for pair in range(2)]


def jobs_of(*names: str, past: ReplayLog | None = None) -> tuple[Jobs, list[Host]]:
    jobs = Jobs(past or ReplayLog(), control_interval=1000)
    hosts = [Host(name, {}, {}) for name in names]
    for host in hosts:
        jobs.join(host.name)
        for place in (1, 2):
            host.drift.add(place, 0.0)  # its baseline
    return jobs, hosts


def requested_by(jobs: Jobs, host: Host) -> tuple[object, ...] | None:
    trial = jobs.begin(host)
    if trial is None:
        return None
    assert (trial.state, trial.host) == (State.RUNNING, host.name)
    return key(trial)


def key(trial: Trial) -> tuple[object, ...]:
    return trial.phase, trial.requested, trial.pair


def test_a_hosts_own_jobs_come_first() -> None:
    jobs, (h1, h2) = jobs_of("h1", "h2")
    for job in (ANYBODYS[0], *OWN, ANYBODYS[1]):
        jobs.add(job)
    begun = [requested_by(jobs, host) for host in (h2, h1, h1, h1, h1)]
    assert begun == [*map(key, (ANYBODYS[0], *OWN, ANYBODYS[1])), None]


def test_a_job_under_way_is_the_next_one_of_another_when_its_host_goes() -> None:
    jobs, (h1, h2) = jobs_of("h1", "h2")
    tickets = [jobs.add(job) for job in ANYBODYS]
    assert jobs.begin(h1) == jobs.of("h1") == replace(ANYBODYS[0], host="h1", state=State.RUNNING)
    assert jobs.under_way == 1
    jobs.leave("h1", "it had to go")
    assert jobs.under_way == 0
    assert tickets[0].trial == ANYBODYS[0]
    assert [requested_by(jobs, h2) for dummy in ANYBODYS] == [*map(key, ANYBODYS)]
    assert not any(ticket.has_ended for ticket in tickets)


def test_a_trial_of_original_values_is_given_them() -> None:
    jobs, (h1,) = jobs_of("h1")
    h1.baseline_values["vm.swappiness"] = "60"
    jobs.add(Trial.pending(Phase.VERIFY, None, "h1", 1))
    assert requested_by(jobs, h1) == (Phase.VERIFY, {"vm.swappiness": "60"}, 1)


def test_a_hosts_own_jobs_are_lost_with_it_and_are_not_there_when_it_comes_again() -> None:
    jobs, (h1,) = jobs_of("h1")
    tickets = [jobs.add(job) for job in OWN]
    jobs.begin(h1)
    jobs.leave("h1", "it had to go")
    late = jobs.add(OWN[0])
    jobs.join("h1")
    assert jobs.begin(h1) is None
    assert [(ticket.trial.state, ticket.trial.host, ticket.trial.error) for ticket in (*tickets, late)] == [
        (State.LOST, "h1", "it had to go"),
        (State.LOST, "h1", "it had to go"),
        (State.LOST, "h1", "the host is gone"),
    ]


def test_what_came_of_a_job_is_on_its_ticket() -> None:
    jobs, (h1,) = jobs_of("h1")
    ticket = jobs.add(ANYBODYS[0])
    jobs.begin(h1)
    trial = replace(ANYBODYS[0], host="h1", state=State.COMPLETE)
    jobs.done(trial)
    assert ticket.trial is trial
    with pytest.raises(KeyError):
        jobs.of("h1")


def test_the_past_answers_once() -> None:
    done = replace(OWN[0], id=9, state=State.COMPLETE)
    jobs, (h1,) = jobs_of("h1", past=ReplayLog(answerable=[(done, None)]))
    assert [jobs.add(OWN[0]).trial for dummy in range(2)] == [done, OWN[0]]
    assert [requested_by(jobs, h1), requested_by(jobs, h1)] == [key(OWN[0]), None]
