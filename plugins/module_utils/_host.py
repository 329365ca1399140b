# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a host has by way of kernel parameters, found at run time, and who else sets them."""

from __future__ import annotations

import contextlib
import glob
import os
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils import _denylist, _procfs

_DAEMONS = ("bpftune", "tuned")


def parameters() -> list[str]:
    """Every parameter of this host, by name."""
    return sorted(
        _procfs.canonical_name(os.path.relpath(os.path.join(folder, name), _procfs.ROOT).replace(os.sep, "/"))
        for folder, dummy, names in os.walk(_procfs.ROOT)
        for name in names
    )


def look_at(parameter: str) -> dict[str, Any]:
    """Whether a parameter exists, reads and can be written, its value, whether it is denied and whether each network
    namespace has its own (None: cannot be told here); raises ValueError for a bad name."""
    exists = _procfs.exists(parameter)
    value = None
    readable = exists and os.access(_procfs.path_of(parameter), os.R_OK)
    if readable and not _denylist.holds_secret(parameter):
        with contextlib.suppress(OSError):
            value = _procfs.read(parameter)
    return {
        "exists": exists,
        "readable": readable,
        "writable": exists and _procfs.why_not_writable(parameter) is None,
        "value": value,
        "denied": _denylist.denied_because(parameter) is not None,
        "namespaced": _namespaced(parameter),
    }


def managed_by() -> list[str]:
    """The daemons running here that set kernel parameters by themselves."""
    names = set()
    for path in glob.glob("/proc/[0-9]*/comm"):
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            names.add(file.read().strip())
    return sorted(names.intersection(_DAEMONS))


def _namespaced(parameter: str) -> bool | None:
    if _procfs.components(parameter)[0] != "net":
        return False
    # In the initial namespace everything of net is visible, the machine-wide with the rest.
    return None if _procfs.in_initial_network_namespace() else True
