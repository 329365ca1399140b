from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.non_inferiority import PAIRS, non_inferior
from hypothesis import given
from hypothesis import strategies as st


class Pairs:
    """Pairs with and without units that have known, additive contributions."""

    def __init__(self, effect: Mapping[str, float], *, noise: float = 0.0, seed: int = 0, last: int = 10**6) -> None:
        self.count, self._effect, self._noise, self._last = 0, effect, noise, last
        self._generator = np.random.default_rng(seed)

    def __call__(self, units: Sequence[str]) -> list[float]:
        if self.count >= self._last:
            return []
        self.count += PAIRS
        total = sum(self._effect[unit] for unit in units)
        return [total + self._noise * float(draw) for draw in self._generator.standard_normal(PAIRS)]


def spared(pairs: Pairs, units: Sequence[str], budget: int = 20) -> Sequence[str]:
    return non_inferior(units, pairs, min_effect=0.01, gain=0.2, budget=budget)


def test_drops_useless_units_after_the_first_pairs() -> None:
    pairs = Pairs({"a": 0.0, "b": 0.0}, noise=0.001)
    assert spared(pairs, ["a", "b"]) == ["a", "b"]
    assert pairs.count == PAIRS


def test_keeps_the_upper_half_if_dropping_all_is_inferior() -> None:
    pairs = Pairs({"a": 0.0, "b": 0.0, "c": 0.1, "d": 0.1}, noise=0.001)
    assert spared(pairs, ["a", "b", "c", "d"]) == ["a", "b"]


def test_drops_harmful_units() -> None:
    assert spared(Pairs({"a": -0.1}, noise=0.01), ["a"]) == ["a"]


@pytest.mark.parametrize("noise", [0.3, 3.0])
def test_seldom_drops_anything_in_high_noise(noise: float) -> None:
    found = [spared(Pairs({"a": 0.0, "b": 0.0}, noise=noise, seed=seed), ["a", "b"]) for seed in range(100)]
    assert sum(map(bool, found)) <= 25


def test_drops_nothing_if_no_host_is_left() -> None:
    assert spared(Pairs({"a": 0.0}, last=0), ["a"]) == ()


def test_seldom_drops_more_than_the_margin() -> None:
    """At most one time in ten, for a loss exactly at the margin, in noise as large as the loss."""
    lost = [spared(Pairs({"a": 0.05}, noise=0.05, seed=seed), ["a"], budget=40) for seed in range(200)]
    assert sum(map(bool, lost)) <= 20


@given(
    st.lists(st.floats(-0.2, 0.2), min_size=1, max_size=9),
    st.sampled_from([0.0, 0.02, 0.2]),
    st.integers(0, 60),
    st.integers(0, 99),
)
def test_drops_the_least_useful_first_within_the_budget(
    effect: list[float], noise: float, budget: int, seed: int
) -> None:
    units = [str(at) for at in range(len(effect))]
    pairs = Pairs(dict(zip(units, effect, strict=True)), noise=noise, seed=seed)
    found = list(spared(pairs, units, budget))
    assert found == units[: len(found)]
    assert pairs.count <= budget
    if noise == 0.0:
        assert sum(effect[: len(found)]) <= 0.01 + 1e-9
