from __future__ import annotations

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.stability import stability, stability_parts
from hypothesis import given
from hypothesis import strategies as st

share = st.floats(0, 1)
strains = st.fixed_dictionaries(
    {},
    optional={
        "memory_pressure": share,
        "io_pressure": share,
        "retransmits": share,
        "errors": share,
        "kernel_messages": st.integers(0, 1000).map(float),
    },
)
streams = st.lists(st.floats(0.1, 1e6), max_size=6)


@pytest.mark.parametrize(
    ("streamed", "expected"),
    [
        ([5.0, 5.0, 5.0], 1.0),
        ([90.0, 100.0, 110.0], 0.9),
        ([1.0, 1.0, 100.0], 0.0),
        ([0.0, 0.0, 0.0], None),
        ([-1.0, -1.0, 1.0], None),
        ([5.0, 6.0], None),
        ([], None),
    ],
)
def test_how_little_a_run_varies_is_a_part(streamed: list[float], expected: float | None) -> None:
    found = stability_parts(streamed, {}).get("variation")
    assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("name", "half_at"),
    [
        ("memory_pressure", 0.5),
        ("io_pressure", 0.5),
        ("retransmits", 0.05),
        ("errors", 0.01),
        ("kernel_messages", 1),
    ],
)
def test_each_part_is_one_without_trouble_and_one_half_where_its_table_says(name: str, half_at: float) -> None:
    assert stability_parts([], {name: 0.0}) == {name: 1.0}
    assert stability_parts([], {name: half_at}) == {name: pytest.approx(0.5)}


@given(streams, strains)
def test_is_in_bounds_and_unknown_only_where_nothing_was_seen(streamed: list[float], strain: dict[str, float]) -> None:
    parts = stability_parts(streamed, strain)
    assert all(0 <= part <= 1 for part in parts.values())
    found = stability(parts)
    assert (found is None) == (not parts)
    assert found is None or 0 <= found <= min(parts.values())


@given(streams, strains, st.floats(0, 1), st.data())
def test_more_trouble_of_any_kind_is_never_a_better_score(
    streamed: list[float], strain: dict[str, float], more: float, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(strain)) if strain else st.just("errors"))
    before = stability(stability_parts(streamed, {name: 0.0, **strain}))
    after = stability(stability_parts(streamed, {**strain, name: strain.get(name, 0.0) + more}))
    assert before is not None
    assert after is not None
    assert after <= before


@given(st.floats(1, 1000), st.floats(0, 1), st.floats(0, 1), strains)
def test_a_run_that_varies_more_is_never_steadier(
    mean: float, one: float, other: float, strain: dict[str, float]
) -> None:
    less, more = sorted((one, other))
    calm, wild = (stability(stability_parts([mean * (1 - s), mean, mean * (1 + s)], strain)) for s in (less, more))
    assert calm is not None
    assert wild is not None
    assert wild <= calm + 1e-12
