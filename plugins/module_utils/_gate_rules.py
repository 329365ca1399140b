# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the gate lets an account set: safe values of the catalogue, and what root has allowed in addition."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.autotune.kernel.plugins.module_utils import (
    _catalogue,
    _denylist,
    _journal,
    _kernel,
    _machine,
    _trust,
)
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_entry import Machine
from ansible_collections.autotune.kernel.plugins.module_utils._change import Change, Failure

RULES = "/etc/autotune/access.json"
# In every answer of the gate. Raise it when a request or an answer changes so that an older partner would misread it.
PROTOCOL = 2


@dataclass(frozen=True)
class Rules:
    """`allow_unsafe`: parameters that may have any value, by canonical name."""

    allow_unsafe: frozenset[str] = field(default_factory=frozenset)

    def refusal(self, parameter: str, value: str | None = None) -> str | None:
        """Why the account may not set the parameter, or this value of it; None if it may. Names are canonical."""
        if parameter in self.allow_unsafe:
            return None
        reason = _denylist.denied_because(parameter, value)
        if reason:
            return f"{parameter} is denied because {reason}"
        if os.geteuid() != 0 and _kernel.components(parameter)[0] != "net":
            return f"{parameter} is not in net.*, and this gate has only CAP_NET_ADMIN (access_scope)"
        if _catalogue.find(parameter) is None:
            return f"{parameter} is not in the catalogue"
        # Every baseline sets the host's own values, which may be outside the safe range.
        if value is None or value in (_kernel.read_or_none(parameter), self._originals.get(parameter)):
            return None
        return _catalogue.why_unsafe(parameter, value, self._machine)

    @functools.cached_property
    def _machine(self) -> Machine:
        return _machine.read()

    @functools.cached_property
    def _originals(self) -> dict[str, str]:
        lease = _journal.read()
        return lease.originals if lease else {}

    def check(self, values: Mapping[str, str]) -> None:
        """Raise Failure naming everything that the account may not set."""
        found = {parameter: self.refusal(parameter, value) for parameter, value in values.items()}
        faults = {parameter: reason for parameter, reason in found.items() if reason}
        if faults:
            raise Failure(
                f"Nothing was written: {'; '.join(faults.values())}. {hint()}",
                {
                    parameter: Change("denied", values[parameter], message=reason)
                    for parameter, reason in faults.items()
                },
            )


def hint() -> str:
    """What helps against a refusal."""
    return "Root decides what this account may set: see access_allow_unsafe of role autotune.kernel.access."


def read() -> Rules:
    """The rules that root has written on this host; raises Failure if another account could have written them."""
    try:
        names = json.loads(_trust.read(RULES))["allow_unsafe"]
        return Rules(frozenset(_kernel.canonical_name(name) for name in names))
    except FileNotFoundError:
        return Rules()
    except _trust.Untrusted as error:
        raise Failure(
            f"{error.filename} is not trusted: {error.strerror}; apply role autotune.kernel.access again."
        ) from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Failure(f"{RULES} cannot be read ({error}); apply role autotune.kernel.access again.") from None
