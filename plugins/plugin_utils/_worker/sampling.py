# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""System metrics, sampled on a second channel while the benchmark runs."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from .transport import Lost, Process, TimedOut, Transport, follow

_END = "autotune-sample-end"
_NO_LOG = "autotune-no-kernel-log"
# Two looks a second, and a last one when its input ends, which it does with the connection too. Of the kernel log dd
# reads what is new and no more: the shell's descriptor 3 keeps its place.
_SCRIPT = f"""cd /proc || exit
log=; nap=1
timeout 0.5 true 2>/dev/null && nap=0.5
if dd iflag=nonblock count=0 </dev/null 2>/dev/null && (: </dev/kmsg) 2>/dev/null
then exec 3</dev/kmsg; log=kmsg; dd iflag=nonblock bs=8192 <&3 >/dev/null 2>&1
else echo {_NO_LOG}
fi
look() {{
grep -sH '' uptime loadavg diskstats net/dev pressure/memory pressure/io
grep -sHE '^(cpu |ctxt|Mem|Swap|Tcp:|Udp:|oom_kill )' stat meminfo net/snmp vmstat
[ -z "$log" ] || dd iflag=nonblock bs=8192 <&3 2>/dev/null | sed 's/^/kmsg:/'
echo {_END}
}}
while look; do
timeout $nap cat >/dev/null
case $? in 124|143) ;; *) break ;; esac
done
look"""
_SECTOR = 512
_MOST_SAMPLES = 2000
_KERNEL = 8  # below it, a message of the log is the kernel's own; the lower three bits are its level


@dataclass(frozen=True)
class Sample:
    """One look at /proc. `counters` only grow, `levels` are of the moment, `at` is the host's uptime in seconds.

    signs: counters too, of what may go wrong: seconds in which no task got on, packets, segments, processes killed.
    log: what is new in the kernel log, each message with its level, 0 (the worst) to 7.
    """

    at: float
    counters: dict[str, float]
    levels: dict[str, float]
    signs: dict[str, float] = field(default_factory=dict)
    log: tuple[tuple[int, str], ...] = ()


def parse_sample(lines: Sequence[str]) -> Sample:
    """From the files' text, each line behind the name of its file; what is missing or odd is left out."""
    files: dict[str, list[list[str]]] = {}
    log: list[tuple[int, str]] = []
    for line in lines:
        name, dummy, text = line.partition(":")
        if name == "kmsg":
            log += _message(text)
        elif row := text.replace(":", " ").split():
            files.setdefault(name, []).append(row)
    counters: dict[str, float] = {}
    levels: dict[str, float] = {}
    for name in _PARSERS.keys() & files.keys():
        try:
            _PARSERS[name](files[name], counters, levels)
        except (ValueError, IndexError, KeyError, StopIteration, ZeroDivisionError):
            continue
    signs = {name: counters.pop(name) for name in SIGNS if name in counters}
    return Sample(counters.pop("uptime", 0.0), counters, levels, signs, tuple(log))


def _message(record: str) -> list[tuple[int, str]]:
    """Level and text of a record of /dev/kmsg, `6,1234,5678,-;text`; nothing where a program wrote it."""
    head, dummy, text = record.partition(";")
    priority = head.split(",")[0]
    return [(int(priority), text.strip())] if priority.isdecimal() and int(priority) < _KERNEL else []


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
    """Samples from its creation until stop(); a sampler that fails just knows less.

    on_sample: is told every sample as it comes, in the sampler's own thread. sees_log: whether this user may read the
    kernel log there; None until that is known.
    """

    def __init__(self, transport: Transport, on_sample: Callable[[Sample], None] = lambda sample: None) -> None:
        self._on_sample = on_sample
        self.sees_log: bool | None = None
        self.samples: list[Sample] = []
        self._lines: list[str] = []
        self._ending, self._given_up = threading.Event(), threading.Event()
        self._process: Process | None = None
        self._thread = threading.Thread(target=self._run, args=(transport,), daemon=True)
        self._thread.start()

    def mark(self) -> None:
        """What comes from now on is what stop() is about."""
        del self.samples[:-1]

    def stop(self) -> list[Sample]:
        """Have a last look; returns the samples since mark()."""
        self._ending.set()
        if self._process:
            self._process.end_input()
        self._thread.join(2.0)
        self._given_up.set()
        return list(self.samples)

    def _run(self, transport: Transport) -> None:
        try:
            self._process = process = transport.start(["sh", "-c", _SCRIPT], stdin=None)
        except Lost:
            return
        try:
            if self._ending.is_set():
                process.end_input()
            follow(process, self._take, limit=float("inf"), until=self._given_up.is_set)
        except (Lost, TimedOut, OSError):
            return
        finally:
            process.close()

    def _take(self, line: str) -> None:
        if line == _NO_LOG:
            self.sees_log = False
        elif line == _END:
            self.sees_log = self.sees_log is not False
            sample, self._lines = parse_sample(self._lines), []
            self.samples.append(sample)
            if len(self.samples) > _MOST_SAMPLES:
                del self.samples[1:-1:2]
            self._on_sample(sample)
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
    counters["packets"] = sum(float(row[at]) for row in devices for at in (2, 10))
    counters["packets_lost"] = sum(float(row[at]) for row in devices for at in (3, 4, 11, 12))


def _net_snmp(rows: Rows, counters: Numbers, levels: Numbers) -> None:
    names, values = (row[1:] for row in rows if row[0] == "Tcp")
    tcp = {name: float(value) for name, value in zip(names, values, strict=True)}
    counters["tcp_retransmits_per_second"] = counters["segments_again"] = tcp["RetransSegs"]
    counters["segments"] = tcp["OutSegs"]


def _vmstat(rows: Rows, counters: Numbers, levels: Numbers) -> None:
    counters["oom_kills"] = float(dict(rows)["oom_kill"])


def _pressure(name: str) -> Callable[[Rows, Numbers, Numbers], None]:
    def parse(rows: Rows, counters: Numbers, levels: Numbers) -> None:
        full = next(row for row in rows if row[0] == "full")
        counters[name] = float(full[-1].removeprefix("total=")) / 1e6

    return parse


# What a sample's `signs` are about.
SIGNS = ("memory_stalled", "io_stalled", "oom_kills", "packets", "packets_lost", "segments", "segments_again")
_PARSERS: dict[str, Callable[[Rows, Numbers, Numbers], None]] = {
    "uptime": _uptime,
    "stat": _stat,
    "meminfo": _meminfo,
    "loadavg": _loadavg,
    "diskstats": _diskstats,
    "net/dev": _net_dev,
    "net/snmp": _net_snmp,
    "vmstat": _vmstat,
    "pressure/memory": _pressure("memory_stalled"),
    "pressure/io": _pressure("io_stalled"),
}
