# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A resumed run and the trials that were stored before it was interrupted."""

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
ORIGINAL = {"vm.swappiness": "60"}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = store.open_store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    yield engine
    engine.dispose()


@pytest.fixture
def study(new_study: Callable[..., Study]) -> Study:
    return new_study()


def host(name: str, **facts: Any) -> Host:
    return Host(name, {**FACTS, "boot_id": name, "values": ORIGINAL, **facts}, dict(ORIGINAL))


def done(number: int, trial: Trial, metric: float | None = 100.0) -> Trial:
    requested = ORIGINAL if trial.original else trial.requested
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


PENDING = [
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
def trials(engine: Engine, study: Study) -> list[Trial]:
    """The trials of an interrupted run, which are in the store."""
    record = RunHistory(study, store.StudyRecord.begin(engine, workload_name="small", study={}, seed=1))
    record.on_host(host("h1"))
    found = [
        done(number, pending, None if number == 4 else 100.0 + number) for number, pending in enumerate(PENDING, 1)
    ]
    for trial in found:
        record.on_trial(trial)
    return found


def replay_of(engine: Engine, study: Study, *, more_training: bool = False) -> ReplayLog:
    return ReplayLog.from_rows(study, store.hosts(engine, 1), store.trials(engine, 1), more_training=more_training)


def test_trials_are_read_as_they_were_written(engine: Engine, study: Study, trials: list[Trial]) -> None:
    replay = replay_of(engine, study)
    assert replay.trials == trials
    assert (replay.last_id, [found.id for found in replay.trained]) == (10, [3, 4])


def test_each_stored_trial_answers_one_equal_request(engine: Engine, study: Study, trials: list[Trial]) -> None:
    replay = replay_of(engine, study)

    def number(phase: str, *rest: Any) -> int | None:
        found = replay.answer(Trial.pending(Phase(phase), *rest))
        return found.id if found else None

    assert number("race", {"vm.swappiness": 11}, "h1") is None
    assert number("race", {"vm.swappiness": 10}, "h2") is None
    assert [number("race", {"vm.swappiness": 10}, "h1") for dummy in range(3)] == [6, 7, None]
    assert number("verify", {"vm.swappiness": 10}, "h1", 2) == 10
    assert number("verify", None, "h1", 2) is None
    assert number("verify", None, "h1", 1) == 8
    # The learner gets the training trials; they answer no requests.
    assert number("train", {"vm.swappiness": 10}) is None


def test_knows_the_hosts_of_each_phase(engine: Engine, study: Study, trials: list[Trial]) -> None:
    replay = replay_of(engine, study)
    assert replay.training_is_over
    assert (replay.hosts_in("verify"), replay.hosts_in("ablate")) == ({"h1"}, set())


def test_a_larger_budget_voids_the_trials_after_the_training(engine: Engine, study: Study, trials: list[Trial]) -> None:
    replay = replay_of(engine, study, more_training=True)
    assert not replay.training_is_over
    assert replay.answer(Trial.pending(Phase.RACE, {"vm.swappiness": 10}, "h1")) is None
    assert len(replay.trials) == len(PENDING)


def test_a_host_is_restored_to_its_state_at_the_end_of_the_training(
    engine: Engine, study: Study, trials: list[Trial]
) -> None:
    expected = host("h1")
    for trial in trials[:5]:  # up to the end of the training
        expected.replay(study, trial)
    replay = replay_of(engine, study)
    found = replay.hosts["h1"]
    assert (found.trial_count, found.since_control, found.baseline_metrics) == (5, 0, [101.0, 102.0, 105.0])
    assert found.score(study, trials[2]) == expected.score(study, trials[2])

    replay.answer(PENDING[7])
    assert (found.trial_count, found.baseline_metrics) == (6, [101.0, 102.0, 105.0, 108.0])


@pytest.mark.parametrize(
    "change",
    [{"boot_id": "b2"}, {"kernel": "6.2"}, {"memory_bytes": 1}, {"values": {"vm.swappiness": "10"}}],
    ids=["rebooted", "new kernel", "less memory", "other values"],
)
def test_a_host_that_has_changed_loses_its_baseline(change: dict[str, Any]) -> None:
    known = host("h1")
    assert known.is_unchanged({**known.facts})
    assert not known.is_unchanged({**known.facts, **change})


def test_only_trials_after_the_change_of_a_host_count(engine: Engine, study: Study, trials: list[Trial]) -> None:
    record = RunHistory(study, store.StudyRecord.resume(engine, 1, {}), replay_of(engine, study))
    record.on_host(host("h1", boot_id="b2"))
    assert replay_of(engine, study).hosts["h1"].baseline_metrics == []
    record.on_trial(done(11, Trial.pending(Phase.BASELINE, None, "h1"), 70.0))
    again = replay_of(engine, study)
    assert again.hosts["h1"].baseline_metrics == [70.0]
    assert again.hosts["h1"].facts["boot_id"] == "b2"
    assert len(again.trials) == 11


def test_a_fleet_continues_where_it_stopped(
    engine: Engine, study: Study, trials: list[Trial], new_fleet: Callable[..., Any]
) -> None:
    harness = new_fleet("h1", "h2", replay=replay_of(engine, study))
    one = harness.worker("h1").hello().ready(values=ORIGINAL, boot_id="h1")
    other = harness.worker("h2").hello().ready(values=ORIGINAL)
    assert other.trial()["phase"] == "baseline"
    other.answer(50.0)
    other.trial()
    other.answer(50.0)
    harness.until(lambda: "h1" in harness.fleet.hosts)  # each connection has a thread of its own
    harness.wait_for_baselines().result(10)  # h1 already has one

    measuring = harness.measure(
        Trial.pending(Phase.VERIFY, None, "h1", 1),
        Trial.pending(Phase.VERIFY, None, "h1", 2),
        Trial.pending(Phase.VERIFY, None, "h3", 1),
        *PENDING[-2:],
    )
    assert one.trial()["phase"] == "verify"
    one.answer(101.0)
    found = measuring.result(10)
    assert [trial.id for trial in found] == [8, 13, None, 9, 10]
    assert [trial.id for trial in harness.trials] == [11, 12, 13]


def test_a_host_that_has_rebooted_measures_its_baseline_again(
    engine: Engine, study: Study, trials: list[Trial], new_fleet: Callable[..., Any]
) -> None:
    harness = new_fleet("h1", replay=replay_of(engine, study))
    one = harness.worker("h1").hello().ready(values=ORIGINAL, boot_id="b2")
    notice = "rebooted or changed since the interruption: its baseline is remeasured"
    assert one.receive("notice")["text"] == f"h1: {notice}"
    assert one.trial()["phase"] == "baseline"
    assert harness.notices == [("h1", notice)]
