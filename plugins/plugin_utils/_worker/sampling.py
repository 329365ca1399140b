# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Sampling /proc on the host while the benchmark runs, in a command of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from .transport import CommandTimeout, ConnectionLost, Process, Transport, follow

_END = "autotune-sample-end"
_NO_LOG = "autotune-no-kernel-log"
# Two samples a second, and a last one when the script's input ends, as it does with the connection, too. dd reads only
# what is new in the kernel log, because the shell's descriptor 3 keeps the position.
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
_KERNEL_FACILITY = 8  # priorities below it are the kernel's own messages; the lower three bits are the level


@dataclass(frozen=True)
class Sample:
    """One reading of /proc.

    at: the host's uptime in seconds. counters: values that only grow. levels: momentary values.
    error_counters: errors, and the totals to which they are compared, by the names in ERROR_COUNTERS. log: new messages
    of the kernel log, each with its level from 0 (emergency) to 7.
    """

    at: float
    counters: dict[str, float]
    levels: dict[str, float]
    error_counters: dict[str, float] = field(default_factory=dict)
    log: tuple[tuple[int, str], ...] = ()


def parse_sample(lines: Iterable[str]) -> Sample:
    """From `file:text` lines; skips what is missing or malformed."""
    files: Files = {}
    log: list[tuple[int, str]] = []
    for line in lines:
        name, dummy, text = line.partition(":")
        if name == "kmsg":
            log += _kernel_message(text)
        elif row := text.replace(":", " ").split():
            files.setdefault(name, []).append(row)
    counters, levels, error_counters = (_read(readers, files) for readers in (COUNTERS, LEVELS, ERROR_COUNTERS))
    return Sample(counters.pop("uptime", 0.0), counters, levels, error_counters, tuple(log))


def _kernel_message(record: str) -> list[tuple[int, str]]:
    """The level and text of a record of /dev/kmsg, `6,1234,5678,-;text`; empty if a program wrote it."""
    head, dummy, text = record.partition(";")
    priority = head.split(",")[0]
    return [(int(priority), text.strip())] if priority.isdecimal() and int(priority) < _KERNEL_FACILITY else []


def summarise(samples: Sequence[Sample]) -> dict[str, float]:
    """The system metrics: levels as means, counters as rates from the first sample to the last."""
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
    """Takes samples from its creation until stop(). If it fails, there are fewer samples or none.

    on_sample: called with each sample, in the sampler's thread. sees_log: whether this user may read the kernel log;
    None until that is known.
    """

    def __init__(self, transport: Transport, on_sample: Callable[[Sample], None] = lambda sample: None) -> None:
        self._on_sample = on_sample
        self.sees_log: bool | None = None
        self.samples: list[Sample] = []
        self._lines: list[str] = []
        self._stopping, self._abandoned = threading.Event(), threading.Event()
        self._process: Process | None = None
        self._thread = threading.Thread(target=self._run, args=(transport,), daemon=True)
        self._thread.start()

    def restart(self) -> None:
        """Forget all samples but the latest one, which becomes the first of those that stop() returns."""
        del self.samples[:-1]

    def stop(self) -> list[Sample]:
        """Take a last sample and return them all."""
        self._stopping.set()
        if self._process:
            self._process.end_input()
        self._thread.join(2.0)
        self._abandoned.set()
        return list(self.samples)

    def _run(self, transport: Transport) -> None:
        try:
            self._process = process = transport.start(["sh", "-c", _SCRIPT], stdin=None)
        except ConnectionLost:
            return
        try:
            if self._stopping.is_set():
                process.end_input()
            follow(process, self._take, limit=float("inf"), until=self._abandoned.is_set)
        except (ConnectionLost, CommandTimeout, OSError):
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


# The words of each line, by file.
Files = dict[str, list[list[str]]]
Readers = dict[str, Callable[[Files], float]]


def _read(readers: Readers, files: Files) -> dict[str, float]:
    found = {}
    for name, reader in readers.items():
        try:
            found[name] = reader(files)
        except (ValueError, IndexError, KeyError, ZeroDivisionError):
            continue
    return found


def _rows(files: Files, file: str) -> dict[str, list[str]]:
    """The lines of a file by their first word."""
    return {row[0]: row for row in files[file]}


def _cpu_times(files: Files) -> tuple[float, float]:
    """Busy and idle; guest time, in the columns after these, is included in user time."""
    times = [float(text) for text in _rows(files, "stat")["cpu"][1:9]]
    idle = times[3] + times[4]
    return sum(times) - idle, idle


def _meminfo(files: Files, name: str) -> float:
    return float(_rows(files, "meminfo")[name][1])


def _disk_mb(files: Files, column: int) -> float:
    """Of whole disks only: partitions and stacked devices would count twice."""
    names = {row[2] for row in files["diskstats"]}
    return sum(float(row[column]) for row in files["diskstats"] if _is_disk(row[2], names)) * _SECTOR / 1e6


def _is_disk(name: str, names: set[str]) -> bool:
    """sda1 is a partition of sda, nvme0n1p1 of nvme0n1; sdaa and nvme0n10 are disks of their own."""
    stem = name.rstrip("0123456789")
    is_partition = stem != name and names & {stem, stem.removesuffix("p")}
    return not is_partition and not name.startswith(("loop", "ram", "dm-", "md"))


def _net_dev(files: Files, *columns: int) -> float:
    """The sum over all interfaces but loopback."""
    return sum(float(row[column]) for row in files["net/dev"][2:] if row[0] != "lo" for column in columns)


def _tcp(files: Files, name: str) -> float:
    names, values = (row for row in files["net/snmp"] if row[0] == "Tcp")
    return float(dict(zip(names, values, strict=True))[name])


def _stalled(files: Files, resource: str) -> float:
    """Seconds in which all tasks were stalled (PSI `full`)."""
    return float(_rows(files, f"pressure/{resource}")["full"][-1].removeprefix("total=")) / 1e6


COUNTERS: Readers = {
    "uptime": lambda files: float(files["uptime"][0][0]),
    "cpu_busy": lambda files: _cpu_times(files)[0],
    "cpu_idle": lambda files: _cpu_times(files)[1],
    "context_switches_per_second": lambda files: float(_rows(files, "stat")["ctxt"][1]),
    "disk_read_mb_per_second": lambda files: _disk_mb(files, 5),
    "disk_write_mb_per_second": lambda files: _disk_mb(files, 9),
    "net_rx_mbit_per_second": lambda files: _net_dev(files, 1) * 8 / 1e6,
    "net_tx_mbit_per_second": lambda files: _net_dev(files, 9) * 8 / 1e6,
    "tcp_retransmits_per_second": lambda files: _tcp(files, "RetransSegs"),
}
LEVELS: Readers = {
    "memory_used_percent": lambda files: (1 - _meminfo(files, "MemAvailable") / _meminfo(files, "MemTotal")) * 100,
    "swap_used_percent": lambda files: (
        (1 - _meminfo(files, "SwapFree") / _meminfo(files, "SwapTotal")) * 100 if _meminfo(files, "SwapTotal") else 0.0
    ),
    "load_1m": lambda files: float(files["loadavg"][0][0]),
}
ERROR_COUNTERS: Readers = {
    "cpu": lambda files: sum(_cpu_times(files)),
    "cpu_stolen": lambda files: float(_rows(files, "stat")["cpu"][8]),
    "memory_stalled": lambda files: _stalled(files, "memory"),
    "io_stalled": lambda files: _stalled(files, "io"),
    "oom_kills": lambda files: float(_rows(files, "vmstat")["oom_kill"][1]),
    "packets": lambda files: _net_dev(files, 2, 10),
    "packets_lost": lambda files: _net_dev(files, 3, 4, 11, 12),
    "segments": lambda files: _tcp(files, "OutSegs"),
    "segments_retransmitted": lambda files: _tcp(files, "RetransSegs"),
}
