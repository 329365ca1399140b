# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""System metrics, sampled on a second channel while the benchmark runs."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from .transport import Lost, TimedOut, Transport, follow

_END = "autotune-sample-end"
_FILES = "uptime stat meminfo loadavg diskstats net/dev net/snmp"
_SCRIPT = f"""cd /proc && while :; do
for name in {_FILES}; do echo "autotune-file $name"; cat "$name" 2>/dev/null; done
echo {_END}
sleep 1
done"""
_SECTOR = 512


@dataclass(frozen=True)
class Sample:
    """One look at /proc. `counters` only grow, `levels` are of the moment, `at` is the host's uptime in seconds."""

    at: float
    counters: dict[str, float]
    levels: dict[str, float]


def parse_sample(lines: Sequence[str]) -> Sample:
    """From the files' text, each behind a line `autotune-file NAME`; what is missing or odd is left out."""
    files: dict[str, list[list[str]]] = {}
    rows: list[list[str]] = []
    for line in lines:
        if line.startswith("autotune-file "):
            rows = files.setdefault(line.split(" ", 1)[1], [])
        else:
            rows.append(line.replace(":", " ").split())
    counters: dict[str, float] = {}
    levels: dict[str, float] = {}
    for name, parse in _PARSERS.items():
        found = [row for row in files.get(name, []) if row]
        try:
            if found:
                parse(found, counters, levels)
        except (ValueError, IndexError, KeyError, ZeroDivisionError):
            continue
    return Sample(counters.pop("uptime", 0.0), counters, levels)


def summarise(samples: Sequence[Sample]) -> dict[str, float]:
    """Levels as means, counters as rates from the first sample to the last; empty where there is nothing to tell."""
    if not samples:
        return {}
    first, last = samples[0], samples[-1]
    found = {name: fmean(sample.levels[name] for sample in samples if name in sample.levels) for name in last.levels}
    span = last.at - first.at
    if first.at and span > 0:
        both = last.counters.keys() & first.counters.keys()
        rates = {name: (last.counters[name] - first.counters[name]) / span for name in both}
        busy, idle = rates.pop("cpu_busy", 0.0), rates.pop("cpu_idle", 0.0)
        if busy + idle > 0:
            found["cpu_usage"] = busy / (busy + idle) * 100
        found |= rates
    return found


class Sampler:
    """Samples from its creation until stop(), which returns means and rates; a sampler that fails just knows less."""

    def __init__(self, transport: Transport) -> None:
        self._samples: list[Sample] = []
        self._lines: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(transport,), daemon=True)
        self._thread.start()

    def stop(self) -> dict[str, float]:
        """The observations by name of metric."""
        self._stop.set()
        self._thread.join(2.0)
        return summarise(self._samples)

    def _run(self, transport: Transport) -> None:
        try:
            process = transport.start(["sh", "-c", _SCRIPT])
        except Lost:
            return
        try:
            follow(process, self._take, limit=float("inf"), stop=self._stop)
        except (Lost, TimedOut):
            return
        finally:
            process.close()

    def _take(self, line: str) -> None:
        if line == _END:
            self._samples.append(parse_sample(self._lines))
            self._lines = []
        else:
            self._lines.append(line)


Rows = list[list[str]]
Numbers = dict[str, float]


def _uptime(rows: Rows, counters: Numbers, levels: Numbers) -> None:
    counters["uptime"] = float(rows[0][0])


def _stat(rows: Rows, counters: Numbers, levels: Numbers) -> None:
    for row in rows:
        if row[0] == "cpu":
            times = [float(text) for text in row[1:9]]  # guest time, behind these, is in user time already
            counters["cpu_idle"] = times[3] + times[4]
            counters["cpu_busy"] = sum(times) - counters["cpu_idle"]
        elif row[0] == "ctxt":
            counters["context_switches_per_second"] = float(row[1])


def _meminfo(rows: Rows, counters: Numbers, levels: Numbers) -> None:
    sizes = {row[0]: float(row[1]) for row in rows}
    levels["memory_used_percent"] = (1 - sizes["MemAvailable"] / sizes["MemTotal"]) * 100
    swap = sizes["SwapTotal"]
    levels["swap_used_percent"] = (1 - sizes["SwapFree"] / swap) * 100 if swap else 0.0


def _loadavg(rows: Rows, counters: Numbers, levels: Numbers) -> None:
    levels["load_1m"] = float(rows[0][0])


def _diskstats(rows: Rows, counters: Numbers, levels: Numbers) -> None:
    whole = [
        row for row in rows if not row[2].startswith(("loop", "ram", "dm-", "md")) and not _is_partition(row, rows)
    ]
    counters["disk_read_mb_per_second"] = sum(float(row[5]) for row in whole) * _SECTOR / 1e6
    counters["disk_write_mb_per_second"] = sum(float(row[9]) for row in whole) * _SECTOR / 1e6


def _is_partition(row: list[str], rows: Rows) -> bool:
    """sda1 is one of sda, nvme0n1p1 of nvme0n1; sdaa and nvme0n10 are devices of their own."""
    return any(
        re.fullmatch(re.escape(other[2]) + (r"p\d+" if other[2][-1].isdigit() else r"\d+"), row[2]) for other in rows
    )


def _net_dev(rows: Rows, counters: Numbers, levels: Numbers) -> None:
    devices = [row for row in rows[2:] if row[0] != "lo"]
    counters["net_rx_mbit_per_second"] = sum(float(row[1]) for row in devices) * 8 / 1e6
    counters["net_tx_mbit_per_second"] = sum(float(row[9]) for row in devices) * 8 / 1e6


def _net_snmp(rows: Rows, counters: Numbers, levels: Numbers) -> None:
    names, values = (row[1:] for row in rows if row[0] == "Tcp")
    counters["tcp_retransmits_per_second"] = float(dict(zip(names, values, strict=True))["RetransSegs"])


_PARSERS: dict[str, Callable[[Rows, Numbers, Numbers], None]] = {
    "uptime": _uptime,
    "stat": _stat,
    "meminfo": _meminfo,
    "loadavg": _loadavg,
    "diskstats": _diskstats,
    "net/dev": _net_dev,
    "net/snmp": _net_snmp,
}
