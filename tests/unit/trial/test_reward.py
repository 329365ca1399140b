from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Literal

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import RewardWeights
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.reward import log_ratio, score
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.stability import stability_parts, usual_parts
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Score, State, Trial
from hypothesis import given
from hypothesis import strategies as st

metrics = st.floats(1e-6, 1e6)


def scored(trial: Trial, baseline: float, weights: RewardWeights) -> Score:
    performance = None if trial.metric is None else log_ratio(trial.metric, baseline, "maximise")
    return score(trial, performance, weights)


@pytest.mark.parametrize(
    ("metric", "baseline", "direction", "expected"),
    [
        (200, 100, "maximise", math.log(2)),
        (50, 100, "maximise", -math.log(2)),
        (200, 100, "minimise", -math.log(2)),
        (50, 100, "minimise", math.log(2)),
        (100, 100, "minimise", 0),
    ],
)
def test_better_is_above_zero_and_twice_is_as_far_as_half(
    metric: float, baseline: float, direction: Literal["maximise", "minimise"], expected: float
) -> None:
    assert log_ratio(metric, baseline, direction) == pytest.approx(expected)


@given(metrics, metrics, st.lists(metrics, max_size=6), st.floats(0.01, 10), st.floats(0, 10))
def test_nothing_is_worse_than_a_failure(
    metric: float, baseline: float, streamed: list[float], performance: float, stability: float
) -> None:
    weights = RewardWeights(performance=performance, stability=stability)
    measured = scored(Trial(Phase.TRAIN, state=State.COMPLETE, metric=metric, streamed=streamed), baseline, weights)
    failed = scored(Trial(Phase.TRAIN, state=State.FAILED, error="it broke"), baseline, weights)
    assert failed.reward <= measured.reward
    assert failed.performance is None
    assert math.isfinite(measured.reward)


@given(st.lists(st.floats(20, 500), min_size=2, max_size=20, unique=True), st.booleans())
def test_a_better_metric_is_a_better_reward(found: list[float], streamed: bool) -> None:
    """Within the bounds, all else equal."""
    steady = [1.0, 1.0, 1.0] if streamed else []
    rewards = [
        scored(Trial(Phase.TRAIN, state=State.COMPLETE, metric=metric, streamed=steady), 100.0, RewardWeights()).reward
        for metric in sorted(found)
    ]
    assert all(worse < better or found_equal(worse, better) for worse, better in pairwise(rewards))


def found_equal(one: float, other: float) -> bool:
    return one == pytest.approx(other, abs=1e-12)


@pytest.mark.parametrize(
    ("streamed", "weights", "expected"),
    [
        ([], {}, 0.9 * math.log(2) + 0.1),
        ([100.0, 100.0, 100.0], {}, 0.9 * math.log(2) + 0.1),
        ([90.0, 100.0, 110.0], {}, 0.9 * math.log(2) + 0.09),
        ([90.0, 100.0, 110.0], {"performance": 3.0, "stability": 1.0}, (3 * math.log(2) + 0.9) / 4),
        ([90.0, 100.0, 110.0], {"stability": 0.0}, math.log(2)),
    ],
)
def test_the_reward_weighs_performance_and_stability(
    streamed: list[float], weights: dict[str, Any], expected: float
) -> None:
    found = scored(
        Trial(Phase.TRAIN, state=State.COMPLETE, metric=200.0, streamed=streamed),
        100.0,
        RewardWeights(**weights),
    )
    assert found.reward == pytest.approx(expected)
    assert found.performance == pytest.approx(math.log(2))


@pytest.mark.parametrize(("metric", "baseline"), [(1e-300, 1e300), (1e300, 1e-300), (5e-324, 1e308)])
def test_no_metric_is_too_large_or_too_small_to_compare(metric: float, baseline: float) -> None:
    assert math.isfinite(log_ratio(metric, baseline, "maximise"))


def test_an_absurd_gain_counts_no_more_than_a_large_one() -> None:
    found = scored(Trial(Phase.TRAIN, state=State.COMPLETE, metric=1e9), 1.0, RewardWeights())
    assert (found.reward, found.performance) == (0.9 * 2.0 + 0.1, pytest.approx(math.log(1e9)))


def test_what_the_host_suffered_lowers_the_reward() -> None:
    calm, strained = (
        scored(
            Trial(Phase.TRAIN, state=State.COMPLETE, metric=200.0, health={"retransmits": share}),
            100.0,
            RewardWeights(),
        )
        for share in (0.0, 0.05)
    )
    assert (calm.stability, strained.stability) == (1.0, 0.5)
    assert strained.stability_parts == {"retransmits": 0.5}
    assert calm.reward - strained.reward == pytest.approx(0.05)


STRAIN = {"memory_pressure": 0.2, "retransmits": 0.05}
USUAL = stability_parts([], STRAIN)


@pytest.mark.parametrize("unseen", [[], ["retransmits"], ["memory_pressure"], ["memory_pressure", "retransmits"]])
def test_what_was_not_seen_of_the_stability_is_as_it_usually_is(unseen: list[str]) -> None:
    seen = {name: share for name, share in STRAIN.items() if name not in unseen}
    found = score(Trial(Phase.TRAIN, state=State.COMPLETE, metric=1.0, health=seen), 0.0, RewardWeights(), USUAL)
    assert found.reward == pytest.approx(0.1 * 0.8 * 0.5)
    assert found.stability_parts == {name: part for name, part in USUAL.items() if name not in unseen}
    assert (found.stability is None) is (not seen), "what is told is what was seen"


@given(st.dictionaries(st.sampled_from(sorted(STRAIN)), st.floats(0, 1)), st.floats(-2, 2))
def test_a_sound_host_gains_nothing_by_being_looked_at(seen: dict[str, float], performance: float) -> None:
    blind = score(Trial(Phase.TRAIN, state=State.COMPLETE, metric=1.0), performance, RewardWeights())
    calm = score(
        Trial(Phase.TRAIN, state=State.COMPLETE, metric=1.0, health=dict.fromkeys(seen, 0.0)),
        performance,
        RewardWeights(),
    )
    assert blind.reward == pytest.approx(calm.reward)
    strained = score(Trial(Phase.TRAIN, state=State.COMPLETE, metric=1.0, health=seen), performance, RewardWeights())
    assert strained.reward <= blind.reward + 1e-12


def test_usual_is_the_mean_of_each_part_over_the_runs_that_had_it() -> None:
    assert usual_parts([{"errors": 1.0}, {"errors": 0.5, "variation": 0.9}, {}]) == {"errors": 0.75, "variation": 0.9}
    assert usual_parts([]) == {}
