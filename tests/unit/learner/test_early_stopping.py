from __future__ import annotations

import math

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.early_stopping import EarlyStopping
from hypothesis import given
from hypothesis import strategies as st

MARGIN = math.log(1.01)
performances = st.lists(st.one_of(st.none(), st.floats(-2, 2)), max_size=120)


def climbing(until: int, count: int, *, noise: float = 0.0, seed: int = 1) -> list[float | None]:
    """Performances that increase up to trial `until`; every third one is half as good."""
    generator = np.random.default_rng(seed)
    best = [0.5 * min(at / until, 1.0) for at in range(count)]
    return [level * (1.0 if at % 3 else 0.5) + generator.normal(0, noise) for at, level in enumerate(best)]


def ended_after(found: list[float | None], expected_gain: float | None, rule: EarlyStopping) -> int | None:
    return next((done for done in range(len(found) + 1) if rule.reason(found[:done], expected_gain)), None)


RULE = EarlyStopping(budget=100, size=6, margin=MARGIN)


def test_continues_while_performance_improves() -> None:
    assert ended_after(climbing(100, 100), 0.0, RULE) is None


def test_stops_after_a_window_without_improvement() -> None:
    ended = ended_after(climbing(20, 100), 0.0, RULE)
    assert ended is not None
    assert 20 + RULE.window <= ended <= 20 + RULE.window + 10


def test_gives_the_reason() -> None:
    reason = RULE.reason(climbing(20, 60), math.log(1.004))
    assert reason == (
        "the last 20 trials raised the best result by 0 %; a further 0.4 % is expected; min_improvement is 1 %"
    )


def test_continues_while_the_surrogate_expects_more() -> None:
    assert ended_after(climbing(20, 100), 2 * MARGIN, RULE) is None


def test_without_a_surrogate_the_window_is_twice_as_long() -> None:
    with_one, without = ended_after(climbing(20, 100), 0.0, RULE), ended_after(climbing(20, 100), None, RULE)
    assert with_one is not None
    assert without is not None
    assert without >= with_one + RULE.window
    assert "expected" not in (RULE.reason(climbing(20, 80), None) or "expected")


def test_stops_if_nothing_is_better_than_the_baseline() -> None:
    worse: list[float | None] = [-0.1, -0.5, None, -0.3] * 25
    assert ended_after(worse, 0.0, RULE) == max(RULE.window + 3, math.ceil(100 / 3))


@pytest.mark.parametrize("noise", [0.01, 0.03])
def test_noise_does_not_count_as_improvement(noise: float) -> None:
    """Noise alone increases the best one for ever; training still stops well before the budget, in most cases."""
    ended = [ended_after(climbing(20, 100, noise=noise, seed=seed), 0.0, RULE) or 100 for seed in range(20)]
    assert np.median(ended) <= 70


@given(performances, st.one_of(st.none(), st.floats(-1, 1)), st.integers(1, 200), st.integers(1, 20))
def test_never_stops_too_early_or_after_the_budget(
    found: list[float | None], expected_gain: float | None, budget: int, size: int
) -> None:
    rule = EarlyStopping(budget, size, MARGIN)
    if rule.reason(found, expected_gain):
        assert max(16, budget / 3, 2 * size) <= len(found) < budget
        assert expected_gain is None or expected_gain <= MARGIN


@given(performances, st.floats(0, 0.5))
def test_a_larger_margin_stops_sooner(found: list[float | None], more: float) -> None:
    if RULE.reason(found, 0.0):
        assert EarlyStopping(RULE.budget, RULE.size, RULE.margin + more).reason(found, 0.0)
