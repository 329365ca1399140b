from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.drift import BaselineShift, Drift
from hypothesis import given, settings
from hypothesis import strategies as st

objectives = st.floats(-5, 5)


def drift_of(metrics: list[float], gap: int = 1) -> Drift:
    drift = Drift()
    for number, metric in enumerate(metrics):
        drift.add(number * gap, math.log(metric))
    return drift


def level_of(metrics: list[float]) -> float:
    return math.exp(drift_of(metrics).level(len(metrics)).level)


@pytest.mark.parametrize(
    ("metrics", "level"),
    [
        ([100.0], 100),
        ([90.0, 110.0], 100),
        ([100.0, 101.0, 99.0], 100),
        ([50.0, 100.0, 100.0], 100),
        ([100.0, 50.0, 100.0], 98),
        ([100.0, 100.0, 50.0], 100),
        ([100.0, 101.0, 99.0, 100.0, 300.0, 101.0], 100),
        ([100.0, 101.0, 99.0, 100.0, 300.0, 301.0], 300),
    ],
    ids=["one", "two", "steady", "cold start", "outlier second", "outlier last", "outlier", "shift"],
)
def test_one_outlier_does_not_change_the_baseline_but_two_that_agree_do(metrics: list[float], level: float) -> None:
    assert level_of(metrics) == pytest.approx(level, rel=0.02)


def test_a_shift_is_reported_with_its_time_and_size() -> None:
    drift = drift_of([100.0, 101.0, 99.0], gap=10)
    assert drift.add(30, math.log(70.0)) is None
    assert drift.suspect is not None
    shift = drift.add(31, math.log(70.0))
    assert shift is not None
    assert (shift.after, shift.until, shift.change) == (20, 30, pytest.approx(math.log(0.7), abs=0.01))
    # The time of the shift is unknown: in the middle, both levels are equally likely.
    assert drift.level(25).level == pytest.approx(math.log(100 * 70) / 2, abs=0.01)
    assert drift.level(25).uncertainty > drift.level(10).uncertainty * 5
    assert math.exp(drift.level(10).level) == pytest.approx(100, rel=0.01)


def simulated(speed: float, noise: float, seed: int) -> tuple[Drift, np.ndarray, dict[str, list[float]]]:
    """Three baseline trials, then a control after every 10 trials; returns also the errors of the estimated levels."""
    generator = np.random.default_rng(seed)
    levels = np.cumsum(generator.normal(0, speed, 94))
    drift, errors, recent = Drift(), {"now": [], "median of three": []}, []
    for at, level in enumerate(levels):
        if at < 3 or (at - 2) % 11 == 0:
            recent.append(level + generator.normal(0, noise))
            drift.add(at, recent[-1])
        else:
            errors["now"].append(drift.level(at).level - level)
            errors["median of three"].append(float(np.median(recent[-3:])) - level)
    errors["then"] = [drift.level(at).level - level for at, level in enumerate(levels[:91])]
    return drift, levels, errors


@pytest.mark.parametrize(
    ("speed", "noise", "better"),
    [(0.0, 0.03, 0.85), (0.003, 0.03, 0.95), (0.01, 0.03, 1.05), (0.0, 0.2, 0.85)],
)
def test_is_more_accurate_than_a_median_of_three_and_most_accurate_in_hindsight(
    speed: float, noise: float, better: float
) -> None:
    runs = [simulated(speed, noise, seed)[2] for seed in range(30)]
    now, median, then = (
        math.sqrt(np.mean([error**2 for errors in runs for error in errors[name]]))
        for name in ("now", "median of three", "then")
    )
    assert now < better * median
    assert then < 0.9 * now


def test_estimates_its_uncertainty_and_the_noise() -> None:
    runs = [simulated(0.003, 0.03, seed)[0] for seed in range(20)]
    assert np.mean([drift.noise for drift in runs]) == pytest.approx(0.03, rel=0.15)
    assert np.mean([drift.level(91).uncertainty for drift in runs]) == pytest.approx(0.017, rel=0.5)


@pytest.mark.takes_seconds
@given(st.lists(objectives, min_size=1, max_size=12), st.floats(-3, 3), st.lists(st.integers(1, 20), min_size=12))
@settings(deadline=None)
def test_the_unit_of_the_metric_makes_no_difference(found: list[float], shift: float, gaps: list[int]) -> None:
    """Seconds or milliseconds: only the objectives and the levels are shifted."""
    drift, shifted = Drift(), Drift()
    at = 0
    for objective, gap in zip(found, gaps, strict=False):
        at += gap
        shifts: list[BaselineShift | None] = [drift.add(at, objective), shifted.add(at, objective + shift)]
        assert (shifts[0] is None) == (shifts[1] is None)
    for time in range(at + 5):
        assert shifted.level(time).level - shift == pytest.approx(drift.level(time).level, abs=1e-6)
    assert min(found) - 1e-9 <= drift.level(at).level <= max(found) + 1e-9
    assert drift.noise > 0


@given(st.lists(objectives, min_size=4, max_size=12), st.data())
@settings(deadline=None)
def test_any_level_lies_between_the_measurements(found: list[float], data: Any) -> None:
    """At any time, also before and after the measurements."""
    drift = Drift()
    for at, objective in enumerate(found):
        drift.add(3 * at, objective)
    time = data.draw(st.integers(0, 3 * len(found) + 10))
    estimate = drift.level(time)
    assert min(found) - 1e-9 <= estimate.level <= max(found) + 1e-9
    assert math.isfinite(estimate.uncertainty)
