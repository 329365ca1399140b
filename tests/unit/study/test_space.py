from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.constraints import (
    Bounds,
    narrow,
    parse_constraint,
    repair,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.parameters import (
    BoolParameter,
    ChoiceParameter,
    Element,
    IntParameter,
    Parameter,
    VectorParameter,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Axis, SearchSpace
from hypothesis import example, given, reject
from hypothesis import strategies as st

LARGEST = 2**31


@st.composite
def ranges(draw: st.DrawFn) -> dict[str, Any]:
    """What an int and an element of a vector have in common."""
    step = draw(st.sampled_from([None, 1, 3, 4096]))
    log = draw(st.booleans())
    low = draw(st.integers(1 if log else -1000, 100_000))
    return {"min": low, "max": low + (step or 1) * draw(st.integers(1, 5000)), "log": log, "step": step}


@st.composite
def parameters(draw: st.DrawFn, name: str) -> Parameter:
    match draw(st.sampled_from(["int", "int", "bool", "choice", "vector"])):
        case "bool":
            return BoolParameter(param=name, type="bool")
        case "choice":
            choices = draw(
                st.lists(st.integers(0, 99) | st.sampled_from(["reno", "bbr", "4 8"]), min_size=2, max_size=5)
            )
            return ChoiceParameter(param=name, type="choice", choices=list(dict.fromkeys([*choices, "cubic", "fq"])))
        case "vector":
            elements = [Element(**draw(ranges())), *(Element(**r) for r in draw(st.lists(ranges(), max_size=2)))]
            elements.append(Element(value=draw(st.integers(0, LARGEST))))
            return VectorParameter(param=name, type="vector", elements=elements, ordered=draw(st.booleans()))
    return IntParameter(param=name, type="int", **draw(ranges()))


@st.composite
def spaces(draw: st.DrawFn) -> tuple[list[Parameter], SearchSpace]:
    chosen = [draw(parameters(f"vm.p{at}")) for at in range(draw(st.integers(1, 4)))]
    places = [f"{p.param}[{axis.element}]" for p in chosen if p.type != "choice" for axis in p.axes()]
    side = st.sampled_from([*places, "5000"])
    compared = st.tuples(side, st.sampled_from(["<", "<=", ">", ">="]), side)
    constraints = draw(st.lists(compared, max_size=4 if places else 0))
    try:
        space = SearchSpace(
            [axis for p in chosen for axis in p.axes()],
            [p.layout() for p in chosen],
            [" ".join(words) for words in constraints],
        )
    except ValueError:
        reject()
    return chosen, space


def points(space: SearchSpace) -> st.SearchStrategy[np.ndarray]:
    coordinates = st.floats(0, 1, allow_subnormal=False)
    return st.lists(coordinates, min_size=space.size, max_size=space.size).map(np.array)


def numbers_of(parameter: Parameter, value: Any) -> list[int]:
    return [int(text) for text in str(value).split()]


def check(parameter: Parameter, value: Any) -> None:
    """That a value is one that the parameter's description allows."""
    match parameter:
        case ChoiceParameter():
            assert value in parameter.choices
        case BoolParameter():
            assert value in (0, 1)
        case IntParameter():
            assert isinstance(value, int)
            assert parameter.min <= value <= parameter.max
            assert (value - parameter.min) % (parameter.step or 1) == 0
        case VectorParameter():
            found = numbers_of(parameter, value)
            for element, number in zip(parameter.elements, found, strict=True):
                low, high = (element.value, element.value) if element.value is not None else (element.min, element.max)
                assert low is not None
                assert high is not None
                assert low <= number <= high
                assert (number - low) % (element.step or 1) == 0
            assert not parameter.ordered or found == sorted(found)


@pytest.mark.takes_seconds
@given(st.data())
def test_every_candidate_satisfies_ranges_steps_choices_and_constraints(data: st.DataObject) -> None:
    chosen, space = data.draw(spaces())
    candidate = space.decode(data.draw(points(space)))
    assert list(candidate) == [parameter.param for parameter in chosen]
    for parameter in chosen:
        check(parameter, candidate[parameter.param])
    numbers = {
        (p.param, at): float(number)
        for p in chosen
        if p.type != "choice"
        for at, number in enumerate(numbers_of(p, candidate[p.param]))
    }
    written = [c for c in space.constraints if all(place in numbers for place in c.places())]
    assert all(constraint.holds(numbers) for constraint in written)


@pytest.mark.takes_seconds
@given(st.data())
def test_a_candidate_survives_the_way_to_a_point_and_back(data: st.DataObject) -> None:
    dummy, space = data.draw(spaces())
    candidate = space.decode(data.draw(points(space)))
    assert space.decode(space.encode(candidate)) == candidate


@pytest.mark.takes_seconds
@given(st.data())
def test_what_the_kernel_shows_lies_in_the_unit_cube(data: st.DataObject) -> None:
    chosen, space = data.draw(spaces())
    shown = st.text(alphabet="0123456789 \t-abc.", max_size=12) | st.integers().map(str)
    point = space.encode({parameter.param: data.draw(shown) for parameter in chosen})
    assert point.shape == (space.size,)
    assert ((point >= 0) & (point <= 1)).all()


@given(ranges())
def test_the_ends_of_a_range_are_reached(own: dict[str, Any]) -> None:
    space = SearchSpace([axis := IntParameter(param="vm.x", type="int", **own).axes()[0]], [_plain("vm.x")], [])
    assert space.decode(np.zeros(1)) == {"vm.x": own["min"]}
    assert space.decode(np.ones(1)) == {"vm.x": own["max"]}
    assert axis.encode(own["min"]) == 0
    assert axis.encode(own["max"]) == pytest.approx(1)


def test_a_log_scale_gives_every_magnitude_the_same_room() -> None:
    axis = Axis("vm.x", 0, 1, 10_000, log=True)
    assert [axis.decode(unit) for unit in (0, 0.25, 0.5, 0.75, 1)] == [1, 10, 100, 1000, 10_000]


def test_choices_get_equal_shares() -> None:
    axis = Axis("vm.x", 0, 0, 2, choices=("a", "b", "c"))
    shares = [axis.decode(unit) for unit in np.linspace(0, 1, 300)]
    assert [shares.count(at) for at in (0, 1, 2)] == [100, 100, 100]


def test_a_value_that_is_no_choice_claims_nothing() -> None:
    space = SearchSpace([Axis("vm.x", 0, 0, 2, choices=("a", "b", "c"))], [_plain("vm.x")], [])
    assert space.encode({"vm.x": "cubic"}) == pytest.approx([0.5])


@pytest.mark.parametrize(
    ("given_constraints", "numbers", "repaired"),
    [
        pytest.param(["a <= b"], {"a": 3, "b": 5}, {"a": 3, "b": 5}, id="nothing to do"),
        pytest.param(["a <= b"], {"a": 7, "b": 5}, {"a": 5, "b": 5}, id="the smaller side gives way"),
        pytest.param(["a < b"], {"a": 5, "b": 5}, {"a": 4, "b": 5}, id="by as little as strictly needed"),
        pytest.param(["b >= a"], {"a": 7, "b": 5}, {"a": 5, "b": 5}, id="written the other way round"),
        pytest.param(["ten <= a"], {"ten": 50, "a": 3}, {"ten": 10, "a": 10}, id="where it cannot, the larger moves"),
        pytest.param(["tens < a"], {"tens": 50, "a": 15}, {"tens": 10, "a": 15}, id="in its own steps"),
        pytest.param(["tens < a"], {"tens": 50, "a": 20}, {"tens": 10, "a": 20}, id="strictly in its own steps"),
        pytest.param(["5 < a"], {"a": 2}, {"a": 6}, id="above a number"),
        pytest.param(["a < 10.5"], {"a": 12}, {"a": 10}, id="below a fraction"),
        pytest.param(
            ["ten <= a", "a <= b"], {"ten": 10, "a": 8, "b": 3}, {"ten": 10, "a": 10, "b": 10}, id="a chain upwards"
        ),
        pytest.param(["a <= b", "b <= c"], {"a": 9, "b": 8, "c": 2}, {"a": 2, "b": 2, "c": 2}, id="a chain downwards"),
        pytest.param(["b <= c", "a <= b"], {"a": 9, "b": 8, "c": 2}, {"a": 2, "b": 2, "c": 2}, id="in any order"),
        pytest.param(["a <= b", "b <= a"], {"a": 3, "b": 8}, {"a": 3, "b": 3}, id="equality"),
    ],
)
def test_repairs_as_little_as_needed(
    given_constraints: list[str], numbers: dict[str, float], repaired: dict[str, float]
) -> None:
    constraints = [parse_constraint(_dotted(text)) for text in given_constraints]
    ranges = {"ten": Bounds(10, 10), "tens": Bounds(0, 100, 10)}
    bounds = {(f"vm.{name}", 0): ranges.get(name, Bounds(0, 100)) for name in ("a", "b", "c", "ten", "tens")}
    requested = {place: np.array([float(numbers.get(place[0][3:], bounds[place].low))]) for place in bounds}
    found = repair(requested, constraints, narrow(bounds, constraints))
    assert {name: found[f"vm.{name}", 0][0] for name in repaired} == repaired


@pytest.mark.parametrize(
    "constraints",
    [
        ["vm.a < vm.a"],
        ["vm.a < vm.b", "vm.b < vm.a"],
        ["vm.a <= vm.b", "vm.b <= vm.c", "vm.c < vm.a"],
        ["vm.a > 100"],
        ["-1 >= vm.a"],
        ["vm.a <= 5", "6 <= vm.a"],
    ],
)
def test_refuses_constraints_that_contradict_each_other(constraints: list[str]) -> None:
    axes = [Axis(name, 0, 0, 100) for name in ("vm.a", "vm.b", "vm.c")]
    with pytest.raises(ValueError, match="leave no value|contradict each other"):
        SearchSpace(axes, [_plain(axis.parameter) for axis in axes], constraints)


def test_strictly_below_in_a_range_whose_steps_no_float_can_tell_apart() -> None:
    axes = [Axis(name, 0, 1, 2**63) for name in ("kernel.shmall", "kernel.shmmax")]
    space = SearchSpace(axes, [_plain(axis.parameter) for axis in axes], ["kernel.shmall < kernel.shmmax"])
    snapped = space.snap(np.full((1, 2), 0.9))
    assert snapped[0, 0] <= snapped[0, 1]


def test_refuses_a_circle_in_a_range_too_large_to_walk_through() -> None:
    axes = [Axis(name, 0, 0, 2**40) for name in ("vm.a", "vm.b")]
    with pytest.raises(ValueError, match="`vm.a < vm.b` and `vm.b < vm.a` contradict each other"):
        SearchSpace(axes, [_plain(axis.parameter) for axis in axes], ["vm.a < vm.b", "vm.b < vm.a"])


def test_the_elements_of_a_vector_never_decrease() -> None:
    low_first = VectorParameter(
        param="net.ipv4.tcp_rmem",
        type="vector",
        elements=[Element(min=4096, max=8192), Element(min=1, max=9000), Element(min=1, max=9000)],
    )
    space = SearchSpace(low_first.axes(), [low_first.layout()], [])
    for point in np.random.default_rng(1).random((50, 3)):
        found = numbers_of(low_first, space.decode(point)["net.ipv4.tcp_rmem"])
        assert all(one <= other for one, other in pairwise(found))


def _plain(name: str) -> Any:
    return BoolParameter(param=name, type="bool").layout()


def _dotted(text: str) -> str:
    return " ".join(f"vm.{word}" if word.isalpha() else word for word in text.split())


WIDEST = {"min": 1, "max": 18446744073692774399}  # of kernel.shmmax: 2^64 - 2^24 - 1, which no float can hold


def space_of(**fields: Any) -> SearchSpace:
    parameter = IntParameter(param="kernel.shmmax", type="int", **fields)
    return SearchSpace(parameter.axes(), [parameter.layout()], [])


@pytest.mark.parametrize("log", [True, False])
@given(own=st.integers(WIDEST["min"], WIDEST["max"]) | st.integers(0, 63).map(lambda power: 2**power + 1))
@example(own=WIDEST["max"])
@example(own=WIDEST["min"])
@example(own=2**53 + 1)
def test_no_value_of_a_range_is_too_large_for_a_candidate(log: bool, own: int) -> None:
    assert space_of(**WIDEST, log=log).unreachable({"kernel.shmmax": str(own)}) == []


@given(unit=st.floats(0, 1) | st.integers(0, 40).map(lambda power: 1 - 2.0**-power), log=st.booleans())
@example(unit=math.nextafter(1.0, 0.0), log=False)
def test_no_candidate_is_outside_a_range_that_no_float_can_hold(unit: float, log: bool) -> None:
    value = space_of(**WIDEST, log=log).decode(np.array([unit]))["kernel.shmmax"]
    assert isinstance(value, int)
    assert WIDEST["min"] <= value <= WIDEST["max"]


@pytest.mark.parametrize("log", [True, False])
def test_the_ends_of_a_range_are_reached_to_the_last_digit(log: bool) -> None:
    space = space_of(**WIDEST, log=log)
    for end in WIDEST.values():
        point = space.encode({"kernel.shmmax": str(end)})
        assert space.decode(point) == {"kernel.shmmax": end}


@pytest.mark.parametrize(
    ("fields", "own"),
    [
        (WIDEST, "0"),
        (WIDEST, "18446744073709551615"),
        ({"min": 0, "max": 10**12, "log": False}, str(10**12 + 1)),
        ({"min": 0, "max": 10**12, "step": 10}, str(10**12 - 1)),
        ({"min": 0, "max": 100}, "max"),
        ({"min": 0, "max": 100}, "50 50"),
        ({"min": 0, "max": 100}, ""),
    ],
)
def test_what_is_beyond_a_range_or_between_its_steps_no_candidate_has(fields: dict[str, Any], own: str) -> None:
    assert space_of(**fields).unreachable({"kernel.shmmax": own}) == ["kernel.shmmax"]
