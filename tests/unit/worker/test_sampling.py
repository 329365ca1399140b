from __future__ import annotations

import time

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.system_metrics import SYSTEM_METRICS
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.local import LocalTransport
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.sampling import (
    Sample,
    Sampler,
    parse_sample,
    summarise,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.transport import ConnectionLost

FILES = {
    "uptime": "100.50 180.00",
    "stat": "cpu  100 5 50 800 40 1 4 0 99 0\ncpu0 1 2 3 4\nctxt 5000\nbtime 1",
    "meminfo": "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 600 kB\nSwapTotal: 200 kB\nSwapFree: 150 kB",
    "loadavg": "1.50 0.70 0.30 1/200 999",
    "diskstats": "\n".join(
        f"8 0 {name} 10 0 {read} 0 20 0 {written} 0 0 0 0"
        for name, read, written in [
            ("sda", 2000, 4000),
            ("sda1", 2000, 4000),
            ("sdaa", 1000, 0),
            ("nvme0n1", 500, 500),
            ("nvme0n1p1", 500, 500),
            ("nvme0n10", 500, 500),
            ("loop0", 7777, 7777),
            ("dm-0", 7777, 7777),
        ]
    ),
    "net/dev": "Inter-| Receive | Transmit\n face |bytes |bytes\n    lo: 9 0 0 0 0 0 0 0 9 0\n"
    "  eth0: 1000000 0 0 0 0 0 0 0 2000000 0\n  eth1:500000 0 0 0 0 0 0 0 0 0",
    "net/snmp": "Ip: Forwarding DefaultTTL\nIp: 1 64\nTcp: RtoAlgorithm RetransSegs InErrs\nTcp: 1 70 0",
}


def lines_of(**changes: str | None) -> list[str]:
    """The sampler's output, with files replaced or (None) left out; dots in names stand for slashes."""
    files = FILES | {name.replace("_", "/"): text for name, text in changes.items()}
    lines = []
    for name, text in files.items():
        if text is not None:
            lines += [f"{name}:{line}" for line in text.splitlines()]
    return lines


def test_parses_the_files() -> None:
    sample = parse_sample(lines_of())
    assert sample.at == 100.5
    assert sample.levels == {
        "memory_used_percent": pytest.approx(40.0),
        "swap_used_percent": pytest.approx(25.0),
        "load_1m": 1.5,
    }
    assert sample.counters == {
        "cpu_idle": 840.0,
        "cpu_busy": 160.0,
        "context_switches_per_second": 5000.0,
        "disk_read_mb_per_second": pytest.approx(4000 * 512 / 1e6),
        "disk_write_mb_per_second": pytest.approx(5000 * 512 / 1e6),
        "net_rx_mbit_per_second": 12.0,
        "net_tx_mbit_per_second": 16.0,
        "tcp_retransmits_per_second": 70.0,
    }


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"meminfo": "MemTotal: 1000 kB"}, {"memory_used_percent", "swap_used_percent"}),
        ({"meminfo": "MemTotal: 0 kB\nMemAvailable: 0 kB"}, {"memory_used_percent", "swap_used_percent"}),
        ({"stat": "cpu 1 2"}, {"cpu_idle", "cpu_busy", "context_switches_per_second"}),
        ({"stat": "cpu a b c d e f g h\nctxt many"}, {"cpu_idle", "cpu_busy", "context_switches_per_second"}),
        ({"loadavg": ""}, {"load_1m"}),
        ({"diskstats": "8 0 sda"}, {"disk_read_mb_per_second", "disk_write_mb_per_second"}),
        ({"net_snmp": None}, {"tcp_retransmits_per_second"}),
        ({"net_snmp": "Tcp: A B\nTcp: 1"}, {"tcp_retransmits_per_second"}),
        ({"uptime": ""}, set()),
        ({"uptime": "soon"}, set()),
    ],
)
def test_skips_what_is_missing_or_malformed(changes: dict[str, str | None], missing: set[str]) -> None:
    whole, odd = parse_sample(lines_of()), parse_sample(lines_of(**changes))
    assert {*whole.counters, *whole.levels} - {*odd.counters, *odd.levels} == missing


@pytest.mark.parametrize("lines", [[], ["cat: no such file"], ["uptime:"], [":"], ["kmsg: SUBSYSTEM=net"]])
def test_an_empty_sample(lines: list[str]) -> None:
    assert parse_sample(lines) == Sample(0.0, {}, {})


def test_a_host_without_swap_uses_none() -> None:
    meminfo = "MemTotal: 1000 kB\nMemAvailable: 600 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB"
    assert parse_sample(lines_of(meminfo=meminfo)).levels["swap_used_percent"] == 0.0


def test_summarises_levels_as_means_and_counters_as_rates() -> None:
    samples = [
        Sample(10.0, {"cpu_busy": 100, "cpu_idle": 100, "tcp_retransmits_per_second": 5}, {"load_1m": 1.0}),
        Sample(11.0, {"cpu_busy": 900, "cpu_idle": 150, "tcp_retransmits_per_second": 9}, {"load_1m": 2.0}),
        Sample(14.0, {"cpu_busy": 400, "cpu_idle": 200, "tcp_retransmits_per_second": 25}, {"load_1m": 6.0}),
    ]
    assert summarise(samples) == {"load_1m": 3.0, "cpu_usage": 75.0, "tcp_retransmits_per_second": 5.0}


@pytest.mark.parametrize(
    ("samples", "found"),
    [
        ([], {}),
        ([Sample(10.0, {"cpu_busy": 1}, {"load_1m": 1.0})], {"load_1m": 1.0}),
        ([Sample(0.0, {}, {}), Sample(9e6, {"tcp_retransmits_per_second": 1e9}, {})], {}),
        ([Sample(1.0, {}, {}), Sample(2.0, {"tcp_retransmits_per_second": 1e9}, {})], {}),
        ([Sample(2.0, {"cpu_busy": 5, "cpu_idle": 5}, {}), Sample(3.0, {"cpu_busy": 5, "cpu_idle": 5}, {})], {}),
    ],
)
def test_unknown_metrics_are_left_out(samples: list[Sample], found: dict[str, float]) -> None:
    assert summarise(samples) == found


def test_samples_this_machine() -> None:
    sampler = Sampler(LocalTransport())
    limit = time.monotonic() + 180
    while len(sampler.samples) < 2:
        assert time.monotonic() < limit
        time.sleep(0.02)
    found = summarise(sampler.stop())
    assert set(found) <= set(SYSTEM_METRICS)
    assert {"cpu_usage", "memory_used_percent", "load_1m", "net_rx_mbit_per_second"} <= set(found)
    assert 0 <= found["cpu_usage"] <= 100
    assert 0 < found["memory_used_percent"] < 100
    assert not sampler._thread.is_alive()


def test_a_sampler_without_a_connection_has_no_samples() -> None:
    class Broken(LocalTransport):
        def start(self, command: list[str], *, stdin: bytes | None = b"") -> None:
            raise ConnectionLost("the SSH connection broke")

    assert Sampler(Broken()).stop() == []
