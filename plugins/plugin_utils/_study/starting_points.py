# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Values which others recommend, as data: candidates to begin a search with. None is applied by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class StartingPoint:
    """Values that somebody recommends together, and who. Parameters may be missing on a host or in a study."""

    source: str
    values: Mapping[str, int | str]


STARTING_POINTS = {
    "tuned-throughput-performance": StartingPoint(
        "TuneD, profile throughput-performance",
        {
            "transparent_hugepage.enabled": "always",
            "vm.dirty_ratio": 40,
            "vm.dirty_background_ratio": 10,
            "vm.swappiness": 10,
            "net.core.somaxconn": 2048,
        },
    ),
    "tuned-network-throughput": StartingPoint(
        "TuneD, profile network-throughput",
        {"net.ipv4.tcp_rmem": "4096 131072 16777216", "net.ipv4.tcp_wmem": "4096 16384 16777216"},
    ),
    "tuned-network-latency": StartingPoint(
        "TuneD, profile network-latency",
        {
            "transparent_hugepage.enabled": "never",
            "net.core.busy_read": 50,
            "net.core.busy_poll": 50,
            "net.ipv4.tcp_fastopen": 3,
            "kernel.numa_balancing": 0,
            "kernel.nmi_watchdog": 0,
            "vm.stat_interval": 10,
            "kernel.timer_migration": 0,
        },
    ),
    "esnet-10g": StartingPoint(
        "ESnet, tuning of hosts with 10 Gbit/s and paths of up to 100 ms",
        {
            "net.core.rmem_max": 67108864,
            "net.core.wmem_max": 67108864,
            "net.ipv4.tcp_rmem": "4096 87380 33554432",
            "net.ipv4.tcp_wmem": "4096 65536 33554432",
            "net.ipv4.tcp_mtu_probing": 1,
            "net.core.default_qdisc": "fq",
        },
    ),
    "esnet-test-host": StartingPoint(
        "ESnet and perfSONAR, tuning of test hosts with 40 Gbit/s or paths of more than 100 ms",
        {
            "net.core.rmem_max": 268435456,
            "net.core.wmem_max": 268435456,
            "net.ipv4.tcp_rmem": "4096 87380 134217728",
            "net.ipv4.tcp_wmem": "4096 65536 134217728",
        },
    ),
}
