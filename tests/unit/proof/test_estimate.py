from __future__ import annotations

import math

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.estimate import (
    Estimate,
    bootstrap_interval,
    of_host,
    over_hosts,
)
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

ratio = st.floats(-1, 1, allow_nan=False).map(lambda value: round(value, 4))


def test_one_host_is_the_paired_t_test() -> None:
    values = [0.03, 0.05, -0.01, 0.04, 0.02]
    estimate = over_hosts({"h1": values})
    assert estimate is not None
    known = stats.ttest_1samp(values, 0.0)
    assert 2 * stats.norm.sf(estimate.z()) == pytest.approx(known.pvalue)
    interval = known.confidence_interval(0.95)
    assert estimate.interval(stats.norm.isf(0.025)) == pytest.approx((interval.low, interval.high))


def test_a_lost_host_counts_with_the_pairs_it_measured() -> None:
    estimate = over_hosts({"h1": [0.1, 0.1, 0.1, 0.1, 0.11, 0.09], "h2": [0.02, 0.02]})
    assert estimate is not None
    assert estimate.mean == pytest.approx(0.08)


def test_differences_between_hosts_are_not_noise() -> None:
    steady = {"h1": [0.30, 0.31, 0.29, 0.30], "h2": [0.10, 0.11, 0.09, 0.10]}
    estimate = over_hosts(steady)
    assert estimate is not None
    assert estimate.error < 0.01
    unsure = over_hosts({"h1": [0.30, 0.31, 0.29, 0.30], "h2": [0.60, -0.40, 0.50, -0.30]})
    assert unsure is not None
    assert unsure.z() < 2


@pytest.mark.parametrize(("noise", "wider"), [(0.03, 1.3), (0.3, math.inf)])
def test_the_interval_of_a_noisy_host_covers_the_truth(noise: float, wider: float) -> None:
    """That of a host like the others is hardly wider than with all that these know."""
    generator, z = np.random.default_rng(5), stats.norm.isf(0.00625)
    covered, widths = 0, []
    for dummy in range(400):
        ratios = {
            f"h{at}": list(generator.normal(0, deviation, 5)) for at, deviation in enumerate([0.03] * 3 + [noise])
        }
        low, high = of_host("h3", ratios).interval(z)
        covered += low <= 0 <= high
        widths.append(high - low)
    assert covered >= 0.97 * 400
    assert np.median(widths) <= wider * 2 * stats.t.isf(0.00625, 7) * noise / math.sqrt(5)


@pytest.mark.parametrize("mean", [5.5, -6.0, 0.1])
def test_an_interval_contains_its_mean_however_large(mean: float) -> None:
    low, high = Estimate(mean, 0.1, 5.0).interval(1.96)
    assert low < mean < high or mean in (low, high)
    assert low < high


def test_the_variance_of_a_host_is_moderated_by_the_others() -> None:
    others = {f"h{at}": [0.05, -0.05, 0.04, -0.06] for at in range(5)}
    # These two happen to agree; alone they would prove what they say beyond doubt.
    assert of_host("odd", {**others, "odd": [-0.02, -0.0201]}).z() > -2
    assert of_host("odd", {"odd": [-0.02, -0.0201]}).z() < -2.5


@pytest.mark.parametrize(("mean", "against", "score"), [(0.1, 0.0, math.inf), (0.0, 0.0, 0.0), (0.0, 0.1, -math.inf)])
def test_a_benchmark_without_noise_has_a_z_score(mean: float, against: float, score: float) -> None:
    estimate = Estimate(mean, 0.0, 3)
    assert estimate.z(against) == score
    assert estimate.interval(3.0) == (mean, mean)


def test_the_bootstrap_interval_agrees_with_the_t_test() -> None:
    generator = np.random.default_rng(1)
    values = {"h1": generator.normal(0.05, 0.03, 20).tolist(), "h2": generator.normal(0.25, 0.03, 20).tolist()}
    estimate = over_hosts(values)
    assert estimate is not None
    low, high = estimate.interval(stats.norm.isf(0.025))
    assert bootstrap_interval(values, 0.95, seed=1) == pytest.approx((low, high), abs=0.002)


@given(st.dictionaries(st.sampled_from("abc"), st.lists(ratio, min_size=2, max_size=6), min_size=1))
@pytest.mark.filterwarnings("ignore:Precision loss:RuntimeWarning")
def test_estimates_are_symmetric(ratios: dict[str, list[float]]) -> None:
    one = over_hosts(ratios)
    other = over_hosts({host: [-value for value in values] for host, values in ratios.items()})
    assert one is not None
    assert other is not None
    assert one.z() == pytest.approx(-other.z(), abs=1e-6)
    low, high = one.interval(2.5)
    assert low <= one.mean <= high
    assert math.isfinite(low)
    assert math.isfinite(high)
