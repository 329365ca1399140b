from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.evaluation import (
    Evaluation,
    Job,
    Measurement,
    Score,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.verification import (
    Pair,
    Proof,
    best_candidates,
    judge,
    race,
    run_pairs,
)
from hypothesis import given, settings
from hypothesis import strategies as st

NewEvaluation = Callable[..., Evaluation]


def pairs_of(baselines: Sequence[float], candidates: Sequence[float], host: str = "h1") -> list[Pair]:
    return [
        Pair(host, at, "baseline", own, tuned)
        for at, (own, tuned) in enumerate(zip(baselines, candidates, strict=True), start=1)
    ]


def judged(pairs: Sequence[Pair], min_improvement: float = 1.0, direction: Any = "maximise") -> Proof:
    proof = judge(pairs, direction, confidence=0.95, min_improvement=min_improvement, seed=1)
    assert proof is not None
    return proof


def simulated(generator: np.random.Generator, count: int, gain: float, noise: float) -> list[Pair]:
    """Pairs on two hosts, one twice as fast as the other."""
    pairs = []
    for at in range(count):
        own, tuned = 100 * (1 + at % 2) * np.exp(generator.normal([0, math.log1p(gain)], noise))
        pairs.append(Pair(f"h{at % 2}", at, "baseline", float(own), float(tuned)))
    return pairs


def test_a_candidate_that_changes_nothing_is_seldom_called_better() -> None:
    """400 A/A studies of 12 pairs. At most 5 in 100 may err; about 2.5 are to be expected, and 20 is 3 sigma above."""
    generator = np.random.default_rng(1)
    improved = sum(judged(simulated(generator, 12, 0.0, 0.03), 0.0).improved for dummy in range(400))
    assert improved <= 20


def test_a_gain_of_ten_per_cent_is_found_in_three_per_cent_noise() -> None:
    generator = np.random.default_rng(2)
    proofs = [judged(simulated(generator, 16, 0.10, 0.03)) for dummy in range(40)]
    assert all(proof.improved for proof in proofs)
    covered = [proof.interval[0] <= 10 <= proof.interval[1] for proof in proofs]
    assert sum(covered) >= 32  # of 95 %, with what BCa lacks at 16 pairs and what chance may take
    assert np.mean([proof.improvement for proof in proofs]) == pytest.approx(10, abs=0.5)


@pytest.mark.parametrize("direction", ["maximise", "minimise"])
def test_a_loss_is_never_an_improvement(direction: str) -> None:
    generator = np.random.default_rng(3)
    pairs = simulated(generator, 16, -0.10 if direction == "maximise" else 0.10, 0.03)
    assert not judged(pairs, direction=direction).improved


def test_less_is_better_where_the_study_minimises() -> None:
    proof = judged(pairs_of([100.0, 101.0, 99.0, 100.0], [50.0, 51.0, 50.0, 49.0]), direction="minimise")
    assert proof.improved
    assert proof.improvement == pytest.approx(100, abs=3)


@pytest.mark.parametrize(
    ("candidate", "improved", "improvement"), [(110.0, True, 10.0), (100.0, False, 0.0), (90.0, False, -10.0)]
)
def test_a_benchmark_without_noise_can_be_judged(candidate: float, improved: bool, improvement: float) -> None:
    proof = judged(pairs_of([100.0] * 5, [candidate] * 5))
    assert proof.improved is improved
    assert (proof.improvement, *proof.interval) == pytest.approx((improvement,) * 3)


def test_a_host_that_gets_significantly_worse_vetoes() -> None:
    better = pairs_of([100.0, 101.0, 99.0, 100.0], [200.0, 203.0, 199.0, 198.0], "h1")
    worse = pairs_of([100.0, 101.0, 99.0, 100.0], [90.0, 90.5, 89.0, 90.0], "h2")
    assert judged(better).improved
    proof = judged([*better, *better, *worse])
    assert not proof.improved
    assert proof.reason == "h2 got significantly worse"


def test_a_host_that_is_worse_by_chance_does_not_veto() -> None:
    better = pairs_of([100.0, 101.0, 99.0, 100.0] * 2, [130.0, 131.0, 129.0, 128.0] * 2, "h1")
    unclear = pairs_of([100.0, 90.0, 110.0, 100.0], [105.0, 98.0, 90.0, 104.0], "h2")
    assert judged([*better, *unclear]).improved


def test_a_gain_too_small_to_matter_is_none() -> None:
    pairs = pairs_of([100.0, 100.1, 99.9, 100.0, 100.05], [100.5, 100.6, 100.4, 100.55, 100.5])
    assert judged(pairs, min_improvement=0.1).improved
    proof = judged(pairs, min_improvement=1.0)
    assert not proof.improved
    assert "is below the 1 % that matter" in proof.reason


def test_two_modes_are_no_improvement() -> None:
    """A benchmark that is now fast and now slow, whatever the values: it mostly says so, as often as it may."""
    won = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        metrics = generator.choice([100.0, 200.0], (16, 2)) * np.exp(generator.normal(0, 0.01, (16, 2)))
        pairs = [Pair("h1", at, "baseline", own, tuned) for at, (own, tuned) in enumerate(metrics.tolist())]
        proof = judge(pairs, "maximise", confidence=0.95, min_improvement=0, seed=seed)
        assert proof is not None
        won += proof.improved
    assert won <= 5


def test_a_difference_within_the_noise_is_none() -> None:
    proof = judged(pairs_of([100.0, 120.0, 90.0, 110.0], [110.0, 100.0, 120.0, 105.0]))
    assert not proof.improved
    assert proof.reason.startswith("the difference is within the noise (p = ")
    assert proof.interval[0] < 0 < proof.interval[1]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_fewer_than_four_pairs_leave_nothing_to_judge_by(count: int) -> None:
    pairs = pairs_of([100.0] * count, [200.0] * count)
    assert judge(pairs, "maximise", confidence=0.95, min_improvement=0, seed=1) is None


@settings(max_examples=30)
@given(st.lists(st.sampled_from([90.0, 100.0, 100.0 + 1e-12, 110.0]), min_size=4, max_size=8), st.booleans())
@pytest.mark.filterwarnings("ignore:Precision loss:RuntimeWarning")
def test_every_proof_is_finite(candidates: list[float], two_hosts: bool) -> None:
    pairs = pairs_of([100.0] * len(candidates), candidates)
    if two_hosts:
        pairs += pairs_of([30.0] * 2, [33.0] * 2, "h2")
    proof = judged(pairs)
    assert all(map(math.isfinite, (proof.improvement, *proof.interval, proof.p_value)))


def test_the_best_candidates_never_failed_and_are_all_different(evaluated: NewEvaluation) -> None:
    trained = [
        evaluated(10, 0.5),
        evaluated(20, 0.9),
        evaluated(20, None),  # the luckiest, and it broke once
        evaluated(30, 0.8),
        evaluated(30, 0.0),  # 0.4 on the mean
        evaluated(10, 0.5),
        evaluated(40, 0.1),
        evaluated(50, None),
    ]
    assert [c["vm.swappiness"] for c in best_candidates(trained, 3)] == [10, 30, 40]
    assert [c["vm.swappiness"] for c in best_candidates(trained, 1)] == [10]
    assert best_candidates(trained[-1:], 3) == []


class Hosts:
    """Measures jobs: vm.swappiness is the metric (60 the baseline), with some noise; some values fail."""

    def __init__(self, *, failing: Sequence[int] = (), noise: float = 0.0) -> None:
        self.jobs: list[Job] = []
        self._failing, self._noise = failing, random.Random(1)
        self._spread = noise

    def measure(self, jobs: Sequence[Job]) -> list[Evaluation]:
        self.jobs += jobs
        return [self._evaluation(at, job) for at, job in enumerate(jobs, start=1)]

    def _evaluation(self, number: int, job: Job) -> Evaluation:
        value = int((job.values or {"vm.swappiness": 60})["vm.swappiness"])
        metric = value + self._noise.gauss(0, self._spread)
        failed = value in self._failing
        measurement = Measurement(error="it broke") if failed else Measurement(metric=metric)
        score = Score(None if failed else metric / 60 - 1, None, 0.0)
        return Evaluation(number, job, job.host or "h1", measurement, score)


def candidates_of(*values: int) -> list[dict[str, int | float | str]]:
    return [{"vm.swappiness": value} for value in values]


def test_the_race_is_won_by_fresh_evaluations() -> None:
    hosts = Hosts(noise=0.1)
    assert race(candidates_of(70, 90, 80), hosts.measure) == {"vm.swappiness": 90}
    assert [(job.phase, (job.values or {})["vm.swappiness"]) for job in hosts.jobs] == [
        ("race", 70),
        ("race", 90),
        ("race", 80),
    ] * 2


def test_a_candidate_that_fails_loses_the_race() -> None:
    assert race(candidates_of(70, 90), Hosts(failing=[90]).measure) == {"vm.swappiness": 70}
    assert race(candidates_of(70, 90), Hosts(failing=[70, 90]).measure) is None


def test_one_candidate_need_not_race() -> None:
    hosts = Hosts()
    assert race(candidates_of(70), hosts.measure) == {"vm.swappiness": 70}
    assert hosts.jobs == []


def test_pairs_are_complete_interleaved_and_in_random_order() -> None:
    hosts = Hosts()
    pairs, tuned = run_pairs({"vm.swappiness": 90}, ["h1", "h2"], 40, hosts.measure, np.random.default_rng(1))
    assert [(pair.host, pair.pair) for pair in pairs] == [(h, at) for at in range(1, 41) for h in ("h1", "h2")]
    assert all((pair.baseline, pair.candidate) == (60.0, 90.0) for pair in pairs)
    assert [evaluation.measurement.metric for evaluation in tuned] == [90.0] * 80
    for one, other in zip(hosts.jobs[::2], hosts.jobs[1::2], strict=True):
        assert (one.phase, one.host, one.pair) == (other.phase, other.host, other.pair)
        assert (one.values is None) != (other.values is None)
    firsts = [pair.first for pair in pairs]
    assert [job.values is None for job in hosts.jobs[::2]] == [first == "baseline" for first in firsts]
    assert 25 <= firsts.count("baseline") <= 55


def test_a_pair_of_which_one_side_failed_is_none() -> None:
    pairs, tuned = run_pairs({"vm.swappiness": 90}, ["h1"], 4, Hosts(failing=[90]).measure, np.random.default_rng(1))
    assert pairs == []
    assert [evaluation.failed for evaluation in tuned] == [True] * 4
