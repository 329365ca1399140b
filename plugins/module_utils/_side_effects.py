# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What else the kernel changes when a parameter is written: the same quantity in a finer unit, what `all` or `default`
spreads to, and what is set anew. Whoever puts a parameter back has to put these back too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from ansible_collections.autotune.kernel.plugins.module_utils import _procfs

# One quantity in two units. Writing the coarse one rounds the fine one; writing the fine one sets both exactly.
_FINER = {
    "base_reachable_time": "base_reachable_time_ms",
    "gc_min_interval": "gc_min_interval_ms",
    "retrans_time": "retrans_time_ms",
    "unres_qlen": "unres_qlen_bytes",
}
# Of net.ipv6.conf.all: the others of `all` reach no interface. Of net.ipv4.conf.all only forwarding does.
_SPREAD_BY_ALL = (
    "addr_gen_mode",
    "disable_ipv6",
    "force_forwarding",
    "forwarding",
    "ignore_routes_with_linkdown",
)


def of(parameter: str) -> list[str]:
    """The parameters of this host that change with it, directly or through one another."""
    names = (_name_of(path) for path in _changed_with(parameter))
    return [name for name in names if name is not None]


def out_of_reach(parameter: str) -> list[str]:
    """Interfaces that change with it and whose names cannot be written here, so that nothing could be put back."""
    return [ascii(path.split("/")[3]) for path in _changed_with(parameter) if _name_of(path) is None]


def belongs_to_scheduler(parameter: str) -> bool:
    """Whether it comes and goes with the scheduler of a block device."""
    first, *rest = _procfs.components(parameter)
    return first == "block" and "iosched" in rest


def _changed_with(parameter: str) -> list[str]:
    own = "/".join(_procfs.components(parameter))
    found: dict[str, None] = {}
    pending = [own]
    while pending:
        fresh = [path for path in _direct(pending.pop().split("/")) if path != own and path not in found]
        found.update(dict.fromkeys(fresh))
        pending += fresh
    return list(found)


def _name_of(path: str) -> str | None:
    try:
        return _procfs.canonical_name(path)
    except ValueError:
        return None


def _direct(parts: list[str]) -> Iterator[str]:
    """The names, with slashes, of what one write changes beside the parameter itself."""
    *folder, name = parts
    if parts[0] == "block":
        yield from _reset_by_scheduler(parts)
    elif parts[0] == "transparent_hugepage" and name in ("enabled", "shmem_enabled"):
        yield from _existing(["vm/min_free_kbytes"])
    elif parts == ["kernel", "watchdog"]:
        yield from _existing(["kernel/nmi_watchdog", "kernel/soft_watchdog"])
    elif parts == ["net", "ipv4", "tcp_congestion_control"] and _procfs.in_initial_network_namespace():
        # Whatever becomes the default is allowed from then on; other namespaces cannot set that list.
        yield from _existing(["net/ipv4/tcp_allowed_congestion_control"])
    elif parts == ["net", "ipv4", "ip_forward"]:
        yield "net/ipv4/conf/all/forwarding"
    elif parts[0] == "net" and name in _FINER and {"neigh", "route"} & set(folder):
        yield from _existing(["/".join([*folder, _FINER[name]])])
    elif parts[0] == "net" and len(parts) == 5:
        yield from _spread(parts)


def _spread(parts: list[str]) -> Iterator[str]:
    dummy, family, group, source, name = parts
    if (family, group, source, name) == ("ipv4", "conf", "all", "forwarding"):
        yield "net/ipv4/conf/all/accept_redirects"  # what a router does, or a host
        yield from _siblings(parts)
    elif (family, group, source) == ("ipv6", "conf", "all"):
        yield from _siblings(parts) if name in _SPREAD_BY_ALL else ()
    elif source == "default" and (group == "neigh" or ((family, group) == ("ipv4", "conf") and name != "forwarding")):
        # Which of the interfaces follow, the kernel does not tell: those that were never set themselves.
        yield from (path for path in _siblings(parts) if path.split("/")[3] != "all")


def _siblings(parts: list[str]) -> list[str]:
    """The parameter of the same name of every interface, `default` first."""
    group, source, name = parts[:3], parts[3], parts[4]
    others = sorted(
        set(_listed(os.path.join(_procfs.ROOT, *group))) - {source}, key=lambda one: (one != "default", one)
    )
    return _existing(["/".join([*group, other, name]) for other in others])


def _reset_by_scheduler(parts: list[str]) -> list[str]:
    if parts[2:] != ["scheduler"]:
        return []
    queue = "/".join(parts[:2])
    own = _listed(os.path.join(_procfs.SYSFS, queue, "queue", "iosched"))
    return [f"{queue}/{name}" for name in ("nr_requests", "wbt_lat_usec", *(f"iosched/{name}" for name in own))]


def _existing(paths: list[str]) -> list[str]:
    return [path for path in paths if os.path.isfile(os.path.join(_procfs.ROOT, path))]


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
