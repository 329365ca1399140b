# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Sysctls, the files below /proc/sys, and what else the kernel changes when one of them is written."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence

from ansible_collections.autotune.kernel.plugins.module_utils import _kind

# One quantity in two units. Writing the coarse one rounds the fine one; writing the fine one sets both exactly.
_FINER = {
    "base_reachable_time": "base_reachable_time_ms",
    "gc_min_interval": "gc_min_interval_ms",
    "retrans_time": "retrans_time_ms",
    "unres_qlen": "unres_qlen_bytes",
}
# Of net.ipv6.conf.all only these reach the interfaces; of net.ipv4.conf.all only forwarding does.
_SPREAD_BY_ALL = ("addr_gen_mode", "disable_ipv6", "force_forwarding", "forwarding", "ignore_routes_with_linkdown")


class Sysctls(_kind.FileKind):
    """prefix: none, as a name begins with a folder of /proc/sys."""

    prefix = ""
    persistable = True

    def path(self, parts: Sequence[str]) -> str:
        return os.path.join(_kind.PROC_SYS, *parts)

    def names(self) -> Iterator[str]:
        return _kind.files_below(_kind.PROC_SYS)

    def command(self, parts: Sequence[str], text: str) -> str:
        name = "/".join(parts) if any("." in part for part in parts) else ".".join(parts)
        return f"sysctl -w {shlex.quote(f'{name}={text}')}"

    def choices(self, parts: Sequence[str]) -> list[str] | None:
        if list(parts) != ["net", "ipv4", "tcp_congestion_control"]:
            return None
        which = "available" if in_initial_network_namespace() else "allowed"
        return self.read(["net", "ipv4", f"tcp_{which}_congestion_control"]).split()

    def why_refused(self, parts: Sequence[str], error: OSError) -> str:
        if parts[0] == "net" and not in_initial_network_namespace():
            return "the kernel does not permit writing it in this network namespace"
        return super().why_refused(parts, error)

    def side_effects(self, parts: Sequence[str]) -> list[str]:
        *folder, name = parts
        if parts == ["kernel", "watchdog"]:
            return self._existing(["kernel/nmi_watchdog", "kernel/soft_watchdog"])
        if parts == ["net", "ipv4", "tcp_congestion_control"] and in_initial_network_namespace():
            # The kernel permits every default from then on; other namespaces cannot set that list.
            return self._existing(["net/ipv4/tcp_allowed_congestion_control"])
        if parts == ["net", "ipv4", "ip_forward"]:
            return ["net/ipv4/conf/all/forwarding"]
        if parts[0] == "net" and name in _FINER and {"neigh", "route"} & set(folder):
            return self._existing(["/".join([*folder, _FINER[name]])])
        return self._interfaces_set_by(parts) if parts[0] == "net" and len(parts) == 5 else []

    def _interfaces_set_by(self, parts: Sequence[str]) -> list[str]:
        """What `all` or `default` sets on the interfaces."""
        dummy, family, group, source, name = parts
        if (family, group, source, name) == ("ipv4", "conf", "all", "forwarding"):
            return ["net/ipv4/conf/all/accept_redirects", *self._siblings(parts)]  # a router's default, or a host's
        if (family, group, source) == ("ipv6", "conf", "all"):
            return self._siblings(parts) if name in _SPREAD_BY_ALL else []
        if source == "default" and (group == "neigh" or ((family, group) == ("ipv4", "conf") and name != "forwarding")):
            # Only interfaces that were never set themselves follow, and the kernel does not say which these are.
            return [path for path in self._siblings(parts) if path.split("/")[3] != "all"]
        return []

    def _siblings(self, parts: Sequence[str]) -> list[str]:
        """The parameter of the same name of every other interface, `default` first."""
        others = {*_kind.listed(self.path(parts[:3]))} - {parts[3]}
        ordered = sorted(others, key=lambda one: (one != "default", one))
        return self._existing(["/".join([*parts[:3], other, parts[4]]) for other in ordered])

    def _existing(self, paths: list[str]) -> list[str]:
        return [path for path in paths if os.path.isfile(os.path.join(_kind.PROC_SYS, path))]


def in_initial_network_namespace() -> bool:
    """Whether net.* is the machine's own here."""
    # The inode of the initial namespace differs between kernels, but this parameter exists in no other namespace.
    return os.path.isfile(os.path.join(_kind.PROC_SYS, "net/core/netdev_max_backlog"))
