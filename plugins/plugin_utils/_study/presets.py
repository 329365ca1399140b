# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Presets, as data: the parameters worth tuning for a workload, and expert settings.

expansion.py turns a preset into entries of an action_space.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from .._plain import brief

PREFIX = "preset:"
EXPERT = "expert setting"  # how the name of one begins, wherever it is shown


@dataclass(frozen=True)
class Pick:
    """One parameter of a preset; by default all of its safe values are tried.

    within: a narrower range than the safe one. fixed: elements of a vector that keep this value. step: only multiples
    of it are tried. restart: a service reads it only when it starts; left out unless the study starts it.
    Values that run a risk of the catalogue are not tried in any case.
    """

    name: str
    within: tuple[int, int] | None = None
    fixed: Mapping[int, int] = field(default_factory=dict)
    step: int = 1
    restart: bool = False


# Throughput depends on the largest buffer: 128 MiB fill 10 Gbit/s over 100 ms. The kernel's initial sizes are kept.
_RMEM = Pick("net.ipv4.tcp_rmem", within=(131072, 128 * 2**20), fixed={0: 4096, 1: 131072})
_WMEM = Pick("net.ipv4.tcp_wmem", within=(131072, 128 * 2**20), fixed={0: 4096, 1: 16384})
# "If possible, it is better these numbers have different parity" (ip-sysctl).
_PORTS = Pick("net.ipv4.ip_local_port_range", fixed={1: 65535}, step=2)
_STAT_INTERVAL = Pick("vm.stat_interval", within=(1, 60))
_CACHE_PRESSURE = Pick("vm.vfs_cache_pressure", within=(10, 500))
_SWAPPINESS = Pick("vm.swappiness", within=(0, 100))


def _preset(*picks: str | Pick) -> tuple[Pick, ...]:
    return tuple(Pick(pick) if isinstance(pick, str) else pick for pick in picks)


PRESETS = {
    # much data over few connections, near or far
    "network-throughput": _preset(
        "net.ipv4.tcp_congestion_control", _RMEM, _WMEM, "net.ipv4.tcp_limit_output_bytes",
        "net.ipv4.tcp_notsent_lowat", "net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_mtu_probing",
        "net.ipv4.tcp_no_metrics_save", "net.ipv4.tcp_pacing_ss_ratio", "net.ipv4.tcp_pacing_ca_ratio",
        "net.core.netdev_max_backlog", "net.core.netdev_budget",
    ),
    # short responses, as soon as possible
    "network-latency": _preset(
        "net.core.busy_read", "net.core.busy_poll", "net.core.netdev_budget", "net.core.dev_weight",
        "net.ipv4.tcp_autocorking", "net.ipv4.tcp_notsent_lowat", "net.ipv4.tcp_limit_output_bytes",
        "net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_fastopen", "net.ipv4.tcp_comp_sack_delay_ns",
        "net.ipv4.tcp_pingpong_thresh", "net.ipv4.tcp_thin_linear_timeouts", "kernel.timer_migration",
        _STAT_INTERVAL,
    ),
    # memory overcommitted, or large heaps
    "memory": _preset(
        "vm.swappiness", _CACHE_PRESSURE, "vm.page-cluster", Pick("vm.watermark_scale_factor", within=(10, 500)),
        "vm.watermark_boost_factor", "vm.min_free_kbytes", "vm.compaction_proactiveness", "vm.dirty_ratio",
        "vm.dirty_background_ratio", "transparent_hugepage.enabled", "transparent_hugepage.defrag",
    ),
    # reading and writing files
    "storage": _preset(
        "vm.dirty_bytes", "vm.dirty_background_bytes", "vm.dirty_writeback_centisecs", "vm.dirty_expire_centisecs",
        _CACHE_PRESSURE, _SWAPPINESS,
    ),
    # many short connections
    "web-server": _preset(
        Pick("net.core.somaxconn", within=(512, 65535), restart=True),
        Pick("net.ipv4.tcp_max_syn_backlog", within=(512, 65536)),
        _PORTS, Pick("net.ipv4.tcp_fin_timeout", within=(5, 60)), "net.ipv4.tcp_max_tw_buckets",
        "net.ipv4.tcp_fastopen", "net.ipv4.tcp_slow_start_after_idle",
        "net.ipv4.tcp_notsent_lowat", "net.ipv4.tcp_autocorking", "net.ipv4.tcp_congestion_control", _WMEM,
        "net.core.netdev_max_backlog", "net.core.netdev_budget",
    ),
    # a database's mix of memory, disk and short responses
    "database": _preset(
        _SWAPPINESS, "vm.dirty_bytes", "vm.dirty_background_bytes", "vm.dirty_expire_centisecs",
        "vm.dirty_writeback_centisecs", "transparent_hugepage.enabled", "kernel.sched_autogroup_enabled",
        "kernel.numa_balancing", "net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_autocorking",
        "sched.migration_cost_ns", "sched.base_slice_ns",
    ),
    # CPU-bound programs
    "compute": _preset(
        "kernel.sched_autogroup_enabled", "kernel.sched_cfs_bandwidth_slice_us", "kernel.numa_balancing",
        "kernel.timer_migration", _STAT_INTERVAL, "transparent_hugepage.enabled", "transparent_hugepage.defrag",
        "sched.base_slice_ns", "sched.migration_cost_ns", "sched.nr_migrate",
    ),
}  # fmt: skip

# Expert settings: the search begins with the values of parameters that a study tunes. None is applied unmeasured.
EXPERT_SETTINGS: dict[str, dict[str, int | str]] = {
    # TuneD's profiles of these names
    "tuned-throughput-performance": {
        "transparent_hugepage.enabled": "always",
        "vm.dirty_ratio": 40,
        "vm.dirty_background_ratio": 10,
        "vm.swappiness": 10,
        "net.core.somaxconn": 2048,
    },
    "tuned-network-throughput": {
        "net.ipv4.tcp_rmem": "4096 131072 16777216",
        "net.ipv4.tcp_wmem": "4096 16384 16777216",
    },
    "tuned-network-latency": {
        "transparent_hugepage.enabled": "never",
        "net.core.busy_read": 50,
        "net.core.busy_poll": 50,
        "net.ipv4.tcp_fastopen": 3,
        "kernel.numa_balancing": 0,
        "kernel.nmi_watchdog": 0,
        "vm.stat_interval": 10,
        "kernel.timer_migration": 0,
    },
    # ESnet's host tuning: 10 Gbit/s over paths of up to 100 ms
    "esnet-10g": {
        "net.core.rmem_max": 67108864,
        "net.core.wmem_max": 67108864,
        "net.ipv4.tcp_rmem": "4096 87380 33554432",
        "net.ipv4.tcp_wmem": "4096 65536 33554432",
        "net.ipv4.tcp_mtu_probing": 1,
        "net.core.default_qdisc": "fq",
    },
    # ESnet and perfSONAR, test hosts: 40 Gbit/s, or paths of more than 100 ms
    "esnet-test-host": {
        "net.core.rmem_max": 268435456,
        "net.core.wmem_max": 268435456,
        "net.ipv4.tcp_rmem": "4096 87380 134217728",
        "net.ipv4.tcp_wmem": "4096 65536 134217728",
    },
}


def find_preset(text: str) -> tuple[Pick, ...]:
    """The parameters of `preset:<name>`. Raises ValueError listing the presets that exist."""
    try:
        return PRESETS[text.removeprefix(PREFIX) if text.startswith(PREFIX) else ""]
    except KeyError:
        known = ", ".join(f"{PREFIX}{name}" for name in PRESETS)
        raise ValueError(f"unknown preset '{brief(text)}'; choose one of {known}") from None


def expert_settings(parameters: Collection[str]) -> dict[str, dict[str, int | str]]:
    """What the experts say of these parameters, by the setting's name, without those who say nothing."""
    found = {
        f"{EXPERT} {expert}": {name: value for name, value in setting.items() if name in parameters}
        for expert, setting in EXPERT_SETTINGS.items()
    }
    return {name: values for name, values in found.items() if values}
