# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the hosts of a run have in common: which values are safe on all of them, and which parameters one lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_entry import Setting

from .._plain import brief


@dataclass(frozen=True)
class HostFacts:
    """A host's writable catalogue settings, each with its safe values there.

    original: the value of each parameter, from before any lease.
    missing: the parameters that cannot be tuned there, with the reason as the end of a sentence: `does not have it`.
    """

    name: str
    safe: Mapping[str, Sequence[Any]]
    missing: Mapping[str, str] = field(default_factory=dict)
    original: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_module(cls, name: str, facts: Mapping[str, Any]) -> HostFacts:
        """From the result of `sysctl_info: catalogue: true`."""
        found = facts["parameters"].items()
        safe = {param: seen["safe_range"] for param, seen in found if seen["writable"] and seen["safe_range"]}
        missing = {param: why for param, seen in found if (why := _why_missing(seen))}
        return cls(
            name, safe, missing, {param: text for param, seen in found if (text := seen["original"]) is not None}
        )


def _why_missing(seen: Mapping[str, Any]) -> str | None:
    detail = seen["why_not_writable"] or ""
    if not seen["exists"]:
        reason = detail.partition(": ")[2]
        return f"does not have it: {reason}" if reason else "does not have it"
    if not seen["readable"]:
        return f"does not let it be read: {detail}" if detail else "does not let it be read"
    return None if seen["writable"] else f"does not let it be set: {detail}"


def why_left_out(name: str, hosts: Sequence[HostFacts]) -> str | None:
    """The notice that an optional parameter is left out because hosts lack it; None if they all have it."""
    lacking = [f"{brief(host.name)} {host.missing[name]}" for host in hosts if name in host.missing]
    if not lacking:
        return None
    more = len(lacking) - 1
    others = f" ({more} more host{'s lack' if more > 1 else ' lacks'} it too)" if more else ""
    return f"optional parameter {name} is left out of the study: {lacking[0]}{others}"


def safe_on_all(setting: Setting, hosts: Sequence[HostFacts]) -> list[Any]:
    """The values that are safe on each of these hosts, in the form of safe_range(); hosts without it do not count."""
    found = [host.safe[setting.name] for host in hosts if setting.name in host.safe]
    if not found:
        return setting.safe_range(None)
    if setting.choices:
        return [choice for choice in setting.choices if all(choice in safe for safe in found)]
    return [[max(safe[at][0] for safe in found), min(safe[at][1] for safe in found)] for at in range(len(found[0]))]
