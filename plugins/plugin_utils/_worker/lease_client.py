# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A worker's lease on its host: applying values, checking that they held, restoring the originals."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils import _kernel

from .login_shell import new_marker
from .transport import Transport, output_of

# The journal of root, and that of an account which may set only net.*.
_JOURNALS = ("/run/autotune/lease.json", "/run/autotune/network/lease.json")
_UNCHANGED = "nothing was changed"
_EXPIRED = "the lease expired during the trial, so the host restored its original values"
_RESTORED = "original values restored and verified"

Module = Callable[[str, dict[str, Any]], dict[str, Any]]


class LeaseExpired(Exception):
    """The host has ended the lease; the message is the module's."""


class RestoreFailed(Exception):
    """The original values are not restored, or that could not be verified; the message is for the user."""


@dataclass
class LeaseClient:
    """The lease of one worker on its host.

    module: calls a module of this collection on the host; raises LeaseExpired if its answer says so. arguments: those
    of module `sysctl` that are the same in every call. show: prints a line for the user.
    """

    module: Module
    arguments: dict[str, Any]
    show: Callable[[str], None]
    _nonce: str | None = None
    _is_held: bool = False
    _originals: dict[str, str] = field(default_factory=dict)

    def apply(
        self, requested: Mapping[str, Any], process_group: str | None, *, within_trial: bool = False
    ) -> dict[str, str]:
        """Set the values, beginning or renewing the lease; returns the applied values.

        within_trial: what has run so far had these values. Raises what `module` raises, LeaseExpired only within a
        trial.
        """
        nonce = self._nonce if self._is_held else None
        self._is_held = True
        call = {**self.arguments, "state": "leased", "values": dict(requested), "process_group": process_group}
        try:
            answer = self.module("sysctl", {**call, "nonce": nonce})
        except LeaseExpired as expiry:
            if within_trial:
                raise LeaseExpired(_EXPIRED) from None
            # Between two trials nothing is running that this could spoil: begin a new lease.
            self.show(f"{expiry}")
            self._nonce = None
            answer = self.module("sysctl", call)
        if verdict := answer.get("verdict"):
            self.show(describe_expiry(verdict))
        lease = answer.get("lease")
        self._nonce = lease["nonce"] if lease else None  # there is no lease in check mode
        self._originals |= answer.get("originals", {})
        applied: dict[str, str] = answer["applied"]
        return applied

    def interference(self, applied: Mapping[str, str], transport: Transport) -> str | None:
        """Why a trial with these values is invalid although its benchmark succeeded, or None. Raises ConnectionLost."""
        paths = [path for parameter in applied if (path := _kernel.path_of(parameter))]
        if len(paths) == len(applied):
            nonce, expires_in, found = _read_lease_and_values(transport, list(applied), paths)
        else:
            facts = self.module("sysctl_info", {"parameters": list(applied)})
            lease = facts["lease"] or {"nonce": None, "expires_in": 0.0}
            nonce, expires_in = lease["nonce"], lease["expires_in"]
            found = {parameter: state["value"] for parameter, state in facts["parameters"].items()}
        if nonce != self._nonce or expires_in <= 0:
            return _EXPIRED
        changes = [
            f"{parameter} to {value!r} (it was {applied[parameter]!r})"
            for parameter, value in found.items()
            if value is not None and value != applied[parameter]
        ]
        return f"another process set {', '.join(changes)} during the trial" if changes else None

    def restore(self) -> str:
        """End the lease; returns one clause on what the host has now, verified by reading it back.

        Raises RestoreFailed.
        """
        if not self._is_held:
            return _UNCHANGED
        arguments = {"state": "restored", "holder": self.arguments["holder"], "nonce": self._nonce}
        try:
            verdict = self.module("sysctl", arguments)["verdict"]
        except LeaseExpired as expiry:
            raise RestoreFailed(str(expiry)) from None
        self._is_held = False
        if self._nonce is None:
            return _UNCHANGED  # no lease ever began: a module that fails restores everything itself
        if verdict is None or verdict["nonce"] != self._nonce:
            self._compare_with_originals()
        elif not verdict["verified"]:
            raise RestoreFailed(describe_expiry(verdict))
        elif verdict["interference"]:
            changes = ", ".join(f"{parameter} to {value!r}" for parameter, value in verdict["interference"].items())
            return f"{_RESTORED} (another process had set {changes} meanwhile)"
        return _RESTORED

    def _compare_with_originals(self) -> None:
        """For a host that has no verdict, for example after a reboot."""
        facts = self.module("sysctl_info", {"parameters": list(self._originals)})["parameters"]
        wrong = [
            f"{parameter} is {facts[parameter]['value']!r} and was {value!r}"
            for parameter, value in self._originals.items()
            if facts[parameter]["value"] != value
        ]
        if wrong:
            raise RestoreFailed(f"NEEDS ATTENTION: its lease is gone without a verdict, and {'; '.join(wrong)}")


def describe_expiry(verdict: Mapping[str, Any]) -> str:
    """One line on a lease that expired before its holder ended it."""
    foreign = verdict["interference"]
    also = "".join(f"; another process had set {parameter} to {value!r}" for parameter, value in foreign.items())
    if verdict["verified"]:
        return f"the lease of {verdict['holder']} expired; {_RESTORED}{also}"
    wrong = ", ".join(mismatch["parameter"] for mismatch in verdict["mismatches"])
    return f"NEEDS ATTENTION: the lease of {verdict['holder']} expired and {wrong} could not be restored{also}"


def _read_lease_and_values(
    transport: Transport, parameters: list[str], paths: list[str]
) -> tuple[str | None, float, dict[str, str | None]]:
    """The current lease's nonce, the seconds until it expires, and the values; None if this user may not read one.

    Parameters with files only. Over the open connection this takes milliseconds, a module call a quarter of a second.
    """
    files = [*_JOURNALS, "/proc/uptime", *paths]
    separator = new_marker()  # random, since a journal has the study's name and values are text of others
    script = f'for file in {shlex.join(files)}; do cat -- "$file" 2>/dev/null || echo; echo {separator}; done'
    roots, accounts, uptime, *values = output_of(transport, ["sh", "-c", script]).split(separator)[: len(files)]
    try:
        lease = json.loads(roots if roots.strip() else accounts)
        nonce, expires_in = str(lease["nonce"]), float(lease["deadline"]) - float(uptime.split()[0])
    except (ValueError, KeyError, TypeError, IndexError):
        nonce, expires_in = None, 0.0
    found = {name: _kernel.value_in(name, text) or None for name, text in zip(parameters, values, strict=True)}
    return nonce, expires_in, found
