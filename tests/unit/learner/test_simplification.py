from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.simplification import (
    Contrasts,
    Numbers,
    Predict,
    Unit,
    _certainty,
    with_round_numbers,
    without_useless,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Axis, Candidate, Layout, SearchSpace
from hypothesis import given
from hypothesis import strategies as st

SIZES = SearchSpace([Axis("a.x", 0, 1, 1_000_000, log=True)], [Layout("a.x", {}, 1, False)], [])


def additive(gains: Mapping[str, float]) -> Predict:
    return lambda candidates: [sum(gains[name] for name in each) for each in candidates]


def certain(predict: Predict, deviation: float = 0.01) -> Contrasts:
    """As far as the surrogate knows: what is predicted, with this standard deviation."""

    def contrasts(candidates: Sequence[Candidate], weights: Numbers) -> tuple[Numbers, Numbers]:
        means = weights @ np.array(predict(candidates))
        return means, np.full(len(means), deviation)

    return contrasts


def simple(candidate: Candidate, units: Sequence[Unit], predict: Predict, gain: float) -> Candidate:
    return without_useless(candidate, units, predict, certain(predict, 0.001), gain)


def flat(candidates: Sequence[Candidate]) -> list[float]:
    return [0.0 for dummy in candidates]


def anything(candidate: Candidate) -> bool:
    return True


def rounded(number: int, space: SearchSpace = SIZES, predict: Predict = flat, **named: object) -> object:
    own = named.get("own", [])
    assert isinstance(own, list)
    return with_round_numbers({"a.x": number}, space, {"a.x": own}, anything, predict, 0.01)["a.x"]


def test_what_brings_nothing_goes() -> None:
    candidate: Candidate = {"a": 1, "b": 2, "c": 3}
    units = [("a",), ("b",), ("c",)]
    assert simple(candidate, units, additive({"a": 0.3, "b": 0.0, "c": -0.1}), 0.2) == {"a": 1}


@pytest.mark.parametrize(("deviation", "left"), [(0.001, 2), (1.0, 1)])
def test_the_losses_of_all_that_goes_add_up(deviation: float, left: int) -> None:
    """2 % of the gain in what is known to help, 15 % in what is doubtful."""
    candidate: Candidate = dict.fromkeys("abcd", 1)
    gains = additive({"a": 0.9, **dict.fromkeys("bc", 0.009), "d": 0.06})
    found = without_useless(candidate, [(name,) for name in "abcd"], gains, certain(gains, deviation), 1.0)
    assert len(found) == left
    assert "a" in found


def test_what_is_known_to_help_stays_and_what_is_doubtful_goes() -> None:
    candidate: Candidate = dict.fromkeys("ab", 1)
    gains = additive({"a": 0.3, "b": 0.02})
    units = [("a",), ("b",)]
    assert without_useless(candidate, units, gains, certain(gains, 0.01), 0.32) == candidate
    assert without_useless(candidate, units, gains, certain(gains, 0.03), 0.32) == {"a": 1}


@given(st.integers(1, 70))
def test_effects_are_those_of_each_unit_alone(count: int) -> None:
    units = [(str(at),) for at in range(count)]
    gains = additive({str(at): at / 100 for at in range(count)})
    found = _certainty(dict.fromkeys(map(str, range(count)), 1), units, certain(gains, 1.0))
    assert found == pytest.approx([at / 100 for at in range(count)])


def test_units_go_as_a_whole_and_what_is_in_none_stays() -> None:
    candidate: Candidate = dict.fromkeys("abc", 1)
    gains = {"a": 0.02, "b": -0.02, "c": 0.0}
    assert set(simple(candidate, [("a", "b")], additive(gains), 0.0)) == {"c"}


def test_one_of_two_values_that_do_the_same_is_enough() -> None:
    def either(candidates: Sequence[Candidate]) -> list[float]:
        return [0.3 if each else 0.0 for each in candidates]

    assert len(simple({"a": 1, "b": 2}, [("a",), ("b",)], either, 0.3)) == 1


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-0.3, 0.3), min_size=1),
    st.floats(0, 2),
    st.floats(0.0001, 1),
)
def test_never_costs_more_than_it_may_and_never_leaves_nothing(
    gains: dict[str, float], gain: float, deviation: float
) -> None:
    candidate: Candidate = dict.fromkeys(gains, 1)
    predict = additive(gains)
    found = without_useless(candidate, [(name,) for name in gains], predict, certain(predict, deviation), gain)
    assert found
    assert sum(gains.values()) - sum(gains[name] for name in found) <= 0.17 * gain + 1e-9


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        pytest.param(30289, 30000, id="one digit"),
        pytest.param(37725, 40000, id="nearest of equally round ones"),
        pytest.param(33000, 32768, id="power of two"),
        pytest.param(1000, 1000, id="round already"),
        pytest.param(7, 7, id="small numbers are round"),
    ],
)
def test_numbers_become_such_that_a_person_would_choose(number: int, expected: int) -> None:
    assert rounded(number) == expected


def test_a_favourite_is_better_than_a_round_number() -> None:
    assert rounded(30289, own=[30301]) == 30301


def test_a_number_stays_within_range_and_step() -> None:
    narrow = SearchSpace([Axis("a.x", 0, 30001, 30299)], [Layout("a.x", {}, 1, False)], [])
    assert rounded(30289, narrow) == 30289
    stepped = SearchSpace([Axis("a.x", 0, 3, 1003, step=100)], [Layout("a.x", {}, 1, False)], [])
    assert rounded(603, stepped) == 603


def test_a_number_stays_where_rounding_costs_something() -> None:
    def sharp(candidates: Sequence[Candidate]) -> list[float]:
        return [-abs(int(each["a.x"]) - 30289) / 1000 for each in candidates]

    assert rounded(30289, predict=sharp) == 30289


def test_what_is_not_allowed_is_not_chosen() -> None:
    def below(candidate: Candidate) -> bool:
        return int(candidate["a.x"]) > 30289

    found = with_round_numbers({"a.x": 30289}, SIZES, {}, below, flat, 0.01)
    assert found["a.x"] in (32768, 30500, 31000)


def test_elements_of_a_vector_are_rounded_one_by_one() -> None:
    axes = [Axis("a.x", at, 1, 100_000_000, log=True) for at in (1, 2)]
    space = SearchSpace(axes, [Layout("a.x", {0: 4096}, 3, True)], [])
    found = with_round_numbers({"a.x": "4096 131000 5999999"}, space, {}, anything, flat, 0.01)
    assert found == {"a.x": "4096 131072 6000000"}


@given(st.integers(1, 1_000_000))
def test_rounding_moves_a_number_little_and_once(number: int) -> None:
    found = rounded(number)
    axis = SIZES.axes[0]
    assert abs(axis.encode(found) - axis.encode(number)) <= 0.1
    assert rounded(int(str(found))) == found
