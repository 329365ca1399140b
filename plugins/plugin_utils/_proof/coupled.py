# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Which of a candidate's parameters must be kept or dropped together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.autotune.kernel.plugins.module_utils._coupling import BELOW, NOT_ABOVE

from .._study.constraints import Constraint, Place
from .._study.parameters import kernel_text
from .._study.space import Value

Values = Mapping[str, Value]
Unit = tuple[str, ...]


def units(candidate: Values, originals: Mapping[str, Values], constraints: Sequence[Constraint]) -> list[Unit]:
    """Partition the candidate's parameters: those that cannot be mixed with any host's original values share a unit.

    Parameters that the kernel itself couples always share one, because the role may run on hosts with other originals.
    """
    unit_of: dict[str, Unit] = {parameter: (parameter,) for parameter in candidate}
    coupled = [(low, high) for low, high in BELOW + NOT_ABOVE if low in candidate and high in candidate]
    for one, other in coupled + [pair for each in constraints for pair in _violated(each, candidate, originals)]:
        if unit_of[one] != unit_of[other]:
            both: Unit = (*unit_of[one], *unit_of[other])
            unit_of |= dict.fromkeys(both, both)
    return list(dict.fromkeys(unit_of.values()))


def changes(candidate: Values, originals: Mapping[str, Values]) -> list[str]:
    """The parameters whose value differs from that of some host."""
    return [
        name
        for name, value in candidate.items()
        if not originals or any(kernel_text(value) != kernel_text(own[name]) for own in originals.values())
    ]


def violates(candidate: Values, originals: Mapping[str, Values], constraints: Sequence[Constraint]) -> bool:
    """Whether the candidate, beside some host's own values for all other parameters, violates a constraint."""
    return any(not _holds(each, {**own, **candidate}) for own in originals.values() for each in constraints)


def _violated(constraint: Constraint, candidate: Values, originals: Mapping[str, Values]) -> list[tuple[str, str]]:
    """The constraint's two parameters, if replacing one of them by a host's original would violate it."""
    names = list(dict.fromkeys(name for name, dummy in constraint.places()))
    if len(names) < 2 or not set(names) <= set(candidate):
        return []
    mixed = [{**candidate, name: values[name]} for values in originals.values() for name in names]
    return [] if all(_holds(constraint, values) for values in mixed) else [(names[0], names[1])]


def _holds(constraint: Constraint, values: Values) -> bool:
    try:
        numbers: dict[Place, float] = {
            (name, at): float(str(values[name]).split()[at]) for name, at in constraint.places()
        }
    except (ValueError, IndexError):  # not a number, so it cannot be compared
        return False
    return constraint.holds(numbers)
