# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How the kernel couples parameters with each other, and the order of writes that follows from it.

What a write changes beyond its parameter directly is known to the parameter's kind (`side_effects` in _kind_*.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter

from ansible_collections.autotune.kernel.plugins.module_utils import _denylist, _kernel

# Writing one zeroes the other. The first cannot be written as 0: writing the second disables it.
EXCLUSIVE = (
    ("vm.dirty_bytes", "vm.dirty_ratio"),
    ("vm.dirty_background_bytes", "vm.dirty_background_ratio"),
    ("vm.overcommit_kbytes", "vm.overcommit_ratio"),
)
# The kernel silently accepts dirty_background >= dirty and then uses half of dirty.
BELOW = (
    ("vm.dirty_background_bytes", "vm.dirty_bytes"),
    ("vm.dirty_background_ratio", "vm.dirty_ratio"),
)
NOT_ABOVE = (
    ("kernel.sched_util_clamp_min", "kernel.sched_util_clamp_max"),
    ("net.ipv4.ipfrag_low_thresh", "net.ipv4.ipfrag_high_thresh"),
    ("net.ipv6.ip6frag_low_thresh", "net.ipv6.ip6frag_high_thresh"),
    ("net.ipv4.neigh.default.gc_thresh1", "net.ipv4.neigh.default.gc_thresh2"),
    ("net.ipv4.neigh.default.gc_thresh2", "net.ipv4.neigh.default.gc_thresh3"),
    ("net.ipv6.neigh.default.gc_thresh1", "net.ipv6.neigh.default.gc_thresh2"),
    ("net.ipv6.neigh.default.gc_thresh2", "net.ipv6.neigh.default.gc_thresh3"),
)
ASCENDING = (
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_mem",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.ipv4.udp_mem",
)
# Limits on buffers first, then the buffers.
_WRITTEN_BEFORE = (
    ("net.core.rmem_max", "net.ipv4.tcp_rmem"),
    ("net.core.wmem_max", "net.ipv4.tcp_wmem"),
)

PARTNERS = {one: other for pair in EXCLUSIVE for one, other in (pair, pair[::-1])}
_NUMBERS = re.compile(r"-?\d+( -?\d+)*")


def affected(parameters: Iterable[str]) -> list[str]:
    """These parameters and all others that writing them changes."""
    named = list(parameters)
    exclusive = [PARTNERS[parameter] for parameter in named if parameter in PARTNERS]
    others = [other for parameter in named for other in side_effects(parameter)]
    return list(dict.fromkeys(named + exclusive + others))


def side_effects(parameter: str) -> list[str]:
    """The parameters of this host that change when this one is written, directly or through one another."""
    return [name for path in _changed_with(parameter) if (name := _name_of(path))]


def unnameable(parameter: str) -> list[str]:
    """Interfaces that change with it but whose names are malformed here, so that they could not be restored."""
    return [ascii(path.split("/")[3]) for path in _changed_with(parameter) if not _name_of(path)]


def _changed_with(parameter: str) -> list[str]:
    own = "/".join(_kernel.components(parameter))
    found: dict[str, None] = {}
    pending = [own]
    while pending:
        direct = _kernel.side_effects(pending.pop().split("/"))
        fresh = [path for path in direct if path != own and path not in found]
        found.update(dict.fromkeys(fresh))
        pending += fresh
    return list(found)


def _name_of(path: str) -> str | None:
    try:
        return _kernel.canonical_name(path)
    except ValueError:
        return None


def completed(values: Mapping[str, str], originals: Mapping[str, str]) -> dict[str, str]:
    """The values, where 0 for one of an exclusive pair also restores the other one's original.

    Otherwise a baseline of `vm.dirty_bytes: 0` could not be set.
    """
    full = dict(values)
    for parameter, value in values.items():
        partner = PARTNERS.get(parameter)
        if partner and value == "0" and partner not in values and originals.get(partner, "0") != "0":
            full[partner] = originals[partner]
    return full


def resulting(values: Mapping[str, str]) -> dict[str, str]:
    """The values once they are written, with the partners that are then zero."""
    zeroed = {PARTNERS[parameter]: "0" for parameter, value in values.items() if parameter in PARTNERS and value != "0"}
    return {**zeroed, **values}


def lasting(values: Mapping[str, str]) -> dict[str, str]:
    """The values without the idle members of exclusive pairs, which a file read at boot must not set."""
    idle = {amount if values.get(amount) == "0" else ratio for amount, ratio in EXCLUSIVE if amount in values}
    return {parameter: value for parameter, value in values.items() if parameter not in idle}


def conflicts(values: Mapping[str, str], current: Mapping[str, str], originals: Mapping[str, str]) -> dict[str, str]:
    """Why these values contradict each other, by parameter. Originals never do."""
    final = {**current, **values}
    found: dict[str, str] = {}

    def are_original(*parameters: str) -> bool:
        return all(final[parameter] == {**current, **originals}.get(parameter) for parameter in parameters)

    for amount, ratio in EXCLUSIVE:
        if amount in values and ratio in values and values[amount] != "0" and values[ratio] != "0":
            found[amount] = f"{amount} and {ratio} exclude each other: set one of them"
        elif values.get(amount) == "0" and ratio not in values and current.get(amount) != "0":
            found[amount] = f"0 cannot be written to {amount}: set {ratio} instead"
    for low, high in BELOW + NOT_ABOVE:
        if not (low in values or high in values) or low not in final or high not in final or are_original(low, high):
            continue
        lower, upper = _first_number(final[low]), _first_number(final[high])
        strict = (low, high) in BELOW
        if lower is None or upper is None or (strict and upper == 0):
            continue  # 0 is the idle member of an exclusive pair; the kernel refuses what is not a number
        if lower > upper or (strict and lower == upper):
            relation = "below" if strict else "not above"
            found[low] = f"{low} ({final[low]}) must be {relation} {high} ({final[high]}): set both"
    for parameter in ASCENDING:
        if parameter in values and _NUMBERS.fullmatch(values[parameter]) and not are_original(parameter):
            numbers = [int(number) for number in values[parameter].split()]
            if numbers != sorted(numbers):
                found[parameter] = f"the numbers of {parameter} must ascend, those of {values[parameter]!r} do not"
    return found


def writes(values: Mapping[str, str], current: Mapping[str, str]) -> list[tuple[str, str]]:
    """What to write, in an order that satisfies the couplings at every moment; without what is correct already."""
    needed = {parameter: [value] for parameter, value in values.items() if current.get(parameter) != value}
    for amount, ratio in EXCLUSIVE:
        if amount not in values or ratio not in values or not (amount in needed or ratio in needed):
            continue
        needed.pop(amount, None)
        needed.pop(ratio, None)
        if values[amount] != "0":
            needed[amount] = [values[amount]]
        else:
            # Writing a ratio of 0 where 0 is shown changes nothing in the kernel, so the amount would stay.
            needed[ratio] = ["1", "0"] if values[ratio] == "0" else [values[ratio]]
    return [(parameter, value) for parameter in _ordered(needed, current) for value in needed[parameter]]


def _ordered(needed: Mapping[str, list[str]], current: Mapping[str, str]) -> list[str]:
    order: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(needed, ()))
    for low, high in BELOW + NOT_ABOVE:
        if low in needed and high in needed:
            grows = (_first_number(needed[high][-1]) or 0) >= (_first_number(current.get(high, "")) or 0)
            order.add(*((low, high) if grows else (high, low)))
    caused = [(parameter, other) for parameter in needed for other in side_effects(parameter)]
    for first, then in [*_WRITTEN_BEFORE, *caused]:
        if first in needed and then in needed:
            order.add(then, first)
    # The irreversible last: if anything before it is refused, nothing irreversible has happened.
    return sorted(
        order.static_order(),
        key=lambda parameter: _denylist.irreversible_because(parameter, needed[parameter][-1]) is not None,
    )


def _first_number(text: str) -> int | None:
    return int(text.split()[0]) if _NUMBERS.fullmatch(text) else None
