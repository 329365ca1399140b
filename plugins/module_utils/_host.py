# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a host has by way of kernel parameters, found at run time, and who else sets them."""

from __future__ import annotations

import contextlib
import glob
import os
from typing import TYPE_CHECKING, Any, Optional

from ansible_collections.autotune.kernel.plugins.module_utils import _denylist, _kernel, _kind, _refusal

if TYPE_CHECKING:
    from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_entry import Machine, Setting

_DAEMONS = ("bpftune", "tuned")
_SYSTEMDS_MARK = "/run/systemd/container"
_MARKS = {"/.dockerenv": "docker", "/run/.containerenv": "podman"}
_MACHINES_OWN_PROCESSES = 0xEFFFFFFC  # the inode of the first PID namespace, the same on all kernels since 3.8


def parameters() -> list[str]:
    """Every parameter of this host, by name."""
    return survey()[0]


def survey() -> tuple[list[str], list[str]]:
    """Every parameter of this host by name, and the files, in ASCII, whose names cannot be those of parameters here.

    The kernel takes nearly any bytes as the name of an interface.
    """
    named, nameless = [], []
    for path in _kernel.names():
        try:
            named.append(_kernel.canonical_name(path))
        except ValueError:
            nameless.append(ascii(path)[1:-1])
    return sorted(named), sorted(nameless)


def catalogued() -> list[str]:
    """Those parameters of this host which the catalogue knows."""
    return [parameter for parameter in parameters() if _entry(parameter)]


def machine() -> Machine:
    """What safe ranges depend on. A link that does not tell its speed, as in a virtual machine, counts as 1 Gbit/s."""
    from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_entry import Machine

    speeds = [1000]
    for path in glob.glob(os.path.join(_kind.SYSFS, "class/net/*/speed")):
        with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as file:
            speeds.append(int(file.read()))
    page = os.sysconf("SC_PAGE_SIZE")
    return Machine(os.sysconf("SC_PHYS_PAGES") * page, os.sysconf("SC_NPROCESSORS_ONLN"), max(speeds), page)


def look_at(parameter: str) -> dict[str, Any]:
    """Whether a parameter exists, reads and can be written, its value, whether it is denied, whether each network
    namespace has its own (None: cannot be told here), and what the catalogue knows (None: nothing).

    Raises ValueError for a bad name.
    """
    exists = _kernel.exists(parameter)
    why_not = _kernel.why_not_writable(parameter) if exists else f"it {_refusal.missing(parameter)}"
    value = _kernel.read_or_none(parameter) if exists else None
    return {
        "exists": exists,
        "readable": value is not None,
        "writable": why_not is None,
        "why_not_writable": why_not,
        "value": None if _denylist.holds_secret(parameter) else value,
        "denied": _denylist.denied_because(parameter) is not None,
        "namespaced": _namespaced(parameter),
        **_known(parameter),
    }


def container() -> str | None:
    """What this host is inside of, by the name that its manager left; None where it is a machine of its own."""
    with contextlib.suppress(OSError), open(_SYSTEMDS_MARK, encoding="utf-8", errors="replace") as file:
        return file.read().strip() or "container"
    for mark, name in _MARKS.items():
        if os.path.exists(mark):
            return name
    with contextlib.suppress(OSError):
        if os.stat("/proc/self/ns/pid").st_ino != _MACHINES_OWN_PROCESSES:
            return "container"
    return None


def managed_by() -> list[str]:
    """The daemons running here that set kernel parameters by themselves."""
    names = set()
    for path in glob.glob("/proc/[0-9]*/comm"):
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            names.add(file.read().strip())
    return sorted(names.intersection(_DAEMONS))


def _namespaced(parameter: str) -> bool | None:
    if _kernel.components(parameter)[0] != "net":
        return False
    # In the initial namespace everything of net is visible, the machine-wide with the rest.
    return None if _kernel.in_initial_network_namespace() else True


def _known(parameter: str) -> dict[str, Any]:
    setting = _entry(_kernel.canonical_name(parameter))
    if setting is None:
        return {"kind": None, "risk": None, "safe_range": None}
    return {"kind": setting.kind, "risk": setting.risk, "safe_range": _safe_here(setting, parameter)}


def _safe_here(setting: Setting, parameter: str) -> list[Any]:
    safe: list[Any] = setting.safe_range(machine())
    offered = None
    with contextlib.suppress(OSError):
        offered = _kernel.choices(parameter) if setting.choices else None
    return [choice for choice in safe if offered is None or choice in offered]


def _entry(parameter: str) -> Optional[Setting]:
    # Here, since it takes its time to load, and the module sysctl comes by without needing it at every evaluation.
    from ansible_collections.autotune.kernel.plugins.module_utils import _catalogue

    return _catalogue.find(parameter)
