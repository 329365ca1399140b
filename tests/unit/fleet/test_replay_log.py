# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A run that goes on meets its own past."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.host import Host
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.replay_log import ReplayLog
from ansible_collections.autotune.kernel.plugins.plugin_utils._store import store
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.history import RunHistory
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Score, State, Trial
from sqlalchemy import Engine

FACTS = {"kernel": "6.1.0", "boot_id": "b1", "network_namespace": 1, "cpus": 2, "memory_bytes": 2**30}
OWN = {"vm.swappiness": "60"}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = store.open_store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    yield engine
    engine.dispose()


@pytest.fixture
def study(new_study: Callable[..., Study]) -> Study:
    return new_study()


def host(name: str, **facts: Any) -> Host:
    return Host(name, {**FACTS, "boot_id": name, "values": OWN, **facts}, dict(OWN))


def done(number: int, trial: Trial, metric: float | None = 100.0) -> Trial:
    requested = OWN if trial.original else trial.requested
    return replace(
        trial,
        id=number,
        host=trial.host or "h1",
        requested=requested,
        applied={name: str(value) for name, value in requested.items()},
        state=State.COMPLETE if metric else State.FAILED,
        metric=metric,
        streamed=[1.0, 2.0, 3.0],
        metrics={"throughput": metric or 0.0},
        observations={"cpu_usage": 0.1 + 0.2},
        health={"retransmits": 0.25},
        seconds={"apply": 0.1},
        error=None if metric else "it broke",
        score=Score(0.1, 0.5, 0.3, {"retransmits": 0.5}, 0.02, 99.0) if metric else Score(reward=-2.0),
        finished=datetime.now(UTC),
    )


JOBS = [
    Trial.pending(Phase.BASELINE, None, "h1"),
    Trial.pending(Phase.BASELINE, None, "h1"),
    Trial.pending(Phase.TRAIN, {"vm.swappiness": 10}),
    Trial.pending(Phase.TRAIN, {"vm.swappiness": 20}),
    Trial.pending(Phase.CONTROL, None, "h1"),
    Trial.pending(Phase.RACE, {"vm.swappiness": 10}, "h1"),
    Trial.pending(Phase.RACE, {"vm.swappiness": 10}, "h1"),
    Trial.pending(Phase.VERIFY, None, "h1", 1),
    Trial.pending(Phase.VERIFY, {"vm.swappiness": 10}, "h1", 1),
    Trial.pending(Phase.VERIFY, {"vm.swappiness": 10}, "h1", 2),
]


@pytest.fixture
def evaluations(engine: Engine, study: Study) -> list[Trial]:
    """As a run that was interrupted has left them in the store."""
    record = RunHistory(study, store.StudyRecord.begin(engine, workload_name="small", study={}, seed=1))
    record.on_host(host("h1"))
    found = [done(number, job, None if number == 4 else 100.0 + number) for number, job in enumerate(JOBS, 1)]
    for evaluation in found:
        record.on_evaluation(evaluation)
    return found


def past_of(engine: Engine, study: Study, *, more_training: bool = False) -> ReplayLog:
    return ReplayLog.of(study, store.hosts(engine, 1), store.trials(engine, 1), more_training=more_training)


def test_evaluations_come_back_as_they_were(engine: Engine, study: Study, evaluations: list[Trial]) -> None:
    past = past_of(engine, study)
    assert past.evaluations == evaluations
    assert (past.last_id, [found.id for found in past.trained]) == (10, [3, 4])


def test_a_job_is_answered_once_by_each_evaluation_in_which_it_was_done(
    engine: Engine, study: Study, evaluations: list[Trial]
) -> None:
    past = past_of(engine, study)

    def number(phase: str, *rest: Any) -> int | None:
        found = past.answer(Trial.pending(Phase(phase), *rest))
        return found.id if found else None

    assert number("race", {"vm.swappiness": 11}, "h1") is None
    assert number("race", {"vm.swappiness": 10}, "h2") is None
    assert [number("race", {"vm.swappiness": 10}, "h1") for dummy in range(3)] == [6, 7, None]
    assert number("verify", {"vm.swappiness": 10}, "h1", 2) == 10
    assert number("verify", None, "h1", 2) is None
    assert number("verify", None, "h1", 1) == 8
    # The learner is given these; they answer nothing.
    assert number("train", {"vm.swappiness": 10}) is None


def test_its_phases_know_who_took_part(engine: Engine, study: Study, evaluations: list[Trial]) -> None:
    past = past_of(engine, study)
    assert past.training_is_over
    assert (past.hosts_in("verify"), past.hosts_in("ablate")) == ({"h1"}, set())


def test_a_larger_budget_voids_what_came_after_training(engine: Engine, study: Study, evaluations: list[Trial]) -> None:
    past = past_of(engine, study, more_training=True)
    assert not past.training_is_over
    assert past.answer(Trial.pending(Phase.RACE, {"vm.swappiness": 10}, "h1")) is None
    assert len(past.evaluations) == len(JOBS)


def test_a_host_is_what_its_evaluations_made_it_at_that_time(
    engine: Engine, study: Study, evaluations: list[Trial]
) -> None:
    left = host("h1")
    for evaluation in evaluations[:5]:  # up to the end of training, whose candidates are about to be recommended
        left.recall(study, evaluation)
    past = past_of(engine, study)
    found = past.hosts["h1"]
    assert (found.done, found.since_control, found.baseline_metrics) == (5, 0, [101.0, 102.0, 105.0])
    assert found.score(study, evaluations[2]) == left.score(study, evaluations[2])

    past.answer(JOBS[7])
    assert (found.done, found.baseline_metrics) == (6, [101.0, 102.0, 105.0, 108.0])


@pytest.mark.parametrize(
    "change",
    [{"boot_id": "b2"}, {"kernel": "6.2"}, {"memory_bytes": 1}, {"values": {"vm.swappiness": "10"}}],
    ids=["booted", "new kernel", "less memory", "other values"],
)
def test_a_host_that_has_changed_is_another_one(change: dict[str, Any]) -> None:
    known = host("h1")
    assert known.is_still({**known.facts})
    assert not known.is_still({**known.facts, **change})


def test_of_a_host_that_changed_only_what_came_after_counts(
    engine: Engine, study: Study, evaluations: list[Trial]
) -> None:
    record = RunHistory(study, store.StudyRecord.resume(engine, 1, {}), past_of(engine, study))
    record.on_host(host("h1", boot_id="b2"))
    assert past_of(engine, study).hosts["h1"].baseline_metrics == []
    record.on_evaluation(done(11, Trial.pending(Phase.BASELINE, None, "h1"), 70.0))
    again = past_of(engine, study)
    assert again.hosts["h1"].baseline_metrics == [70.0]
    assert again.hosts["h1"].facts["boot_id"] == "b2"
    assert len(again.evaluations) == 11


def test_a_fleet_goes_on_where_it_was(
    engine: Engine, study: Study, evaluations: list[Trial], new_room: Callable[..., Any]
) -> None:
    room = new_room("h1", "h2", past=past_of(engine, study))
    one = room.worker("h1").hello().ready(values=OWN, boot_id="h1")
    other = room.worker("h2").hello().ready(values=OWN)
    assert other.trial()["phase"] == "baseline"
    other.answer(50.0)
    other.trial()
    other.answer(50.0)
    room.wait_for_baselines().result(10)  # h1 has one, and is not asked

    measuring = room.measure(
        Trial.pending(Phase.VERIFY, None, "h1", 1),
        Trial.pending(Phase.VERIFY, None, "h1", 2),
        Trial.pending(Phase.VERIFY, None, "h3", 1),
        *JOBS[-2:],
    )
    assert one.trial()["phase"] == "verify"
    one.answer(101.0)
    found = measuring.result(10)
    assert [evaluation.id for evaluation in found] == [8, 13, None, 9, 10]
    assert [evaluation.id for evaluation in room.evaluations] == [11, 12, 13]


def test_a_host_that_was_started_again_measures_its_baseline_anew_and_says_so(
    engine: Engine, study: Study, evaluations: list[Trial], new_room: Callable[..., Any]
) -> None:
    room = new_room("h1", past=past_of(engine, study))
    one = room.worker("h1").hello().ready(values=OWN, boot_id="b2")
    assert one.trial()["phase"] == "baseline"
    assert room.news == [("h1", "it was started again, or changed, since the run stopped: a new baseline")]
