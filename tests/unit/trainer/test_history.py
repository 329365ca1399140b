from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.autotune.kernel.dashboard.feed import Feed
from ansible_collections.autotune.kernel.dashboard.readonly_store import ReadOnlyStore
from ansible_collections.autotune.kernel.dashboard.updates import status_of
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.host import Host
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.replay_log import ReplayLog
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.store import (
    StudyRecord,
    events,
    hosts,
    open_store,
    studies,
    trials,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.history import RunHistory
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Trial
from sqlalchemy import Engine

NewTrial = Callable[..., Trial]


@pytest.fixture
def engine(tmp_path: Any) -> Engine:
    return open_store(f"sqlite:///{tmp_path / 'store.sqlite'}")


@pytest.fixture
def new_history(engine: Engine, new_study: Callable[..., Study]) -> Callable[..., RunHistory]:
    def make(**fields: Any) -> RunHistory:
        study = new_study(**fields)
        return RunHistory(study, StudyRecord.begin(engine, workload_name="small", study={}, seed=1))

    return make


def host(name: str) -> Host:
    return Host(name, {"kernel": "6.1.0"}, {"vm.swappiness": "60"})


def test_everything_is_stored_as_it_happens(
    engine: Engine, new_history: Callable[..., RunHistory], evaluated: NewTrial
) -> None:
    history = new_history()
    history.on_host(host("h1"))
    history.enter("train")
    planned = history.planned
    assert [row.original_values for row in hosts(engine, 1)] == [{"vm.swappiness": "60"}]
    history.on_trial(evaluated(10, 0.5))
    history.on_trial(replace(evaluated(0, None, phase="verify", number=2), pair=3))
    first, second = trials(engine, 1)
    assert (first.id, first.phase, first.requested, first.performance, first.reward, first.error) == (
        1,
        "train",
        {"vm.swappiness": 10},
        0.5,
        0.5,
        None,
    )
    assert (second.pair, second.state, second.error) == (3, "failed", "it broke")
    history.on_lost("h1", "lost: no route")
    assert [row.text for row in events(engine, 1)] == ["lost: no route"]
    assert (studies(engine)[0].phase, studies(engine)[0].trials_planned) == ("train", planned)
    assert history.store_seconds > 0


def test_progress_relates_the_trial_to_the_whole_study(
    new_history: Callable[..., RunHistory], evaluated: NewTrial
) -> None:
    history = new_history()
    history.on_host(host("h1"))
    first = history.on_trial(replace(evaluated(60, 0.0, phase="baseline"), original=True))
    assert (first["number"], first["phase"], first["change"], first["best"]) == (1, "baseline", None, None)
    assert first["of"] == history.planned
    better = history.on_trial(evaluated(10, 0.0953, number=2))
    assert (better["change"], better["best"]) == (pytest.approx(10, abs=0.01), pytest.approx(10, abs=0.01))
    worse = history.on_trial(evaluated(90, -0.0953, number=3))
    assert (worse["change"], worse["best"]) == (pytest.approx(-9.09, abs=0.01), pytest.approx(10, abs=0.01))
    assert {first["label"], better["label"]} == {"original values", "candidate"}
    failed = history.on_trial(evaluated(5, None, number=4))
    assert (failed["number"], failed["error"], failed["metric"], failed["change"]) == (4, "it broke", None, None)
    assert failed["left"] >= 0
    absurd = history.on_trial(evaluated(7, 720.0, number=5))  # a benchmark that divides by next to nothing
    assert json.dumps(absurd, allow_nan=False)


def test_the_page_has_the_same_number_of_trials_and_time_left_as_the_terminal(
    engine: Engine, new_study: Callable[..., Study], evaluated: NewTrial
) -> None:
    """After a resume and the loss of a host too, where only the trainer knows what its pace rests on."""
    replay = ReplayLog(trials=[evaluated(60, phase="baseline", number=number) for number in (1, 2)])
    record = StudyRecord.begin(engine, workload_name="small", study={}, seed=1)
    history = RunHistory(new_study(), record, replay, seconds=1e6)
    history.on_host(host("h1"))
    history.on_host(host("h2"))
    history.enter("train")
    first = history.on_trial(evaluated(10, 0.5, number=3))
    history.on_lost("h2", "lost: no route")
    second = history.on_trial(evaluated(20, 0.5, number=4))
    assert first["left"] < 1e5
    assert first["of"] != second["of"]
    (study,) = studies(engine)
    assert (study.trials_planned, study.left_seconds) == (second["of"], second["left"])
    status = status_of(Feed(ReadOnlyStore(engine.url.render_as_string()), study.id))
    assert status["trials_planned"] == second["of"]


@pytest.mark.parametrize(
    ("phase", "own", "label", "best"),
    [
        ("control", True, "original values", 10.0),
        ("train", False, "candidate", 22.1),
        ("verify", True, "original values", None),
        ("verify", False, "candidate", None),
        ("ablate", True, "original values", None),
        ("ablate", False, "variant", None),
    ],
)
def test_progress_labels_the_values_and_compares_only_candidates(
    phase: str,
    own: bool,
    label: str,
    best: float | None,
    new_history: Callable[..., RunHistory],
    evaluated: NewTrial,
) -> None:
    """Nor is what is measured anew compared to the best of training, which was the luckiest of many."""
    history = new_history()
    history.on_host(host("h1"))
    history.on_trial(evaluated(10, 0.0953))
    progress = history.on_trial(replace(evaluated(10, 0.2, phase=phase, number=2), original=own))
    assert progress["label"] == label
    assert progress["change"] == (None if own else pytest.approx(22.1, abs=0.1))
    assert progress["best"] == (None if best is None else pytest.approx(best, abs=0.1))


@pytest.mark.parametrize(
    ("names", "fields", "planned"),
    [
        # baseline, training, controls; race, proof; screening and the proofs of parts after it; recovery
        pytest.param(1, {}, 2 + 40 + 3 + 18 + 80 + 2 * (28 + 40) + 2, id="one host"),
        pytest.param(2, {}, 4 + 40 + 2 * 1 + 18 + 80 + 2 * (28 + 40) + 4, id="two hosts share the training"),
        pytest.param(1, {"control_interval": 100}, 2 + 40 + 18 + 80 + 2 * (28 + 40) + 2, id="no controls"),
        pytest.param(
            1, {"verification": {"candidates": 1, "pairs": 4}}, 2 + 40 + 3 + 8 + 2 * (8 + 4) + 2, id="no race"
        ),
    ],
)
def test_plans_the_trials_of_all_phases(
    names: int, fields: dict[str, Any], planned: int, new_history: Callable[..., RunHistory]
) -> None:
    space = [{"param": "vm.swappiness", "min": 0, "max": 100}, {"param": "vm.page-cluster", "min": 0, "max": 4}]
    history = new_history(training_config={"total_timesteps": 40}, action_space=space, **fields)
    for at in range(names):
        history.on_host(host(f"h{at}"))
    assert history.planned == planned


def test_a_lost_host_is_not_planned_for(new_history: Callable[..., RunHistory], evaluated: NewTrial) -> None:
    history = new_history()
    alone = history.planned
    history.on_host(host("h1"))
    history.on_host(host("h2"))
    for number, phase in enumerate(("baseline", "baseline", "train"), 1):
        history.on_trial(evaluated(60, phase=phase, number=number))
    history.on_lost("h1", "lost: no route")
    # h2 does it all, and h1's two measurements of its own baseline were made for nothing.
    assert history.planned == alone + 2


@pytest.fixture
def at_the_proof(new_history: Callable[..., RunHistory]) -> RunHistory:
    """Of one host, without a trial yet."""
    history = new_history()
    history.on_host(host("h1"))
    history.enter("verify")
    return history


def test_a_finished_phase_counts_with_the_trials_it_used(at_the_proof: RunHistory, evaluated: NewTrial) -> None:
    history, before = at_the_proof, at_the_proof.planned
    for number in range(1, 9):
        history.on_trial(evaluated(60, phase="verify", number=number))
    assert history.planned == before
    history.enter("ablate")
    assert history.planned == before - 80 + 8


def test_a_proof_that_begins_anew_with_a_pause_may_need_all_its_trials_again(
    at_the_proof: RunHistory, evaluated: NewTrial
) -> None:
    history, before = at_the_proof, at_the_proof.planned
    for number, pause in enumerate((0.0, 0.0, 0.0, 5.0, 5.0), 1):
        history.on_trial(replace(evaluated(60, phase="verify", number=number), pause=pause))
    assert history.planned == before + 3
    history.enter("recovery")
    history.on_trial(evaluated(60, phase="recovery", number=6))
    assert history.planned == 5 + 2


def test_a_guard_benchmark_after_which_the_next_is_measured_is_over(
    new_history: Callable[..., RunHistory], evaluated: NewTrial
) -> None:
    guards = [
        {"name": name, "benchmark_command": "true", "metric": "mbit", "may_worsen": 5, "pairs": pairs}
        for name, pairs in (("receive", 20), ("disk", 10))
    ]
    history = new_history(guard_benchmarks=guards)
    history.on_host(host("h1"))
    history.enter("guard")
    assert history.planned == 2 * 20 + 2 * 10 + 2, "and the recovery"
    left = []
    for number, benchmark in enumerate(("receive", "receive", "disk", None, "receive"), 1):
        progress = history.on_trial(replace(evaluated(60, phase="guard", number=number), benchmark=benchmark))
        left.append(progress["of"] - progress["number"])
    # The study's own, and then the first again, are measured if a value was left out.
    assert left == [39 + 20 + 2, 38 + 20 + 2, 19 + 2, 19 + 2, 37 + 19 + 2]


@pytest.mark.parametrize("is_over", [False, True])
def test_what_followed_a_training_that_goes_on_is_measured_anew(
    is_over: bool, engine: Engine, new_study: Callable[..., Study], evaluated: NewTrial
) -> None:
    raced = [evaluated(60, phase="race", number=number) for number in (2, 3, 4)]
    replay = ReplayLog(trials=[evaluated(60), *raced], answerable=[(raced[0], None)] if is_over else [])
    record = StudyRecord.begin(engine, workload_name="small", study={}, seed=1)
    history = RunHistory(new_study(), record, replay)
    history.on_host(host("h1"))
    limits = new_study().trials_by_phase(1)
    assert history.planned == sum(limits.values()) + (0 if is_over else len(raced))


def test_a_complete_run_has_no_planned_trials_left(new_history: Callable[..., RunHistory], evaluated: NewTrial) -> None:
    history = new_history()
    history.on_host(host("h1"))
    planned = history.planned
    for number in range(1, 9):
        history.on_trial(evaluated(60, phase="verify", number=number))
    history.complete()
    assert history.planned == len(history.trials) == 8
    assert history.at_most == planned


def test_iterating_over_hosts_is_safe_while_hosts_join(new_history: Callable[..., RunHistory]) -> None:
    history = new_history()
    history.on_host(host("h1"))
    through, present = iter(history.hosts), iter(history._present)
    history.on_host(host("late"))
    assert (list(through), list(present)) == (["h1"], ["h1"])
    history.on_lost("h1", "it had to go")
    assert (list(history.hosts), list(history._present)) == (["h1", "late"], ["late"])
