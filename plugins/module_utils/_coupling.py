# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How the kernel couples parameters with each other, and the order of writes which follows from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter

from ansible_collections.autotune.kernel.plugins.module_utils import _denylist, _side_effects

# Writing one zeroes the other. The first cannot be written 0, so it is the second that ends the first.
EXCLUSIVE = (
    ("vm.dirty_bytes", "vm.dirty_ratio"),
    ("vm.dirty_background_bytes", "vm.dirty_background_ratio"),
    ("vm.overcommit_kbytes", "vm.overcommit_ratio"),
)
# The kernel takes dirty_background >= dirty without a word and then uses half of dirty.
BELOW = (
    ("vm.dirty_background_bytes", "vm.dirty_bytes"),
    ("vm.dirty_background_ratio", "vm.dirty_ratio"),
)
NOT_ABOVE = (
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
# Sizes of buffers first, then the limits that refer to them.
_BEFORE = (
    ("net.core.rmem_max", "net.ipv4.tcp_rmem"),
    ("net.core.wmem_max", "net.ipv4.tcp_wmem"),
)

PARTNERS = {one: other for pair in EXCLUSIVE for one, other in (pair, pair[::-1])}
_NUMBERS = re.compile(r"-?\d+( -?\d+)*")


def with_partners(parameters: Iterable[str]) -> list[str]:
    """These parameters and those which a write to them changes too."""
    named = list(parameters)
    exclusive = [PARTNERS[parameter] for parameter in named if parameter in PARTNERS]
    also = [other for parameter in named for other in _side_effects.of(parameter)]
    return list(dict.fromkeys(named + exclusive + also))


def completed(asked: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """The values asked for, where 0 in one of an exclusive pair brings back the other one's own value.

    `own` are the host's values before any tuning; without this a baseline of `vm.dirty_bytes: 0` could not be set.
    """
    targets = dict(asked)
    for parameter, value in asked.items():
        partner = PARTNERS.get(parameter)
        if partner and value == "0" and partner not in asked and own.get(partner, "0") != "0":
            targets[partner] = own[partner]
    return targets


def expected(targets: Mapping[str, str]) -> dict[str, str]:
    """The values after writing these targets, with the partners which that zeroes."""
    zeroed = {
        PARTNERS[parameter]: "0" for parameter, value in targets.items() if parameter in PARTNERS and value != "0"
    }
    return {**zeroed, **targets}


def lasting(targets: Mapping[str, str]) -> dict[str, str]:
    """The targets without the idle members of exclusive pairs, which a file read at boot must not set."""
    idle = {amount if targets.get(amount) == "0" else ratio for amount, ratio in EXCLUSIVE if amount in targets}
    return {parameter: value for parameter, value in targets.items() if parameter not in idle}


def conflicts(targets: Mapping[str, str], current: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with these targets together, by parameter. The host's own values are never called wrong."""
    final = {**current, **targets}
    found: dict[str, str] = {}

    def is_own(*parameters: str) -> bool:
        return all(final[parameter] == {**current, **own}.get(parameter) for parameter in parameters)

    for amount, ratio in EXCLUSIVE:
        if amount in targets and ratio in targets and targets[amount] != "0" and targets[ratio] != "0":
            found[amount] = f"{amount} and {ratio} exclude each other: set one of them"
        elif targets.get(amount) == "0" and ratio not in targets and current.get(amount) != "0":
            found[amount] = f"0 cannot be written to {amount}: set {ratio} instead"
    for low, high in BELOW + NOT_ABOVE:
        if not (low in targets or high in targets) or low not in final or high not in final or is_own(low, high):
            continue
        least, most = _first_number(final[low]), _first_number(final[high])
        strict = (low, high) in BELOW
        if least is None or most is None or (strict and most == 0):
            continue  # a 0 is the idle member of an exclusive pair; of what is no number the kernel will speak
        if least > most or (strict and least == most):
            words = "below" if strict else "not above"
            found[low] = f"{low} ({final[low]}) must be {words} {high} ({final[high]}): set both"
    for parameter in ASCENDING:
        if parameter in targets and _NUMBERS.fullmatch(targets[parameter]) and not is_own(parameter):
            numbers = [int(number) for number in targets[parameter].split()]
            if numbers != sorted(numbers):
                found[parameter] = f"{parameter} must ascend, {targets[parameter]} does not"
    return found


def writes(targets: Mapping[str, str], current: Mapping[str, str]) -> list[tuple[str, str]]:
    """What to write, in an order that keeps the couplings true at every moment; what is right already is left out."""
    needed = {parameter: [value] for parameter, value in targets.items() if current.get(parameter) != value}
    for amount, ratio in EXCLUSIVE:
        if amount not in targets or ratio not in targets or not (amount in needed or ratio in needed):
            continue
        needed.pop(amount, None)
        needed.pop(ratio, None)
        if targets[amount] != "0":
            needed[amount] = [targets[amount]]
        else:
            # Writing a ratio of 0 where 0 is shown changes nothing in the kernel, so the amount would stay.
            needed[ratio] = ["1", "0"] if targets[ratio] == "0" else [targets[ratio]]
    return [(parameter, value) for parameter in _ordered(needed, current) for value in needed[parameter]]


def _ordered(needed: Mapping[str, list[str]], current: Mapping[str, str]) -> list[str]:
    order: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(needed, ()))
    for low, high in BELOW + NOT_ABOVE:
        if low in needed and high in needed:
            grows = (_first_number(needed[high][-1]) or 0) >= (_first_number(current.get(high, "")) or 0)
            order.add(*((low, high) if grows else (high, low)))
    also = [(parameter, other) for parameter in needed for other in _side_effects.of(parameter)]
    for first, then in [*_BEFORE, *also]:
        if first in needed and then in needed:
            order.add(then, first)
    # A refusal before it leaves nothing to undo.
    return sorted(
        order.static_order(),
        key=lambda parameter: _denylist.irreversible_because(parameter, needed[parameter][-1]) is not None,
    )


def _first_number(text: str) -> int | None:
    return int(text.split()[0]) if _NUMBERS.fullmatch(text) else None
