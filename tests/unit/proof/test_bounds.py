from __future__ import annotations

import math

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof import bounds
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.bounds import (
    detectable_drift,
    information_fractions,
    p_value,
    planned_analyses,
    stopping_bounds,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.noise import detectable
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, norm

FIVE = (0.2, 0.4, 0.6, 0.8, 1.0)


def test_efficacy_bounds_match_the_published_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of gsDesign's default, which has a gamma of -4."""
    monkeypatch.setattr(bounds, "_GAMMA", -4.0)
    thirds = (1 / 3, 2 / 3, 1.0)
    found = [bound.efficacy for bound in stopping_bounds.__wrapped__(thirds, thirds, 0.05, 0.9)]
    assert found == pytest.approx((3.01, 2.55, 2.00), abs=0.005)


def test_the_first_bound_spends_what_hwang_shih_and_decani_allow() -> None:
    spent = 0.025 * (math.exp(2 * 0.2) - 1) / (math.exp(2) - 1)
    assert stopping_bounds(FIVE, FIVE, 0.05, 0.9)[0].efficacy == pytest.approx(norm.isf(spent), abs=1e-6)


def test_a_single_analysis_equals_a_single_test() -> None:
    assert detectable_drift((1.0,), 0.05, 0.9) == pytest.approx(norm.isf(0.025) + norm.isf(0.1), abs=1e-3)
    assert (
        detectable_drift((1.0,), 0.05, 0.9)
        < detectable_drift(FIVE, 0.05, 0.9)
        < 1.1 * detectable_drift((1.0,), 0.05, 0.9)
    )


def walks(drift: float, count: int, seed: int) -> np.ndarray:
    """The z scores of many tests at five analyses, shape (count, 5)."""
    steps = np.random.default_rng(seed).normal(drift * 0.2, math.sqrt(0.2), (count, 5))
    return steps.cumsum(axis=1) / np.sqrt(FIVE)


def decided(scores: np.ndarray) -> np.ndarray:
    """For each test, whether it stops for efficacy before futility."""
    found = stopping_bounds(FIVE, FIVE, 0.05, 0.9)
    proved = np.zeros(len(scores), dtype=bool)
    going = np.ones(len(scores), dtype=bool)
    for at, boundary in enumerate(found):
        proved |= going & (scores[:, at] >= boundary.efficacy)
        going &= (np.abs(scores[:, at]) < boundary.efficacy) & (scores[:, at] >= boundary.futility)
    return proved


def test_both_error_rates_are_as_specified() -> None:
    """100,000 tests each; 4 standard errors are 0.002 and 0.004."""
    assert decided(walks(0.0, 100_000, 1)).mean() <= 0.025 + 0.002
    assert decided(walks(detectable_drift(FIVE, 0.05, 0.9), 100_000, 2)).mean() == pytest.approx(0.9, abs=0.004)


@pytest.mark.takes_seconds
def test_the_p_value_of_a_test_that_may_stop_early_is_uniform() -> None:
    limits = [boundary.efficacy for boundary in stopping_bounds(FIVE, FIVE, 0.05, 0.9)]
    found = []
    for scores in walks(0.0, 400, 3):
        at = next((at for at, score in enumerate(scores) if abs(score) >= limits[at]), 4)
        found.append(p_value(FIVE[: at + 1], float(scores[at]), 0.05))
    assert kstest(found, "uniform").pvalue > 0.01


@pytest.mark.parametrize("looks", [1, 2, 5])
def test_the_p_value_at_the_bound_is_the_alpha_spent(looks: int) -> None:
    bound = stopping_bounds(FIVE[:looks], FIVE, 0.05, 0.9)[-1].efficacy
    spent = 0.05 * math.expm1(2 * FIVE[looks - 1]) / math.expm1(2)
    assert p_value(FIVE[:looks], bound, 0.05) == pytest.approx(spent, rel=1e-3)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=6, unique=True).map(sorted),
    st.sampled_from([0.01, 0.05, 0.2]),
    st.sampled_from([0.5, 0.8, 0.95]),
)
def test_bounds_are_ordered_and_meet_at_the_end(counts: list[int], error: float, power: float) -> None:
    """Also at information fractions that were not planned, because hosts were lost."""
    shares = information_fractions(counts, 60, last=True)
    found = stopping_bounds(shares, FIVE, error, power)
    assert all(-each.efficacy <= each.futility <= each.efficacy for each in found)
    assert found[-1].futility == found[-1].efficacy
    assert all(each.efficacy >= norm.isf(error / 2) - 1e-6 for each in found)


@given(st.integers(2, 400), st.integers(1, 50))
def test_analyses_are_few_and_with_one_host_balanced(rounds: int, together: int) -> None:
    looks = planned_analyses(rounds, together)
    assert looks == sorted(set(looks))
    assert looks[-1] == rounds
    assert len(looks) <= 20
    assert together > 1 or all(at % 2 == 0 for at in looks[:-1])
    assert looks[0] * together >= min(6, rounds * together)


def test_forty_pairs_are_analysed_from_six_on_after_every_two() -> None:
    for hosts in (1, 2):
        assert [hosts * at for at in planned_analyses(40 // hosts, hosts)] == list(range(6, 41, 2))


@pytest.mark.takes_seconds
@pytest.mark.parametrize(
    ("less", "more"),
    [
        ({"cv": 1.0}, {"cv": 2.0}),
        ({"pairs": 40}, {"pairs": 20}),
        ({"power": 0.8}, {"power": 0.9}),
        ({"confidence": 0.9}, {"confidence": 0.99}),
    ],
)
def test_detects_less_with_more_noise_or_fewer_pairs(less: dict[str, float], more: dict[str, float]) -> None:
    usual = {"cv": 3.0, "pairs": 40, "hosts": 2, "confidence": 0.95, "power": 0.9}
    assert detectable(**{**usual, **less}) < detectable(**{**usual, **more})  # type: ignore[arg-type]


def test_forty_pairs_detect_five_per_cent_in_three_per_cent_noise() -> None:
    assert 2 < detectable(3.0, 40, 1, 0.95, 0.9) < 5
