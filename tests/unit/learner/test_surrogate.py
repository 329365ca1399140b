from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.gaussian_process import GaussianProcess
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.ideas import Ideas
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.surrogate import (
    Features,
    Surrogate,
    log_expected_improvement,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import SearchSpace
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

NONE = np.zeros((0, 3))
QUIET = np.zeros(60)


@pytest.fixture
def space(new_study: Callable[..., Study]) -> SearchSpace:
    return new_study(
        action_space=[
            {"param": "vm.swappiness", "min": 0, "max": 100},
            {"param": "net.ipv4.tcp_congestion_control", "choices": ["reno", "cubic", "bbr"]},
            {"param": "net.ipv4.tcp_mtu_probing", "type": "bool"},
        ]
    ).space


def test_a_choice_is_as_far_from_any_other(space: SearchSpace) -> None:
    points = np.array([[0.3, 1 / 6, 0.25], [0.3, 0.5, 0.25], [0.3, 5 / 6, 0.75]])
    seen = Features(space)(points)
    assert seen.tolist() == [[0.3, 1, 0, 0, 0], [0.3, 0, 1, 0, 0], [0.3, 0, 0, 1, 1]]
    assert Features(space).size == seen.shape[1]


def steps(points: np.ndarray) -> np.ndarray:
    """A step, a slope, and an axis that does nothing."""
    return (points[:, 0] > 0.4) + 0.5 * points[:, 1]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def process() -> GaussianProcess:
    random = np.random.default_rng(1)
    points = random.random((60, 3))
    fitted = GaussianProcess(3)
    fitted.fit(points, steps(points) + random.normal(0, 0.02, 60))
    return fitted


def test_the_process_predicts_what_it_has_not_seen(process: GaussianProcess) -> None:
    points = np.random.default_rng(2).random((300, 3))
    mean, std = process.predict(points)
    assert 1 - np.var(mean - steps(points)) / np.var(steps(points)) > 0.9
    # Most of the truth lies within two standard deviations, even with a step.
    assert np.mean(np.abs(mean - steps(points)) < 2 * std + 0.02) > 0.8


def test_leaving_one_out_is_what_conditioning_on_the_others_says(process: GaussianProcess) -> None:
    random = np.random.default_rng(3)
    points = random.random((20, 3))
    values = steps(points)
    process.condition(points, values)
    left_out = process.left_out()
    for at in (0, 7):
        others = np.arange(20) != at
        process.condition(points[others], values[others])
        assert process.predict(points[at : at + 1])[0][0] == pytest.approx(left_out[at], abs=1e-8)


def test_what_is_known_to_be_noisy_weighs_less() -> None:
    """Every fourth value is of a host that is ten times as noisy as the others."""
    random = np.random.default_rng(8)
    points, unseen = random.random((48, 3)), random.random((300, 3))

    def smooth(at: np.ndarray) -> np.ndarray:
        return np.sin(3 * at[:, 0]) + 0.5 * at[:, 1]  # type: ignore[no-any-return]

    errors = np.where(np.arange(48) % 4 == 3, 0.5, 0.05)
    values = smooth(points) + errors * random.normal(size=48)

    def error(known: np.ndarray | float) -> float:
        process = GaussianProcess(3)
        process.fit(points, values, known)
        return float(np.mean((process.predict(unseen)[0] - smooth(unseen)) ** 2))

    assert error(errors) < 0.7 * error(0.0)
    assert error(0.05) == pytest.approx(error(0.0), rel=0.1), "if all are alike, that it is known changes little"


def test_an_earlier_surface_is_followed_as_far_as_this_one_does() -> None:
    """Eight measurements here say how large the factor is, and how far the baselines are apart."""
    random = np.random.default_rng(7)
    here, before, unseen = random.random((8, 3)), random.random((60, 3)), random.random((300, 3))

    def error(points: np.ndarray, values: np.ndarray, wanted: np.ndarray, *, related: bool) -> float:
        process = GaussianProcess(3, related=related)
        process.fit(points, values)
        truth = 0.5 * steps(unseen) - 2
        return float(np.var(process.predict(wanted)[0] - truth) / np.var(truth))

    both = np.hstack([np.vstack([before, here]), np.repeat([[1.0], [0.0]], (60, 8), axis=0)])
    values = np.concatenate([steps(before), 0.5 * steps(here) - 2])
    warm = error(both, values, np.hstack([unseen, np.zeros((300, 1))]), related=True)
    cold = error(here, values[60:], unseen, related=False)
    assert warm < 0.1
    assert warm < cold / 3


def known(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Where the first axis is above 0.7 everything fails."""
    points = np.random.default_rng(5).random((count, 3))
    return points, np.where(points[:, 0] > 0.7, np.nan, steps(points))


def test_an_axis_that_is_said_to_matter_more_is_no_longer_known(process: GaussianProcess) -> None:
    """Only until the next fit, and not to the hyperparameters that are kept."""
    points, values = known()
    middle, far = np.full((1, 3), 0.5), np.array([[0.5, 0.5, 0.99]])
    surrogate = Surrogate(3, 1, Ideas())
    surrogate.fit(points, values, QUIET)

    def widths(factors: np.ndarray | float) -> list[float]:
        surrogate.doubt(factors)
        surrogate.condition(points, values, QUIET, NONE)
        return [float(surrogate.expect(at).std[0]) for at in (middle, far)]

    believed, doubted = widths(1.0), widths(np.array([1.0, 1.0, 0.05]))
    assert all(wide > 1.5 * narrow for wide, narrow in zip(doubted, believed, strict=True))
    assert widths(1.0) == believed


def test_failures_are_expected_beyond_the_cliff_and_do_not_lower_what_is_beside_it() -> None:
    points, rewards = known()
    surrogate = Surrogate(3, 1, Ideas())
    surrogate.fit(points, rewards, QUIET)
    surrogate.condition(points, rewards, QUIET, NONE)
    expected = surrogate.expect(np.array([[0.2, 0.5, 0.5], [0.6, 0.5, 0.5], [0.9, 0.5, 0.5]]))
    assert expected.works[0] > 0.95
    assert expected.works[1] > 0.7
    assert expected.works[2] < 0.1
    assert expected.mean[1] > expected.mean[0] + 0.5
    without = Surrogate(3, 1, Ideas(feasibility=False))
    without.fit(points, rewards, QUIET)
    without.condition(points, rewards, QUIET, NONE)
    assert (without.expect(points).works == 1).all()


def test_what_is_pending_is_no_longer_in_doubt() -> None:
    points, rewards = known()
    surrogate = Surrogate(3, 1, Ideas())
    surrogate.fit(points, rewards, QUIET)
    place = np.array([[0.3, 0.99, 0.01]])
    surrogate.condition(points, rewards, QUIET, NONE)
    before = surrogate.expect(place)
    surrogate.condition(points, rewards, QUIET, place)
    after = surrogate.expect(place)
    assert after.mean == pytest.approx(before.mean, rel=1e-3)
    assert after.std < 0.8 * before.std


def test_a_surrogate_of_noise_says_that_it_is_useless() -> None:
    random = np.random.default_rng(6)
    points = random.random((40, 3))
    surrogate = Surrogate(3, 1, Ideas())
    for rewards, useful in ((random.normal(size=40), False), (steps(points), True), (np.ones(40), False)):
        surrogate.fit(points, rewards, QUIET)
        surrogate.condition(points, rewards, QUIET, NONE)
        assert (surrogate.quality() > 0.5) is useful


@given(st.floats(-30, 5), st.floats(0.01, 10), st.floats(-3, 3))
def test_the_expected_improvement_is_the_mean_of_what_exceeds_the_best(z: float, std: float, best: float) -> None:
    mean = best + z * std
    found = float(log_expected_improvement(np.array([mean]), np.array([std]), best)[0])
    real = (mean - best) / std
    exact = std * (stats.norm.pdf(real) + real * stats.norm.cdf(real))
    if real > -4:  # beyond, the plain formula loses its digits
        assert np.exp(found) == pytest.approx(exact, rel=1e-5)
    else:
        assert np.isfinite(found)
        assert found == pytest.approx(stats.norm.logpdf(real) + np.log(std) - 2 * np.log(-real), abs=0.3)


def test_far_from_any_improvement_points_are_still_told_apart() -> None:
    found = log_expected_improvement(np.array([-1e4, -1e3, -100.0, -40.0, -1.0, 0.0]), np.ones(6), 0.0)
    assert np.isfinite(found).all()
    assert (np.diff(found) > 0).all()
