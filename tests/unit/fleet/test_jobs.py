"""Which host does what, and what becomes of its jobs."""

from __future__ import annotations

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._evaluation.evaluation import (
    Evaluation,
    Job,
    Measurement,
    Score,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.host import Host
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.jobs import Jobs
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.past import Past

ANYBODYS = [Job("train", {"vm.swappiness": value}) for value in range(5)]
OWN = [Job("verify", {"vm.swappiness": 7}, "h1", pair) for pair in range(2)]


def jobs_of(*names: str, past: Past | None = None) -> tuple[Jobs, list[Host]]:
    jobs = Jobs(past or Past(), control_interval=1000)
    hosts = [Host(name, {}, {}) for name in names]
    for host in hosts:
        jobs.join(host.name)
        for place in (1, 2):
            host.drift.add(place, 0.0)  # its baseline
    return jobs, hosts


def test_a_hosts_own_jobs_come_first() -> None:
    jobs, (h1, h2) = jobs_of("h1", "h2")
    for job in (ANYBODYS[0], *OWN, ANYBODYS[1]):
        jobs.add(job)
    assert [jobs.begin(host) for host in (h2, h1, h1, h1, h1)] == [ANYBODYS[0], *OWN, ANYBODYS[1], None]


def test_a_job_under_way_is_the_next_one_of_another_when_its_host_goes() -> None:
    jobs, (h1, h2) = jobs_of("h1", "h2")
    tickets = [jobs.add(job) for job in ANYBODYS]
    assert jobs.begin(h1) == jobs.of("h1") == ANYBODYS[0]
    assert jobs.under_way == 1
    jobs.leave("h1", "it had to go")
    assert jobs.under_way == 0
    assert [jobs.begin(h2) for dummy in ANYBODYS] == ANYBODYS
    assert not any(ticket.evaluation for ticket in tickets)


def test_a_hosts_own_jobs_fail_with_it_and_are_not_there_when_it_comes_again() -> None:
    jobs, (h1,) = jobs_of("h1")
    tickets = [jobs.add(job) for job in OWN]
    jobs.begin(h1)
    jobs.leave("h1", "it had to go")
    late = jobs.add(OWN[0])
    jobs.join("h1")
    assert jobs.begin(h1) is None
    failed = [ticket.evaluation for ticket in (*tickets, late)]
    assert [(one and one.host, one and one.measurement.error, one and one.took_place) for one in failed] == [
        ("h1", "it had to go", False),
        ("h1", "it had to go", False),
        ("h1", "the host is gone", False),
    ]


def test_what_came_of_a_job_is_on_its_ticket() -> None:
    jobs, (h1,) = jobs_of("h1")
    ticket = jobs.add(ANYBODYS[0])
    jobs.begin(h1)
    evaluation = Evaluation(1, ANYBODYS[0], "h1", Measurement(metric=1.0), Score(0.0, None, 0.0))
    jobs.done(evaluation)
    assert ticket.evaluation is evaluation
    with pytest.raises(KeyError):
        jobs.of("h1")


def test_the_past_answers_once() -> None:
    done = Evaluation(9, OWN[0], "h1", Measurement(metric=1.0), Score(0.0, None, 0.0))
    jobs, (h1,) = jobs_of("h1", past=Past(answerable=[(done, None)]))
    assert [jobs.add(OWN[0]).evaluation for dummy in range(2)] == [done, None]
    assert [jobs.begin(h1), jobs.begin(h1)] == [OWN[0], None]
