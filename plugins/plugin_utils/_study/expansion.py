# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Fills in what a study file leaves open: the parameters of its presets, and the constraints of the kernel.

Parameters that are `optional` and missing on a host are left out here, so that every host tunes the same ones.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils._catalogue import find
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_entry import SMALL, Setting
from ansible_collections.autotune.kernel.plugins.module_utils._coupling import BELOW, NOT_ABOVE, PARTNERS
from ansible_collections.autotune.kernel.plugins.module_utils._kernel import canonical_name

from .._plain import brief
from .constraints import parse_constraint
from .host_facts import HostFacts, safe_on_all, why_left_out
from .presets import Pick, find_preset
from .risks import without_risk


def expand_study(data: Mapping[str, Any], hosts: Sequence[HostFacts]) -> tuple[dict[str, Any], list[str]]:
    """The content of a study file, filled in, and notices for the user.

    Mistakes in the file are left alone: the study's own checks report them with their place.
    """
    expanded = dict(data)
    given = data.get("action_space", [])
    if not isinstance(given, list):
        return expanded, []
    missing = {name: why for name in optional_parameters(data) if (why := why_left_out(name, hosts))}
    listed = [entry for entry in given if not (_is_optional(entry) and _name(entry) in missing)]
    notices = list(missing.values())
    names = [name for entry in listed if (name := _name(entry))]
    notices += [f"{name} is not in the catalogue: its safe values are unknown" for name in names if not find(name)]
    entries = list(listed)
    for preset in _presets(data.get("parameters")):
        added, left_out = _expand_preset(preset, [*names, *missing], hosts, is_started=bool(data.get("start")))
        entries += added
        names += [entry["param"] for entry in added]
        notices += left_out
    if entries != given:
        expanded["action_space"] = entries
    if len(entries) > len(listed) and not hosts:
        notices.append("no facts about the hosts yet: the preset uses the ranges of a machine with 1 GiB")
    constraints = data.get("constraints", [])
    if isinstance(constraints, list):
        kept = [text for text in constraints if not _mentions(text, missing)]
        notices += [f"constraint `{brief(text)}` is left out with it" for text in constraints if text not in kept]
        numeric = [name for entry in entries if not _is_choice(entry) and (name := _name(entry))]
        expanded["constraints"] = kept + [text for text in _kernel_constraints(numeric) if text not in kept]
    return expanded, notices


def optional_parameters(data: Mapping[str, Any]) -> list[str]:
    """The parameters that a study file marks as optional: whether hosts have them has to be looked up."""
    entries = data.get("action_space", [])
    names = (_name(entry) for entry in entries if _is_optional(entry)) if isinstance(entries, list) else ()
    return list(dict.fromkeys(name for name in names if name))


def _is_optional(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("optional") is True


def _is_choice(entry: Any) -> bool:
    return isinstance(entry, dict) and ("choices" in entry or entry.get("type") == "choice")


def _name(entry: Any) -> str | None:
    try:
        return canonical_name(entry["param"])
    except (ValueError, TypeError, KeyError):
        return None


def _mentions(constraint: Any, names: Collection[str]) -> bool:
    try:
        return any(name in names for name, dummy in parse_constraint(constraint).places())
    except (ValueError, TypeError):
        return False


def _kernel_constraints(names: Sequence[str]) -> list[str]:
    pairs = [(low, "<", high) for low, high in BELOW] + [(low, "<=", high) for low, high in NOT_ABOVE]
    return [f"{low} {sign} {high}" for low, sign, high in pairs if low in names and high in names]


def _presets(given: Any) -> list[tuple[Pick, ...]]:
    texts = given if isinstance(given, list) else [given]
    found = []
    for text in dict.fromkeys(text for text in texts if isinstance(text, str)):
        try:
            found.append(find_preset(text))
        except ValueError:
            continue
    return found


def _expand_preset(
    preset: Sequence[Pick], taken: Sequence[str], hosts: Sequence[HostFacts], *, is_started: bool
) -> tuple[list[dict[str, Any]], list[str]]:
    """The preset's entries for an action_space, without the parameters in `taken`, and notices about those left out.

    Ranges are those that are safe on every host; without facts about the hosts, those of a small machine. No value in
    them runs a risk of the catalogue. is_started: whether the study starts the service.
    """
    entries, notices = [], []
    names = list(taken)
    for pick in preset:
        if pick.name in names:
            continue
        setting = find(pick.name)
        if setting is None:
            raise LookupError(f"{pick.name} of a preset is not in the catalogue")
        reason = _why_not(setting, names, hosts)
        if pick.restart and not is_started:
            reason = (
                reason or "a service reads it only when it starts: name the service's `start`, or list the parameter"
            )
        harmless = without_risk(setting, safe_on_all(setting, hosts) if hosts else setting.safe_range(SMALL), hosts)
        if harmless is None:
            reason = reason or "the kernel's documentation warns of some changes, and its original value is unknown"
        entry = None if reason or harmless is None else _entry(pick, setting, harmless)
        if entry:
            entries.append(entry)
            names.append(pick.name)
        else:
            reason = reason or "fewer than two of its values are safe and without a known risk on all hosts"
            notices.append(f"{pick.name} is left out: {reason}")
    return entries, notices


def _why_not(setting: Setting, names: Sequence[str], hosts: Sequence[HostFacts]) -> str | None:
    other = PARTNERS.get(setting.name)
    if other in names:
        return f"it excludes {other}"
    lacking = [host.name for host in hosts if setting.name not in host.safe]
    if lacking:
        return f"it cannot be set on {', '.join(lacking[:3])}{' and others' if len(lacking) > 3 else ''}"
    if not hosts and (setting.since or setting.name.partition(".")[0] not in ("fs", "kernel", "net", "vm")):
        return "some hosts do not have it, and there are no facts about these"
    return None


def _entry(pick: Pick, setting: Setting, safe: Sequence[Any]) -> dict[str, Any] | None:
    entry: dict[str, Any] = {"param": setting.name, "description": setting.summary}
    if pick.restart:
        entry["restart"] = True
    if setting.kind == "boolean":
        return {**entry, "type": "bool"} if len(safe) > 1 else None
    if setting.choices:
        values = [int(choice) if choice.isdecimal() else choice for choice in safe]
        return {**entry, "type": "choice", "choices": values} if len(values) > 1 else None
    elements = [_element(pick, at, log=one.log, ends=safe[at]) for at, one in enumerate(setting.ranges)]
    if not all(elements):
        return None
    return {**entry, "type": "vector", "elements": elements} if len(elements) > 1 else {**entry, **elements[0]}


def _element(pick: Pick, at: int, *, log: bool, ends: Sequence[int]) -> dict[str, Any]:
    """Element `at` of a parameter as an action_space has it; empty if no two values are left."""
    if at in pick.fixed:
        return {"value": pick.fixed[at]}
    low, high = ends
    if pick.within:
        low, high = max(low, pick.within[0]), min(high, pick.within[1])
    low, high = low + -low % pick.step, high - high % pick.step
    step = {"step": pick.step} if pick.step > 1 else {}
    return {"min": low, "max": high, "log": log and low > 0, **step} if low < high else {}
