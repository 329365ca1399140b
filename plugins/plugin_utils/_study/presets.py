# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Presets: the parameters worth tuning for a workload, named in a study instead of being written out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils._catalogue import find
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_entry import SMALL, Setting
from ansible_collections.autotune.kernel.plugins.module_utils._coupling import PARTNERS

from .._plain import brief

PREFIX = "preset:"


@dataclass(frozen=True)
class Pick:
    """One parameter of a preset. Without more, all of its safe values are tried.

    within: a narrower range, where the safe one reaches further than anybody would look. fixed: elements of a vector
    that keep this value.
    """

    name: str
    within: tuple[int, int] | None = None
    fixed: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Preset:
    """What to tune for a workload. `starts` names the starting points that suit it (see starting_points.py)."""

    description: str
    picks: tuple[Pick, ...]
    starts: tuple[str, ...] = ()


@dataclass(frozen=True)
class KnownHost:
    """What was found on a host: its settings of the catalogue which can be written, each with its safe values there.

    lacking: the parameters that cannot be tuned there, and why: `does not have it`.
    """

    name: str
    safe: Mapping[str, Sequence[Any]]
    lacking: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_facts(cls, name: str, facts: Mapping[str, Any]) -> KnownHost:
        """From what `sysctl_info: catalogue: true` returns."""
        found = facts["parameters"].items()
        safe = {p: seen["safe_range"] for p, seen in found if seen["writable"] and seen["safe_range"]}
        return cls(name, safe, {p: why for p, seen in found if (why := _why_lacking(seen))})


def _why_lacking(seen: Mapping[str, Any]) -> str | None:
    said = seen["why_not_writable"] or ""
    if not seen["exists"]:
        reason = said.partition(": ")[2]
        return f"does not have it: {reason}" if reason else "does not have it"
    if not seen["readable"]:
        return f"does not let it be read: {said}" if said else "does not let it be read"
    return None if seen["writable"] else f"does not let it be set: {said}"


def why_left_out(name: str, hosts: Sequence[KnownHost]) -> str | None:
    """Why an optional parameter is not tuned in a run on these hosts, None if it is: one line for the user."""
    found = [f"{brief(host.name)} {host.lacking[name]}" for host in hosts if name in host.lacking]
    if not found:
        return None
    more = len(found) - 1
    others = f" ({more} more host{'s' if more > 1 else ''} lack{'' if more > 1 else 's'} it too)" if more else ""
    return f"{name} is optional and left out of the study: {found[0]}{others}"


# The largest buffer is what throughput depends on, and 128 MiB fill 10 Gbit/s over 100 ms; the kernel's own first sizes
# serve.
_RMEM = Pick("net.ipv4.tcp_rmem", within=(131072, 128 * 2**20), fixed={0: 4096, 1: 131072})
_WMEM = Pick("net.ipv4.tcp_wmem", within=(131072, 128 * 2**20), fixed={0: 4096, 1: 16384})
_PORTS = Pick("net.ipv4.ip_local_port_range", fixed={1: 65535})


def _preset(description: str, *picks: str | Pick, starts: str = "") -> Preset:
    return Preset(description, tuple(Pick(p) if isinstance(p, str) else p for p in picks), tuple(starts.split()))


PRESETS = {
    "network-throughput": _preset(
        "much data over few connections, near or far",
        "net.ipv4.tcp_congestion_control", _RMEM, _WMEM, "net.ipv4.tcp_limit_output_bytes",
        "net.ipv4.tcp_notsent_lowat", "net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_mtu_probing",
        "net.ipv4.tcp_no_metrics_save", "net.ipv4.tcp_pacing_ss_ratio", "net.ipv4.tcp_pacing_ca_ratio",
        "net.core.netdev_max_backlog", "net.core.netdev_budget",
        starts="tuned-network-throughput esnet-10g esnet-test-host",
    ),
    "network-latency": _preset(
        "short answers as soon as possible",
        "net.core.busy_read", "net.core.busy_poll", "net.core.netdev_budget", "net.core.dev_weight",
        "net.ipv4.tcp_autocorking", "net.ipv4.tcp_notsent_lowat", "net.ipv4.tcp_limit_output_bytes",
        "net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_fastopen", "net.ipv4.tcp_comp_sack_delay_ns",
        "net.ipv4.tcp_pingpong_thresh", "net.ipv4.tcp_thin_linear_timeouts", "kernel.timer_migration",
        Pick("vm.stat_interval", within=(1, 60)),
        starts="tuned-network-latency",
    ),
    "memory": _preset(
        "more memory wanted than there is, or large heaps",
        "vm.swappiness", Pick("vm.vfs_cache_pressure", within=(10, 500)), "vm.page-cluster",
        Pick("vm.watermark_scale_factor", within=(10, 500)), "vm.watermark_boost_factor", "vm.min_free_kbytes",
        "vm.compaction_proactiveness", "vm.dirty_ratio", "vm.dirty_background_ratio",
        "transparent_hugepage.enabled", "transparent_hugepage.defrag",
        starts="tuned-throughput-performance",
    ),
    "storage": _preset(
        "reading and writing of files",
        "vm.dirty_bytes", "vm.dirty_background_bytes", "vm.dirty_writeback_centisecs", "vm.dirty_expire_centisecs",
        Pick("vm.vfs_cache_pressure", within=(10, 500)), Pick("vm.swappiness", within=(0, 100)),
        starts="tuned-throughput-performance",
    ),
    "web-server": _preset(
        "many short connections",
        Pick("net.core.somaxconn", within=(512, 65535)), Pick("net.ipv4.tcp_max_syn_backlog", within=(512, 65536)),
        _PORTS, Pick("net.ipv4.tcp_fin_timeout", within=(5, 60)), "net.ipv4.tcp_tw_reuse",
        "net.ipv4.tcp_max_tw_buckets", "net.ipv4.tcp_fastopen", "net.ipv4.tcp_slow_start_after_idle",
        "net.ipv4.tcp_notsent_lowat", "net.ipv4.tcp_autocorking", "net.ipv4.tcp_congestion_control", _WMEM,
        "net.core.netdev_max_backlog", "net.core.netdev_budget",
        starts="tuned-throughput-performance",
    ),
    "database": _preset(
        "a database's own mix of memory, disk and short answers",
        Pick("vm.swappiness", within=(0, 100)), "vm.dirty_bytes", "vm.dirty_background_bytes",
        "vm.dirty_expire_centisecs", "vm.dirty_writeback_centisecs", "transparent_hugepage.enabled",
        "kernel.sched_autogroup_enabled", "kernel.numa_balancing", "net.ipv4.tcp_slow_start_after_idle",
        "net.ipv4.tcp_autocorking", "sched.migration_cost_ns", "sched.base_slice_ns",
        starts="tuned-throughput-performance",
    ),
    "compute": _preset(
        "programs that need CPUs",
        "kernel.sched_autogroup_enabled", "kernel.sched_cfs_bandwidth_slice_us", "kernel.numa_balancing",
        "kernel.timer_migration", Pick("vm.stat_interval", within=(1, 60)), "transparent_hugepage.enabled",
        "transparent_hugepage.defrag", "sched.base_slice_ns", "sched.migration_cost_ns", "sched.nr_migrate",
        starts="tuned-throughput-performance",
    ),
}  # fmt: skip


def named(text: str) -> Preset:
    """The preset of `preset:<name>`; raises ValueError naming those which there are."""
    if not text.startswith(PREFIX) or text.removeprefix(PREFIX) not in PRESETS:
        known = ", ".join(f"{PREFIX}{name}" for name in PRESETS)
        raise ValueError(f"'{brief(text)}' is no preset; there are {known}")
    return PRESETS[text.removeprefix(PREFIX)]


def expand(preset: Preset, taken: Sequence[str], hosts: Sequence[KnownHost]) -> tuple[list[dict[str, Any]], list[str]]:
    """The preset's entries for an action_space, and notices about what was left out.

    Values are tried that are safe on every host: the narrowest range of all. What a host lacks is left out, and so is
    what the study names itself (`taken`). Where nothing is known of the hosts, they are taken for small machines.
    """
    entries, notices = [], []
    names = list(taken)
    for pick in preset.picks:
        setting = find(pick.name)
        if setting is None:
            raise LookupError(f"{pick.name} of a preset is not in the catalogue")
        if pick.name in names:
            continue
        reason = _why_not(setting, names, hosts)
        entry = None if reason else _entry(pick, setting, hosts)
        if entry:
            entries.append(entry)
            names.append(pick.name)
        else:
            notices.append(f"{pick.name} is left out: {reason or 'no two values of it are safe on all hosts'}")
    return entries, notices


def _why_not(setting: Setting, names: Sequence[str], hosts: Sequence[KnownHost]) -> str | None:
    other = PARTNERS.get(setting.name)
    if other in names:
        return f"it excludes {other}"
    lacking = [host.name for host in hosts if setting.name not in host.safe]
    if lacking:
        return f"{', '.join(lacking[:3])}{' and others' if len(lacking) > 3 else ''} cannot set it"
    if not hosts and (setting.since or setting.name.partition(".")[0] not in ("fs", "kernel", "net", "vm")):
        return "not every host has it, and nothing is known of these"
    return None


def safe_on_all(setting: Setting, hosts: Sequence[KnownHost]) -> list[Any]:
    """What is safe on each of these hosts, in the form of the entry's safe_range(); hosts without it do not count."""
    found = [host.safe[setting.name] for host in hosts if setting.name in host.safe]
    if not found:
        return setting.safe_range(None)
    if setting.choices:
        return [choice for choice in setting.choices if all(choice in one for one in found)]
    return [[max(one[at][0] for one in found), min(one[at][1] for one in found)] for at in range(len(setting.ranges))]


def _entry(pick: Pick, setting: Setting, hosts: Sequence[KnownHost]) -> dict[str, Any] | None:
    safe = safe_on_all(setting, hosts) if hosts else setting.safe_range(SMALL)
    entry: dict[str, Any] = {"param": setting.name, "description": setting.summary}
    if setting.kind == "boolean":
        return {**entry, "type": "bool"}
    if setting.choices:
        values = [int(choice) if choice.isdecimal() else choice for choice in safe]
        return {**entry, "type": "choice", "choices": values} if len(values) > 1 else None
    elements = [_element(pick, at, log=one.log, ends=safe[at]) for at, one in enumerate(setting.ranges)]
    if not all(elements):
        return None
    return {**entry, "type": "vector", "elements": elements} if len(elements) > 1 else {**entry, **elements[0]}


def _element(pick: Pick, at: int, *, log: bool, ends: Sequence[int]) -> dict[str, Any]:
    if at in pick.fixed:
        return {"value": pick.fixed[at]}
    low, high = ends
    if pick.within:
        low, high = max(low, pick.within[0]), min(high, pick.within[1])
    return {"min": low, "max": high, "log": log and low > 0} if low < high else {}
