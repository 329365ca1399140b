from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._evaluation.evaluation import (
    Evaluation,
    Job,
    Measurement,
    Phase,
    Score,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.futility import (
    Futility,
    needed_performance,
    saved_seconds,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.host import Host
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.bound import Bound

NewStudy = Callable[..., Study]
BASELINE = 100.0


def run_of(worth: float, generator: np.random.Generator, seconds: int = 20) -> tuple[list[float], float]:
    """A value a second: a slow start whose length differs, then noise that hangs together; and the mean of all."""
    noise, values = 0.0, []
    ramp = generator.uniform(1, 4)
    for at in range(seconds):
        noise = 0.7 * noise + generator.normal(0, 0.1)
        values.append(max(worth * min((at + 1) / ramp, 1.0) * (1 + noise), 1.0))
    return values, float(np.mean(values))


def evaluation(
    streamed: list[float], metric: float | None, *, value: int = 1, phase: Phase = "train", early: bool = False
) -> Evaluation:
    measurement = Measurement(
        metric=metric,
        streamed=streamed,
        seconds={"benchmark": float(len(streamed))},
        ended_early=early,
        error=None if metric else "it broke",
    )
    score = Score(math.log(metric / BASELINE) if metric else None, None, 0.0, noise=0.03)
    return Evaluation(1, Job(phase, {"vm.swappiness": value}), "h1", measurement, score)


def host_of(study: Study) -> Host:
    host = Host("h1", {}, {})
    for dummy in range(3):
        host.take(study, "baseline", Measurement(metric=BASELINE))
    return host


def learned(study: Study, generator: np.random.Generator, runs: int = 16) -> Futility:
    """After so many whole runs, of candidates half as good to twice as good as the baseline."""
    futility = Futility(study)
    for value in range(runs):
        streamed, metric = run_of(BASELINE * 2 ** generator.uniform(-1, 1), generator)
        futility.see(evaluation(streamed, metric, value=value))
    return futility


TRAIN = Job("train", {"vm.swappiness": 50})


def test_seldom_ends_what_would_have_mattered_and_mostly_what_would_not(new_study: NewStudy) -> None:
    study = new_study(streams=True)
    generator = np.random.default_rng(1)
    wrong = right = in_vain = saved = 0
    for dummy in range(12):
        futility, host = learned(study, generator), host_of(study)
        content = futility.bound(host, TRAIN)
        assert content is not None
        for dummy in range(60):
            bound = Bound(content)
            streamed, metric = run_of(content["needed"] * 2 ** generator.uniform(-1.5, 0.5), generator)
            at = next((at for at in range(len(streamed)) if bound.is_out_of_reach(streamed[:at])), len(streamed))
            matters = metric >= content["needed"]
            wrong += matters and bound.estimate is not None
            in_vain += not matters
            right += not matters and bound.estimate is not None
            saved += len(streamed) - at
            if bound.estimate is not None:
                assert bound.estimate == pytest.approx(metric, rel=0.5)
    assert wrong <= 2  # of about 180
    assert right > 0.5 * in_vain
    assert saved > 0.25 * 12 * 60 * 20


@pytest.mark.parametrize(
    ("fields", "job"),
    [
        ({}, TRAIN),
        ({"streams": True, "early_stopping": {"evaluation": False}}, TRAIN),
        ({"streams": True, "early_stopping": False}, TRAIN),
        ({"streams": True, "objectives": [{"metric": "p99", "direction": "minimise"}]}, TRAIN),
        *(
            ({"streams": True}, Job(phase, {"vm.swappiness": 50}))  # type: ignore[arg-type]
            for phase in ("baseline", "control", "race", "verify", "ablate")
        ),
    ],
    ids=str,
)
def test_ends_nothing_else(fields: dict[str, Any], job: Job, new_study: NewStudy) -> None:
    usual = new_study(streams=True)
    generator = np.random.default_rng(1)
    assert learned(usual, generator).bound(host_of(usual), TRAIN) is not None
    study = new_study(**fields)
    futility = learned(study, generator)
    host = host_of(usual)
    assert futility.bound(host, job) is None


@pytest.mark.parametrize("runs", [0, 7])
def test_ends_nothing_while_it_knows_too_little(runs: int, new_study: NewStudy) -> None:
    study = new_study(streams=True)
    assert learned(study, np.random.default_rng(1), runs).bound(host_of(study), TRAIN) is None


def test_looks_after_two_seconds_at_the_earliest_and_not_at_the_very_end(new_study: NewStudy) -> None:
    study = new_study(streams=True)
    counts = [look.count for look in learned(study, np.random.default_rng(1)).looks]
    assert counts == sorted(set(counts))
    assert (counts[0], counts[-1]) == (3, 19)
    assert len(counts) <= 8
    dense = Futility(study)
    for dummy in range(10):
        streamed = [100.0] * 1000
        measurement = Measurement(metric=100.0, streamed=streamed, seconds={"benchmark": 10.0})
        dense.see(Evaluation(1, Job("baseline", None), "h1", measurement, Score(0.0, None, 0.0)))
    assert dense.looks[0].count == 200


def test_a_metric_to_be_minimised_is_bounded_from_above(new_study: NewStudy) -> None:
    study = new_study(streams=True, direction="minimise")
    content = learned(study, np.random.default_rng(1)).bound(host_of(study), TRAIN)
    assert content is not None
    assert content["worse"] == "above"
    assert all(mean > content["needed"] for dummy, mean, factor in content["looks"])
    assert Bound(content).is_out_of_reach([10 * BASELINE] * 20)


def test_what_is_needed_is_to_be_among_those_that_race(new_study: NewStudy) -> None:
    trained = [
        evaluation([], 100 * math.exp(worth), value=value)
        for value, worth in ((1, 0.5), (2, 0.4), (3, 0.9), (3, 0.1), (4, 0.2), (5, 0.1))
    ]
    # Two measurements of the third candidate count as one of 0.5; twice the noise of 0.03 is left aside.
    assert needed_performance(trained, 3) == pytest.approx(0.4 - 0.06)
    assert needed_performance(trained[:2], 3) is None
    failed = evaluation([], None, value=6)
    assert needed_performance([*trained, failed], 3) == pytest.approx(0.4 - 0.06)
    estimated = evaluation([], 300.0, value=7, early=True)
    assert needed_performance([*trained, estimated], 3) == pytest.approx(0.4 - 0.06)


def test_what_was_ended_early_is_more_uncertain_and_teaches_nothing(new_study: NewStudy) -> None:
    futility = learned(new_study(streams=True), np.random.default_rng(1))
    looks = futility.looks
    found = futility.see(evaluation([50.0] * looks[0].count, 60.0, early=True))
    assert found.score.noise == pytest.approx(math.hypot(0.03, looks[0].spread))
    assert futility.looks == looks


def test_counts_the_seconds_that_were_saved() -> None:
    whole = [evaluation([1.0] * seconds, 100.0) for seconds in (9, 10, 11)]
    early = [evaluation([1.0] * seconds, 100.0, early=True) for seconds in (4, 6)]
    assert saved_seconds([*whole, *early]) == 6 + 4
    assert saved_seconds(early) == saved_seconds(whole) == 0
