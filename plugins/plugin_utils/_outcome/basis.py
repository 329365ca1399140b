# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a learned value rests on, as text: the same in role, report, page and terminal summary.

Changes are taken in the form of result.json, because that is what the dashboard reads from the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import at_boot
from .verdict import PerCent


def basis(change: Mapping[str, Any], per_cent: PerCent) -> list[str]:
    """One sentence each, without a full stop: its worth, its proposer, restarts, the ends of its range, risks."""
    lines = [shown(change, per_cent)]
    if proposer := change.get("proposed_by"):
        lines.append(f"proposed by {proposer}")
    if change.get("restart"):
        lines.append("a service reads it only when it starts: restart the service after applying or rolling back")
    if not at_boot.is_set(change["param"]):
        lines.append("not kept across reboots, as no file in sysctl.d can set it: apply the role again after a reboot")
    lines += [at_end(end, per_cent) for end in change.get("range_ends") or ()]
    lines += [at_risk(risk) for risk in change.get("risks") or ()]
    return lines


def shown(change: Mapping[str, Any], per_cent: PerCent) -> str:
    """How the worth was shown, with the contribution: "effect shown on its own: +12.0 % (+8.1 % to +16.2 %)"."""
    others = ", ".join(change.get("together_with") or ())
    match change.get("basis"):
        case "alone":
            how = "effect shown on its own"
        case "jointly":
            how = f"effect shown only together with {others}"
        case "not shown":
            how = f"no effect shown, alone or together with {others}" if others else "no effect shown on its own"
        case _:
            return "tested only together with all other values"
    worth, interval = change.get("contribution"), change.get("interval")
    if worth is None:
        return how
    limits = f" ({per_cent(interval[0])} to {per_cent(interval[1])})" if interval else ""
    return f"{how}: {per_cent(worth)}{limits}"


def at_end(end: Mapping[str, Any], per_cent: PerCent) -> str:
    """That a number is the last of its range, and what a wider one might bring."""
    number = "this" if end.get("element") is None else f"element {end['element'] + 1}"
    highest = end["end"] == "highest"
    said = f"{number} is the {'largest' if highest else 'smallest'} value of its range ({end['bound']})"
    bound, gain, wider = "max" if highest else "min", end.get("gain"), end.get("wider")
    beyond = "larger" if highest else "smaller"
    if wider is not None:
        move = "raise" if highest else "lower"
        return (
            f"{said}; the surrogate predicts that the last quarter of the range adds {per_cent(gain)}, so a wider one "
            f"may gain more: {move} {bound} to {wider}, if that is safe for everything else on the hosts"
        )
    if end.get("at_limit"):
        return f"{said}; {beyond} values are not safe on these hosts, or run a known risk"
    if gain is None:
        return f"{said}; {beyond} values were not tried"
    return f"{said}; the surrogate predicts little gain from {beyond} ones ({per_cent(gain)} for its last quarter)"


def at_risk(risk: Mapping[str, Any]) -> str:
    """What the kernel's documentation warns of, in its own words too."""
    return f'risk: {risk["warning"]}. The documentation: "{risk["quote"]}" ({risk["source"]})'
