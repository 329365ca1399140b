# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the module sysctl_info returns: the host's kernel parameters, and what else must be known to tune them."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional

from ansible_collections.autotune.kernel.plugins.module_utils import (
    _denylist,
    _journal,
    _kernel,
    _machine,
    _validation,
    _verdict,
)
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_entry import Machine

_DAEMONS = ("bpftune", "tuned")
_SYSTEMD_CONTAINER = "/run/systemd/container"
_CONTAINER_FILES = {"/.dockerenv": "docker", "/run/.containerenv": "podman"}
_INITIAL_PID_NAMESPACE = 0xEFFFFFFC  # its inode, the same on all kernels since 3.8


def facts(parameters: Optional[Sequence[str]]) -> dict[str, Any]:
    """The host and these of its parameters, or all. Raises ValueError for a malformed name, Failure for a bad journal.

    `warnings` are for the caller to show.
    """
    names, malformed = survey() if parameters is None else (parameters, [])
    lease, hardware = _journal.read_any(), _machine.read()
    leased = lease.originals if lease else {}
    return {
        "kernel": os.uname().release,
        "boot_id": _kernel.boot_id(),
        "network_namespace": _kernel.network_namespace(),
        "cpus": hardware.cpus,
        "memory_bytes": hardware.memory_bytes,
        "link_mbit": hardware.link_mbit,
        "page_bytes": hardware.page_bytes,
        "effective_uid": os.geteuid(),
        "gate": None,
        "gate_message": None,
        "parameters": {name: parameter_facts(name, hardware, leased) for name in names},
        "managed_by": managed_by(),
        "container": container(),
        "lease": lease.summary() if lease else None,
        "verdict": _verdict.read_any(),
        "warnings": [
            f"{len(malformed)} parameters were left out because their names are not supported, such as {malformed[0]}"
        ]
        if malformed
        else [],
    }


def survey() -> tuple[list[str], list[str]]:
    """The names of all parameters of this host, and in ASCII those that are malformed.

    The kernel permits nearly any bytes in the name of an interface.
    """
    names, malformed = [], []
    for path in _kernel.names():
        try:
            names.append(_kernel.canonical_name(path))
        except ValueError:
            malformed.append(ascii(path)[1:-1])
    return sorted(names), sorted(malformed)


def catalogued() -> list[str]:
    """The parameters of this host that are in the catalogue."""
    # Imported here because loading it takes time, and trials call the module without needing it.
    from ansible_collections.autotune.kernel.plugins.module_utils import _catalogue

    return [parameter for parameter in survey()[0] if _catalogue.find(parameter)]


def parameter_facts(parameter: str, hardware: Machine, leased: Mapping[str, str]) -> dict[str, Any]:
    """What is known of one parameter (see RETURN of sysctl_info); raises ValueError for a malformed name.

    leased: the original values of the parameters that are leased.
    """
    exists = _kernel.exists(parameter)
    why_not = _kernel.why_not_writable(parameter) if exists else f"it {_validation.missing(parameter)}"
    value = _kernel.read_or_none(parameter) if exists else None
    is_secret = _denylist.holds_secret(parameter)
    return {
        "exists": exists,
        "readable": value is not None,
        "writable": why_not is None,
        "why_not_writable": why_not,
        "value": None if is_secret else value,
        "original": None if is_secret else leased.get(_kernel.canonical_name(parameter), value),
        "denied": _denylist.denied_because(parameter) is not None,
        "namespaced": _namespaced(parameter),
        **_catalogue_facts(parameter, hardware),
    }


def container() -> str | None:
    """What this host runs in, by the name that its manager left; None for a machine of its own."""
    with contextlib.suppress(OSError), open(_SYSTEMD_CONTAINER, encoding="utf-8", errors="replace") as file:
        return file.read().strip() or "container"
    for path, name in _CONTAINER_FILES.items():
        if os.path.exists(path):
            return name
    with contextlib.suppress(OSError):
        if os.stat("/proc/self/ns/pid").st_ino != _INITIAL_PID_NAMESPACE:
            return "container"
    return None


def managed_by() -> list[str]:
    """The running daemons that set kernel parameters themselves."""
    return running(_DAEMONS)


def running(programs: Iterable[str]) -> list[str]:
    """Those of these programs that run, outside containers."""
    names = set()
    for path in glob.glob("/proc/[0-9]*/status"):
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
            # One process ID for each namespace from here down: a container's process has several.
            if len(status["NSpid"].split()) == 1:
                names.add(status["Name"])
    return sorted(names.intersection(programs))


def _namespaced(parameter: str) -> bool | None:
    if _kernel.components(parameter)[0] != "net":
        return False
    # The initial namespace shows all of net.*, whether it belongs to the namespace or to the machine.
    return None if _kernel.in_initial_network_namespace() else True


def _catalogue_facts(parameter: str, hardware: Machine) -> dict[str, Any]:
    fields = ("kind", "unit", "default", "impairs", "summary", "documentation")
    from ansible_collections.autotune.kernel.plugins.module_utils import _catalogue

    parameter = _kernel.canonical_name(parameter)
    setting = _catalogue.find(parameter)
    if setting is None:
        return {**dict.fromkeys(fields), "special_values": None, "safe_range": None, "risks": None}
    safe: list[Any] = setting.safe_range(hardware)
    offered = None
    with contextlib.suppress(OSError):
        offered = _kernel.choices(parameter) if setting.choices else None
    return {
        **{field: getattr(setting, field) for field in fields},
        "special_values": dict(setting.special),
        "safe_range": [choice for choice in safe if offered is None or choice in offered],
        "risks": [
            {"applies_to": risk.condition(), "warning": risk.warning, "quote": risk.quote, "source": risk.source}
            for risk in _catalogue.risks(parameter)
        ],
    }
