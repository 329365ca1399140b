from __future__ import annotations

import math
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.bound import Bound
from hypothesis import given
from hypothesis import strategies as st

# Of a whole run that must reach 100: after 3 values their mean must be 80, after 6 values 90.
UPWARDS: dict[str, Any] = {"worse": "below", "needed": 100.0, "looks": [[3, 80.0, 1.5], [6, 90.0, 1.2]]}
DOWNWARDS: dict[str, Any] = {"worse": "above", "needed": 100.0, "looks": [[3, 120.0, 0.5]]}


@pytest.mark.parametrize(
    ("content", "values", "estimate"),
    [
        (UPWARDS, [10.0, 10.0], None),
        (UPWARDS, [70.0, 70.0, 70.0], 105.0),
        (UPWARDS, [80.0, 80.0, 80.0], None),
        (UPWARDS, [85.0, 85.0, 85.0, 85.0, 85.0, 85.0], 102.0),
        (UPWARDS, [85.0, 85.0, 85.0, 99.0, 99.0, 99.0], None),
        (UPWARDS, [10.0, 10.0, 110.0], None),
        (UPWARDS, [110.0, 10.0, 10.0], 65.0),
        (UPWARDS, [50.0, 50.0, math.nan], None),
        (DOWNWARDS, [130.0, 130.0, 130.0], 65.0),
        (DOWNWARDS, [119.0, 119.0, 119.0], None),
        (DOWNWARDS, [300.0, 300.0, 90.0], None),
        (DOWNWARDS, [300.0, 300.0, math.inf], None),
        ({**UPWARDS, "looks": []}, [1.0] * 100, None),
    ],
    ids=str,
)
def test_ends_what_surely_stays_beyond_its_bound(
    content: dict[str, Any], values: list[float], estimate: float | None
) -> None:
    bound = Bound(content)
    assert bound.is_out_of_reach(values) is (estimate is not None)
    assert bound.estimate == (estimate if estimate is None else pytest.approx(estimate))


@given(st.lists(st.floats(1, 200), max_size=12), st.booleans())
def test_it_makes_no_difference_how_the_values_arrive(values: list[float], downwards: bool) -> None:
    content = DOWNWARDS if downwards else UPWARDS
    one_by_one, together = Bound(content), Bound(content)
    for count in range(len(values) + 1):
        if one_by_one.is_out_of_reach(values[:count]):
            break
    assert together.is_out_of_reach(values) == (one_by_one.estimate is not None)
    assert together.estimate == one_by_one.estimate
