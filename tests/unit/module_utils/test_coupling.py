from __future__ import annotations

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _coupling
from hypothesis import given
from hypothesis import strategies as st

DIRTY = {
    "vm.dirty_bytes": "0",
    "vm.dirty_ratio": "20",
    "vm.dirty_background_bytes": "0",
    "vm.dirty_background_ratio": "10",
}
BY_BYTES = {
    "vm.dirty_bytes": "8388608",
    "vm.dirty_ratio": "0",
    "vm.dirty_background_bytes": "4194304",
    "vm.dirty_background_ratio": "0",
}


@pytest.mark.parametrize(
    ("targets", "current", "complaint"),
    [
        ({"vm.dirty_bytes": "8192", "vm.dirty_ratio": "20"}, DIRTY, "exclude each other"),
        ({"vm.dirty_bytes": "0"}, BY_BYTES, "set vm.dirty_ratio instead"),
        ({"vm.dirty_ratio": "10"}, DIRTY, "vm.dirty_background_ratio (10) must be below vm.dirty_ratio (10): set both"),
        ({"vm.dirty_background_ratio": "30"}, DIRTY, "must be below"),
        ({"vm.dirty_background_bytes": "8388608"}, BY_BYTES, "must be below"),
        ({"net.ipv4.tcp_rmem": "4096 100 6291456"}, {"net.ipv4.tcp_rmem": "4096 131072 6291456"}, "must ascend"),
        (
            {"net.ipv4.ipfrag_low_thresh": "3"},
            {"net.ipv4.ipfrag_low_thresh": "1", "net.ipv4.ipfrag_high_thresh": "2"},
            "not above",
        ),
    ],
)
def test_conflicts_are_named(targets: dict[str, str], current: dict[str, str], complaint: str) -> None:
    found = _coupling.conflicts(targets, current, originals={})
    assert complaint in " ".join(found.values())


@pytest.mark.parametrize(
    ("targets", "current", "own"),
    [
        ({"vm.dirty_bytes": "8192", "vm.dirty_ratio": "0"}, DIRTY, {}),
        ({"vm.dirty_bytes": "0", "vm.dirty_ratio": "30"}, DIRTY, {}),
        ({"vm.dirty_bytes": "0"}, DIRTY, {}),
        ({"vm.dirty_ratio": "5", "vm.dirty_background_ratio": "3"}, DIRTY, {}),
        ({"vm.dirty_background_ratio": "30"}, BY_BYTES, {}),
        ({"net.ipv4.tcp_rmem": "3 2 1"}, {"net.ipv4.tcp_rmem": "4 5 6"}, {"net.ipv4.tcp_rmem": "3 2 1"}),
        (
            {"vm.dirty_ratio": "5", "vm.dirty_background_ratio": "9"},
            DIRTY,
            {"vm.dirty_ratio": "5", "vm.dirty_background_ratio": "9"},
        ),
        ({"vm.swappiness": "10"}, {**DIRTY, "vm.dirty_background_ratio": "50", "vm.swappiness": "60"}, {}),
    ],
)
def test_what_fits_and_what_is_the_hosts_own_is_no_conflict(
    targets: dict[str, str], current: dict[str, str], own: dict[str, str]
) -> None:
    assert _coupling.conflicts(targets, current, own) == {}


@pytest.mark.parametrize(
    ("targets", "current", "writes"),
    [
        ({"vm.swappiness": "60"}, {"vm.swappiness": "60"}, []),
        (DIRTY, BY_BYTES, [("vm.dirty_ratio", "20"), ("vm.dirty_background_ratio", "10")]),
        (BY_BYTES, DIRTY, [("vm.dirty_bytes", "8388608"), ("vm.dirty_background_bytes", "4194304")]),
        (
            {"vm.dirty_bytes": "0", "vm.dirty_ratio": "0"},
            {"vm.dirty_bytes": "8192", "vm.dirty_ratio": "0"},
            [("vm.dirty_ratio", "1"), ("vm.dirty_ratio", "0")],
        ),
        (
            {"net.ipv4.tcp_rmem": "1 2 3", "net.core.rmem_max": "3"},
            {"net.ipv4.tcp_rmem": "1 1 1", "net.core.rmem_max": "1"},
            [("net.core.rmem_max", "3"), ("net.ipv4.tcp_rmem", "1 2 3")],
        ),
    ],
)
def test_writes_only_what_is_needed(
    targets: dict[str, str], current: dict[str, str], writes: list[tuple[str, str]]
) -> None:
    assert sorted(_coupling.writes(targets, current)) == sorted(writes)
    if "net.core.rmem_max" in targets:
        assert _coupling.writes(targets, current) == writes


percentages = st.integers(1, 100)


@given(st.tuples(percentages, percentages), st.tuples(percentages, percentages), st.booleans())
def test_the_background_stays_below_at_every_moment(
    one: tuple[int, int], other: tuple[int, int], swapped: bool
) -> None:
    names = ["vm.dirty_background_ratio", "vm.dirty_ratio"]
    current, targets = (dict(zip(names, (str(min(pair)), str(max(pair) + 1)), strict=True)) for pair in (one, other))
    if swapped:
        targets = dict(reversed(targets.items()))
    state = dict(current)
    for parameter, value in _coupling.writes(targets, current):
        state[parameter] = value
        assert int(state[names[0]]) < int(state[names[1]])
    assert state == targets


def test_the_baseline_of_an_idle_member_brings_back_the_active_one() -> None:
    assert _coupling.completed({"vm.dirty_bytes": "0"}, DIRTY) == {"vm.dirty_bytes": "0", "vm.dirty_ratio": "20"}
    assert _coupling.completed({"vm.dirty_bytes": "8192"}, DIRTY) == {"vm.dirty_bytes": "8192"}
    assert _coupling.completed({"vm.dirty_ratio": "0"}, BY_BYTES)["vm.dirty_bytes"] == "8388608"


def test_a_file_for_the_boot_has_no_idle_members() -> None:
    assert _coupling.lasting({"vm.dirty_bytes": "0", "vm.dirty_ratio": "20"}) == {"vm.dirty_ratio": "20"}
    assert _coupling.lasting({"vm.dirty_bytes": "8192", "vm.dirty_ratio": "0"}) == {"vm.dirty_bytes": "8192"}
    assert _coupling.lasting({"vm.dirty_ratio": "0"}) == {"vm.dirty_ratio": "0"}
