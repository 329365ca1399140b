# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a study leaves to be known: the parameters of its presets, and the couplings which the kernel has anyway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils._catalogue import find
from ansible_collections.autotune.kernel.plugins.module_utils._constraints import BELOW, NOT_ABOVE
from ansible_collections.autotune.kernel.plugins.module_utils._procfs import canonical_name

from .presets import KnownHost, expand, named


def completed(data: Mapping[str, Any], hosts: Sequence[KnownHost]) -> tuple[dict[str, Any], list[str]]:
    """The content of a study file with all of that, and notices for the user.

    What is wrong with the file is left as it is: the study's own checks tell it, with its place.
    """
    full = dict(data)
    own = data.get("action_space", [])
    if not isinstance(own, list):
        return full, []
    names = _names(own)
    notices = [f"{name} is not in the catalogue: nothing is known of its safe values" for name in names if _odd(name)]
    entries = list(own)
    for preset in _presets(data.get("parameters")):
        added, left_out = expand(preset, names, hosts)
        entries += added
        names += [entry["param"] for entry in added]
        notices += left_out
    if len(entries) > len(own):
        full["action_space"] = entries
        if not hosts:
            notices.append("nothing is known of the hosts yet: the preset's ranges are those of a machine of 1 GiB")
    constraints = data.get("constraints", [])
    if isinstance(constraints, list):
        numbers = _names([entry for entry in entries if not (isinstance(entry, dict) and _is_choice(entry))])
        known = _couplings(numbers)
        full["constraints"] = constraints + [text for text in known if text not in constraints]
    return full, notices


def _presets(wanted: Any) -> list[Any]:
    found = []
    for text in [wanted] if isinstance(wanted, str) else wanted if isinstance(wanted, list) else []:
        try:
            found.append(named(text))
        except (ValueError, AttributeError):
            continue
    return found


def _names(entries: Sequence[Any]) -> list[str]:
    names = []
    for entry in entries:
        try:
            names.append(canonical_name(entry["param"]))
        except (ValueError, TypeError, KeyError):
            continue
    return names


def _couplings(names: Sequence[str]) -> list[str]:
    below = [f"{low} < {high}" for low, high in BELOW if low in names and high in names]
    return below + [f"{low} <= {high}" for low, high in NOT_ABOVE if low in names and high in names]


def _is_choice(entry: Mapping[str, Any]) -> bool:
    return "choices" in entry or entry.get("type") == "choice"


def _odd(name: str) -> bool:
    return find(name) is None
