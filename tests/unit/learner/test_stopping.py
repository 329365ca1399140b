from __future__ import annotations

import math

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.stopping import Stopping
from hypothesis import given
from hypothesis import strategies as st

MARGIN = math.log(1.01)
performances = st.lists(st.one_of(st.none(), st.floats(-2, 2)), max_size=120)


def climbing(until: int, count: int, *, noise: float = 0.0, seed: int = 1) -> list[float | None]:
    """What a learner finds: better and better until there is no more, half as good beside it."""
    generator = np.random.default_rng(seed)
    best = [0.5 * min(at / until, 1.0) for at in range(count)]
    return [level * (1.0 if at % 3 else 0.5) + generator.normal(0, noise) for at, level in enumerate(best)]


def ended_after(found: list[float | None], promise: float | None, rule: Stopping) -> int | None:
    return next((done for done in range(len(found) + 1) if rule.reason(found[:done], promise)), None)


RULE = Stopping(budget=100, size=6, margin=MARGIN)


def test_goes_on_while_it_gets_better() -> None:
    assert ended_after(climbing(100, 100), 0.0, RULE) is None


def test_ends_once_nothing_has_come_for_a_while() -> None:
    ended = ended_after(climbing(20, 100), 0.0, RULE)
    assert ended is not None
    assert 20 + RULE.lately <= ended <= 20 + RULE.lately + 10


def test_says_why() -> None:
    reason = RULE.reason(climbing(20, 60), math.log(1.004))
    assert reason == (
        "the last 20 evaluations brought 0 % more, and the surrogate hopes for 0.4 % at most, where 1 % would matter"
    )


def test_goes_on_while_the_surrogate_promises_more() -> None:
    assert ended_after(climbing(20, 100), 2 * MARGIN, RULE) is None


def test_without_a_surrogate_it_takes_twice_as_long() -> None:
    with_one, without = ended_after(climbing(20, 100), 0.0, RULE), ended_after(climbing(20, 100), None, RULE)
    assert with_one is not None
    assert without is not None
    assert without >= with_one + RULE.lately
    assert "surrogate" not in (RULE.reason(climbing(20, 80), None) or "surrogate")


def test_a_study_in_which_nothing_is_better_than_the_baseline_ends() -> None:
    worse: list[float | None] = [-0.1, -0.5, None, -0.3] * 25
    assert ended_after(worse, 0.0, RULE) == max(RULE.lately + 3, math.ceil(100 / 3))


@pytest.mark.parametrize("noise", [0.01, 0.03])
def test_luck_is_no_progress(noise: float) -> None:
    """Noise alone lets the best seen grow for ever; still it ends, mostly, well before the budget."""
    ended = [ended_after(climbing(20, 100, noise=noise, seed=seed), 0.0, RULE) or 100 for seed in range(20)]
    assert np.median(ended) <= 70


@given(performances, st.one_of(st.none(), st.floats(-1, 1)), st.integers(1, 200), st.integers(1, 20))
def test_never_ends_early_what_has_hardly_begun_or_is_over(
    found: list[float | None], promise: float | None, budget: int, size: int
) -> None:
    rule = Stopping(budget, size, MARGIN)
    if rule.reason(found, promise):
        assert max(16, budget / 3, 2 * size) <= len(found) < budget
        assert promise is None or promise <= MARGIN


@given(performances, st.floats(0, 0.5))
def test_the_more_matters_the_sooner_it_ends(found: list[float | None], more: float) -> None:
    if RULE.reason(found, 0.0):
        assert Stopping(RULE.budget, RULE.size, RULE.margin + more).reason(found, 0.0)
