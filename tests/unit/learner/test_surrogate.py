from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.components import Components
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.gaussian_process import GaussianProcess
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.surrogate import (
    Features,
    Prediction,
    Surrogate,
    log_expected_improvement,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import SearchSpace
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

NO_POINTS = np.zeros((0, 3))
NO_NOISE = np.zeros(60)


@pytest.fixture
def space(new_study: Callable[..., Study]) -> SearchSpace:
    return new_study(
        action_space=[
            {"param": "vm.swappiness", "min": 0, "max": 100},
            {"param": "net.ipv4.tcp_congestion_control", "choices": ["reno", "cubic", "bbr"]},
            {"param": "net.ipv4.tcp_mtu_probing", "type": "bool"},
        ]
    ).space


def test_choices_are_one_hot_encoded(space: SearchSpace) -> None:
    points = np.array([[0.3, 1 / 6, 0.25], [0.3, 0.5, 0.25], [0.3, 5 / 6, 0.75]])
    seen = Features(space)(points)
    assert seen.tolist() == [[0.3, 1, 0, 0, 0], [0.3, 0, 1, 0, 0], [0.3, 0, 0, 1, 1]]
    assert Features(space).size == seen.shape[1]


def steps(points: np.ndarray) -> np.ndarray:
    """A step, a slope, and an axis without influence."""
    return (points[:, 0] > 0.4) + 0.5 * points[:, 1]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def process() -> GaussianProcess:
    random = np.random.default_rng(1)
    points = random.random((60, 3))
    fitted = GaussianProcess(3)
    fitted.fit(points, steps(points) + random.normal(0, 0.02, 60))
    return fitted


def test_the_process_predicts_new_points(process: GaussianProcess) -> None:
    points = np.random.default_rng(2).random((300, 3))
    mean, std = process.posterior(points)
    assert 1 - np.var(mean - steps(points)) / np.var(steps(points)) > 0.9
    # Most true values lie within two standard deviations, even with a step.
    assert np.mean(np.abs(mean - steps(points)) < 2 * std + 0.02) > 0.8


def test_leave_one_out_equals_conditioning_on_all_others(process: GaussianProcess) -> None:
    random = np.random.default_rng(3)
    points = random.random((20, 3))
    values = steps(points)
    process.condition(points, values)
    dummy, left_out = process.leave_one_out()
    for at in (0, 7):
        others = np.arange(20) != at
        process.condition(points[others], values[others])
        assert process.posterior(points[at : at + 1])[0][0] == pytest.approx(left_out[at], abs=1e-8)


@pytest.mark.takes_seconds
def test_values_with_more_noise_weigh_less() -> None:
    """Every fourth value comes from a host that is ten times as noisy."""
    random = np.random.default_rng(8)
    points, unseen = random.random((48, 3)), random.random((300, 3))

    def smooth(at: np.ndarray) -> np.ndarray:
        return np.sin(3 * at[:, 0]) + 0.5 * at[:, 1]  # type: ignore[no-any-return]

    errors = np.where(np.arange(48) % 4 == 3, 0.5, 0.05)
    values = smooth(points) + errors * random.normal(size=48)

    def error(known: np.ndarray | float) -> float:
        process = GaussianProcess(3)
        process.fit(points, values, known)
        return float(np.mean((process.posterior(unseen)[0] - smooth(unseen)) ** 2))

    assert error(errors) < 0.7 * error(0.0)
    assert error(0.05) == pytest.approx(error(0.0), rel=0.1), "where all noise is equal, knowing it changes little"


@pytest.mark.takes_seconds
def test_an_earlier_surface_improves_the_prediction() -> None:
    """This surface is half of the earlier one, less 0.3; eight values reveal how they are related."""
    random = np.random.default_rng(7)

    def errors() -> list[float]:
        here, earlier, unseen = random.random((8, 3)), random.random((60, 3)), random.random((300, 3))
        values, truth = 0.5 * steps(here) - 0.3, 0.5 * steps(unseen) - 0.3
        cold, warm = GaussianProcess(3), GaussianProcess(3, multi_task=True)
        cold.fit(here, values)
        both = np.hstack([np.vstack([earlier, here]), np.repeat([[1.0], [0.0]], (60, 8), axis=0)])
        warm.fit(both, np.concatenate([steps(earlier), values]))
        predicted = cold.posterior(unseen)[0], warm.posterior(np.hstack([unseen, np.zeros((300, 1))]))[0]
        return [float(np.mean((each - truth) ** 2) / np.var(truth)) for each in predicted]

    cold, warm = np.mean([errors() for dummy in range(4)], axis=0)
    assert warm < 0.7 * cold


def known(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Trials fail where the first axis is above 0.7."""
    points = np.random.default_rng(5).random((count, 3))
    return points, np.where(points[:, 0] > 0.7, np.nan, steps(points))


def test_lengthscale_jitter_widens_the_posterior(process: GaussianProcess) -> None:
    """Only for one conditioning: the fitted lengthscales are kept."""
    points, values = known()
    middle, far = np.full((1, 3), 0.5), np.array([[0.5, 0.5, 0.99]])
    surrogate = Surrogate(3, 1, Components())
    surrogate.fit(points, values, NO_NOISE)

    def widths(factors: np.ndarray | float) -> list[float]:
        surrogate.condition(points, values, NO_NOISE, NO_POINTS, factors)
        return [float(surrogate.predict([at]).std[0]) for at in (middle, far)]

    fitted, jittered = widths(1.0), widths(np.array([1.0, 1.0, 0.05]))
    assert all(wide > 1.5 * narrow for wide, narrow in zip(jittered, fitted, strict=True))
    assert widths(1.0) == fitted


@pytest.mark.takes_seconds
def test_failures_are_predicted_beyond_the_cliff_and_do_not_lower_the_reward_beside_it() -> None:
    points, rewards = known()
    surrogate = Surrogate(3, 1, Components())
    surrogate.fit(points, rewards, NO_NOISE)
    surrogate.condition(points, rewards, NO_NOISE, NO_POINTS)
    expected = surrogate.predict([np.array([[0.2, 0.5, 0.5], [0.6, 0.5, 0.5], [0.9, 0.5, 0.5]])])
    assert expected.p_feasible[0] > 0.95
    assert expected.p_feasible[1] > 0.7
    assert expected.p_feasible[2] < 0.1
    assert expected.mean[1] > expected.mean[0] + 0.5
    without = Surrogate(3, 1, Components(feasibility=False))
    without.fit(points, rewards, NO_NOISE)
    without.condition(points, rewards, NO_NOISE, NO_POINTS)
    assert (without.predict([points]).p_feasible == 1).all()


def test_a_pending_trial_reduces_the_variance() -> None:
    points, rewards = known()
    surrogate = Surrogate(3, 1, Components())
    surrogate.fit(points, rewards, NO_NOISE)
    place = np.array([[0.3, 0.99, 0.01]])
    surrogate.condition(points, rewards, NO_NOISE, NO_POINTS)
    before = surrogate.predict([place])
    surrogate.condition(points, rewards, NO_NOISE, place)
    after = surrogate.predict([place])
    assert after.mean == pytest.approx(before.mean, rel=1e-3)
    assert after.std < 0.8 * before.std


def test_a_surrogate_of_noise_has_no_quality() -> None:
    random = np.random.default_rng(6)
    points = random.random((40, 3))
    surrogate = Surrogate(3, 1, Components())
    for rewards, useful in ((random.normal(size=40), False), (steps(points), True), (np.ones(40), False)):
        surrogate.fit(points, rewards, NO_NOISE)
        surrogate.condition(points, rewards, NO_NOISE, NO_POINTS)
        assert (surrogate.quality() > 0.5) is useful


@given(st.floats(-30, 5), st.floats(0.01, 10), st.floats(-3, 3))
def test_expected_improvement_follows_its_formula(z: float, std: float, best: float) -> None:
    mean = best + z * std
    found = float(log_expected_improvement(Prediction(np.array([mean]), np.array([std]), np.ones(1)), best)[0])
    real = (mean - best) / std
    exact = std * (stats.norm.pdf(real) + real * stats.norm.cdf(real))
    if real > -4:  # below, the plain formula loses precision
        assert np.exp(found) == pytest.approx(exact, rel=1e-5)
    else:
        assert np.isfinite(found)
        assert found == pytest.approx(stats.norm.logpdf(real) + np.log(std) - 2 * np.log(-real), abs=0.3)


def test_expected_improvement_stays_monotonic_far_below_the_best() -> None:
    means = np.array([-1e4, -1e3, -100.0, -40.0, -1.0, 0.0])
    found = log_expected_improvement(Prediction(means, np.ones(6), np.ones(6)), 0.0)
    assert np.isfinite(found).all()
    assert (np.diff(found) > 0).all()
