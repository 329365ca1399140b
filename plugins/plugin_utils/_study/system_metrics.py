# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The system metrics that can be sampled while a benchmark runs, and how they are normalised for the learner."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SystemMetric:
    """`typical`: a typical value on a busy host, which normalises to 0.5."""

    unit: str
    typical: float
    description: str

    def normalised(self, value: float) -> float:
        """`value` mapped to [0, 1), with the finest resolution around `typical`."""
        value = max(0.0, value)
        return value / (value + self.typical)


SYSTEM_METRICS = {
    "cpu_usage": SystemMetric("%", 50, "share of CPU time, over all CPUs, that was not idle"),
    "memory_used_percent": SystemMetric("%", 50, "memory in use, as MemTotal - MemAvailable"),
    "swap_used_percent": SystemMetric("%", 20, "swap in use"),
    "load_1m": SystemMetric("tasks", 2, "load average over a minute"),
    "context_switches_per_second": SystemMetric("1/s", 10_000, "context switches"),
    "disk_read_mb_per_second": SystemMetric("MB/s", 50, "read from block devices"),
    "disk_write_mb_per_second": SystemMetric("MB/s", 50, "written to block devices"),
    "net_rx_mbit_per_second": SystemMetric("Mbit/s", 100, "received on all interfaces except loopback"),
    "net_tx_mbit_per_second": SystemMetric("Mbit/s", 100, "sent on all interfaces except loopback"),
    "tcp_retransmits_per_second": SystemMetric("1/s", 10, "TCP segments retransmitted"),
}
