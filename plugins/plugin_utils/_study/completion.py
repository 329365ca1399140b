# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a study leaves to be known: its presets' parameters, the optional ones, and the kernel's own couplings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils._catalogue import find
from ansible_collections.autotune.kernel.plugins.module_utils._coupling import BELOW, NOT_ABOVE
from ansible_collections.autotune.kernel.plugins.module_utils._kernel import canonical_name

from .._plain import brief
from .constraints import parse_constraint
from .presets import KnownHost, Preset, expand, named, why_left_out


def completed(data: Mapping[str, Any], hosts: Sequence[KnownHost]) -> tuple[dict[str, Any], list[str]]:
    """The content of a study file with all of that, and notices for the user.

    An optional parameter that some host lacks is left out: a candidate, and the role, set the same on every host.
    What is wrong with the file is left as it is: the study's own checks tell it, with its place.
    """
    full = dict(data)
    given = data.get("action_space", [])
    if not isinstance(given, list):
        return full, []
    lacking = _lacking(given, hosts)
    own = [entry for entry in given if not (_is_optional(entry) and _name(entry) in lacking)]
    notices = list(lacking.values())
    names = _names(own)
    notices += [f"{name} is not in the catalogue: nothing is known of its safe values" for name in names if _odd(name)]
    entries = list(own)
    for preset in _presets(data.get("parameters")):
        added, left_out = expand(preset, [*names, *lacking], hosts)
        entries += added
        names += [entry["param"] for entry in added]
        notices += left_out
    if entries != given:
        full["action_space"] = entries
    if len(entries) > len(own) and not hosts:
        notices.append("nothing is known of the hosts yet: the preset's ranges are those of a machine of 1 GiB")
    constraints = data.get("constraints", [])
    if isinstance(constraints, list):
        kept = [text for text in constraints if not _names_one_of(text, lacking)]
        notices += [f"the constraint `{brief(text)}` is left out with it" for text in constraints if text not in kept]
        numbers = _names([entry for entry in entries if not (isinstance(entry, dict) and _is_choice(entry))])
        full["constraints"] = kept + [text for text in _couplings(numbers) if text not in kept]
    return full, notices


def optional_names(data: Mapping[str, Any]) -> list[str]:
    """The parameters of a study file that are optional, so that the hosts have to be asked for them."""
    entries = data.get("action_space", [])
    return _names([entry for entry in entries if _is_optional(entry)]) if isinstance(entries, list) else []


def _lacking(entries: Sequence[Any], hosts: Sequence[KnownHost]) -> dict[str, str]:
    """Which optional parameters some host lacks, and one line on each."""
    names = dict.fromkeys(_names([entry for entry in entries if _is_optional(entry)]))
    return {name: said for name in names if (said := why_left_out(name, hosts))}


def _is_optional(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("optional") is True


def _names_one_of(constraint: Any, names: Collection[str]) -> bool:
    try:
        return any(name in names for name, dummy in parse_constraint(constraint).places())
    except (ValueError, TypeError):
        return False


def _presets(wanted: Any) -> list[Preset]:
    texts = [wanted] if isinstance(wanted, str) else wanted if isinstance(wanted, list) else []
    found = []
    for text in dict.fromkeys(text for text in texts if isinstance(text, str)):
        try:
            found.append(named(text))
        except ValueError:
            continue
    return found


def _names(entries: Sequence[Any]) -> list[str]:
    return [name for entry in entries if (name := _name(entry))]


def _name(entry: Any) -> str | None:
    try:
        return canonical_name(entry["param"])
    except (ValueError, TypeError, KeyError):
        return None


def _couplings(names: Sequence[str]) -> list[str]:
    below = [f"{low} < {high}" for low, high in BELOW if low in names and high in names]
    return below + [f"{low} <= {high}" for low, high in NOT_ABOVE if low in names and high in names]


def _is_choice(entry: Mapping[str, Any]) -> bool:
    return "choices" in entry or entry.get("type") == "choice"


def _odd(name: str) -> bool:
    return find(name) is None
