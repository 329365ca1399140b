# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Values on loan to one host, as its worker sees it: lending, whether the loan held, the end."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils import _kernel

from .transport import Transport, output_of

# Root's, and that of an account that has net.* alone.
_JOURNALS = ("/run/autotune/lease.json", "/run/autotune/network/lease.json")
_NEXT = "autotune-next"

Module = Callable[[str, dict[str, Any]], dict[str, Any]]


class LeaseExpired(Exception):
    """The host has ended the lease; the message is the module's."""


class RestoreFailed(Exception):
    """The host's own values are not back, or nobody can say so; the message is for the user."""


@dataclass
class LeaseClient:
    """The lease of one worker on its host.

    module: calls a module of this collection on the host; raises LeaseExpired where its answer says so. arguments: of
    `sysctl`, the same in every call. show: shows a line to the user.
    """

    module: Module
    arguments: dict[str, Any]
    show: Callable[[str], None]
    _nonce: str | None = None
    _began: bool = False
    _originals: dict[str, str] = field(default_factory=dict)

    def apply(self, values: Mapping[str, Any], process_group: str | None) -> dict[str, str]:
        """Put values on the host; returns what the kernel kept. Raises what `module` raises, LeaseExpired excepted."""
        nonce = self._nonce if self._began else None  # an ended loan's nonce opens nothing
        self._began = True
        wanted = {**self.arguments, "state": "leased", "values": dict(values), "process_group": process_group}
        try:
            answer = self.module("sysctl", {**wanted, "nonce": nonce})
        except LeaseExpired as lapse:
            # Nothing runs between two evaluations, so nothing is spoilt if the next one begins a new lease.
            self.show(f"{lapse}")
            self._nonce = None
            answer = self.module("sysctl", wanted)
        if verdict := answer.get("verdict"):
            self.show(said_of(verdict))
        lease = answer.get("lease")
        self._nonce = lease["nonce"] if lease else None  # none in check mode
        self._originals |= answer.get("originals", {})
        after: dict[str, str] = answer["after"]
        return after

    def interference(self, kept: Mapping[str, str], transport: Transport | None) -> str | None:
        """Why an evaluation with these values does not count, though it yielded its metric; None if it does.

        transport: to the host itself, where a look costs milliseconds. Without one, the module looks. Raises Lost.
        """
        paths = [path for parameter in kept if (path := _kernel.path_of(parameter))]
        if transport and len(paths) == len(kept):
            nonce, expires_in, found = _look(transport, list(kept), paths)
        else:
            facts = self.module("sysctl_info", {"parameters": list(kept)})
            lease = facts["lease"] or {"nonce": None, "expires_in": 0.0}
            nonce, expires_in = lease["nonce"], lease["expires_in"]
            found = {parameter: state["value"] for parameter, state in facts["parameters"].items()}
        if nonce != self._nonce or expires_in <= 0:
            return "the lease ran out during the evaluation, so the host has put its own values back"
        others = [
            f"{parameter} to {value!r} (it was {kept[parameter]!r})"
            for parameter, value in found.items()
            if value is not None and value != kept[parameter]
        ]
        return f"somebody else set {', '.join(others)} during the evaluation" if others else None

    def restore(self) -> str:
        """End the loan: one clause on what the host has now, true because it was read back. Raises RestoreFailed."""
        if not self._began:
            return "it was left as it was found"
        arguments = {"state": "restored", "holder": self.arguments["holder"], "nonce": self._nonce}
        try:
            verdict = self.module("sysctl", arguments)["verdict"]
        except LeaseExpired as lapse:
            raise RestoreFailed(str(lapse)) from None
        self._began = False
        if self._nonce is None:
            return "it was left as it was found"  # nothing was ever lent: a module that fails puts everything back
        if verdict is None or verdict["nonce"] != self._nonce:
            self._compare()
        elif not verdict["verified"]:
            raise RestoreFailed(said_of(verdict))
        elif verdict["foreign"]:
            changed = ", ".join(f"{parameter} to {value!r}" for parameter, value in verdict["foreign"].items())
            return f"its own values are back, verified (somebody else had set {changed} meanwhile)"
        return "its own values are back, verified"

    def _compare(self) -> None:
        """Where the host has no verdict, as after a boot, the values themselves must tell."""
        facts = self.module("sysctl_info", {"parameters": list(self._originals)})["parameters"]
        wrong = [
            f"{parameter} is {facts[parameter]['value']!r} and was {value!r}"
            for parameter, value in self._originals.items()
            if facts[parameter]["value"] != value
        ]
        if wrong:
            raise RestoreFailed(f"NEEDS ATTENTION: its lease is gone without a verdict, and {'; '.join(wrong)}")


def said_of(verdict: Mapping[str, Any]) -> str:
    """One line on how a lease ended that its holder did not end."""
    foreign = verdict["foreign"]
    also = "".join(f"; somebody else had set {parameter} to {value!r}" for parameter, value in foreign.items())
    if verdict["verified"]:
        return f"the lease of {verdict['holder']} ran out; the host put its own values back, verified{also}"
    wrong = ", ".join(mismatch["parameter"] for mismatch in verdict["mismatches"])
    return f"NEEDS ATTENTION: the lease of {verdict['holder']} ran out and {wrong} could not be put back{also}"


def _look(
    transport: Transport, parameters: list[str], paths: list[str]
) -> tuple[str | None, float, dict[str, str | None]]:
    """The nonce of the lease in force, its seconds left, and the values; None for what this user cannot read."""
    files = [*_JOURNALS, "/proc/uptime", *paths]
    script = f'for file in {shlex.join(files)}; do cat -- "$file" 2>/dev/null || echo; echo {_NEXT}; done'
    roots, accounts, uptime, *values = output_of(transport, ["sh", "-c", script]).split(f"{_NEXT}")[: len(files)]
    try:
        lease = json.loads(roots if roots.strip() else accounts)
        nonce, expires_in = str(lease["nonce"]), float(lease["deadline"]) - float(uptime.split()[0])
    except (ValueError, KeyError, TypeError, IndexError):
        nonce, expires_in = None, 0.0
    found = {name: _kernel.value_in(name, text) or None for name, text in zip(parameters, values, strict=True)}
    return nonce, expires_in, found
