# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the gate lets an account set: the catalogue's safe values, and what root has listed beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.autotune.kernel.plugins.module_utils import _catalogue, _denylist, _host, _kernel, _trust
from ansible_collections.autotune.kernel.plugins.module_utils._change import Change
from ansible_collections.autotune.kernel.plugins.module_utils._transaction import Failure

RULES = "/etc/autotune/access.json"


@dataclass(frozen=True)
class Rules:
    """`allow_unsafe`: parameters that may have any value, by canonical name."""

    allow_unsafe: frozenset[str] = field(default_factory=frozenset)

    def refusal(self, parameter: str, value: str | None = None) -> str | None:
        """Why the parameter, or this value of it, is not for the account to set; None if it is. Names are canonical."""
        if parameter in self.allow_unsafe:
            return None
        reason = _denylist.denied_because(parameter, value)
        if reason:
            return f"{parameter} is denied because {reason}"
        if os.geteuid() != 0 and _kernel.components(parameter)[0] != "net":
            return f"{parameter} is not part of net, and this gate has only CAP_NET_ADMIN (access_scope)"
        if _catalogue.find(parameter) is None:
            return f"{parameter} is not in the catalogue"
        return None if value is None else _catalogue.why_unsafe(parameter, value, _host.machine())

    def check(self, values: Mapping[str, str]) -> None:
        """Raise Failure naming all that is not for the account to set."""
        found = {parameter: self.refusal(parameter, value) for parameter, value in values.items()}
        faults = {parameter: said for parameter, said in found.items() if said}
        if faults:
            raise Failure(
                f"Nothing was written: {'; '.join(faults.values())}. {hint()}",
                {parameter: Change("denied", values[parameter], said=said) for parameter, said in faults.items()},
            )


def hint() -> str:
    """What would help against a refusal."""
    return "What this account may set is up to root here: see access_allow_unsafe of role autotune.kernel.access."


def read() -> Rules:
    """The rules that root has left on this host; raises Failure if anybody else could have written them."""
    try:
        names = json.loads(_trust.read(RULES))["allow_unsafe"]
        return Rules(frozenset(_kernel.canonical_name(name) for name in names))
    except FileNotFoundError:
        return Rules()
    except _trust.Untrusted as error:
        raise Failure(f"{error.filename} is not believed: {error.strerror}; apply role access again.") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Failure(f"{RULES} cannot be read ({error}); apply role access again.") from None
