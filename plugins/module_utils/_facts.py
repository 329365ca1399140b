# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the module sysctl_info tells of a host."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Optional

from ansible_collections.autotune.kernel.plugins.module_utils import _host, _journal, _kernel


def facts(parameters: Optional[Sequence[str]]) -> dict[str, Any]:
    """The host and these of its parameters, or all; raises ValueError for a bad name, Failure for a bad journal.

    `warnings` are for whoever asked, beside what sysctl_info returns.
    """
    names, nameless = _host.survey() if parameters is None else (parameters, [])
    lease, machine = _journal.told(), _host.machine()
    return {
        "kernel": os.uname().release,
        "boot_id": _kernel.boot_id(),
        "network_namespace": _kernel.network_namespace(),
        "cpus": machine.cpus,
        "memory_bytes": machine.memory_bytes,
        "link_mbit": machine.link_mbit,
        "page_bytes": machine.page_bytes,
        "effective_uid": os.geteuid(),
        "gate": None,
        "gate_said": None,
        "parameters": {name: _host.look_at(name) for name in names},
        "managed_by": _host.managed_by(),
        "container": _host.container(),
        "lease": None
        if lease is None
        else {"holder": lease.holder, "nonce": lease.nonce, "expires_in": round(lease.expires_in, 3)},
        "verdict": _journal.told_verdict(),
        "warnings": [_left_out(nameless)] if nameless else [],
    }


def _left_out(nameless: Sequence[str]) -> str:
    return f"{len(nameless)} parameters are left out, since their names cannot be written here, as {nameless[0]}"
