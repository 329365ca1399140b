# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Watching a host's health during a trial, and ending the trial past a limit of the study's `guard`."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Sequence

from .._study.sections import Guard
from .sampling import Sample, Sampler, summarise
from .transport import ConnectionLost, Transport

_WINDOW = 3.0  # seconds of pressure; a shorter stall does not justify ending a trial
_HEALTH_INTERVAL = 0.5
_KILLED = re.compile(r"Killed process \d+ \((.*?)\)")
# In the kernel's own case and at its own places: "[Firmware Bug]" and "ACPI BIOS Error (bug)" are harmless, and in
# "traps: node[812] general protection fault" it is a program that crashed.
_KERNEL_TROUBLE = re.compile(
    r"blocked for more than \d+ seconds|\bBUG:|kernel BUG at|\bOops\b|^general protection fault|[Uu]nable to handle"
    r"|[Kk]ernel panic|soft lockup|hard LOCKUP|detected stalls|self-detected stall"
)
_ERROR = 3  # kernel log levels up to this one are errors


class LimitCheck:
    """Compares samples, in order, with the limits. Counters are relative to the first sample."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._first: Sample | None = None
        self._recent: deque[Sample] = deque()
        self._killed: list[str] = []

    def violation(self, sample: Sample) -> str | None:
        """One line on the limit that is exceeded, or None."""
        self._first = self._first or sample
        self._recent.append(sample)
        while len(self._recent) > 2 and sample.at - self._recent[1].at >= _WINDOW:
            self._recent.popleft()
        self._killed += [match[1] for dummy, text in sample.log if (match := _KILLED.search(text))]
        return self._memory(self._first, sample) or self._kernel_log(sample) or self._pressure(sample)

    def _memory(self, first: Sample, sample: Sample) -> str | None:
        limit, minimum = self._guard.oom_kills, self._guard.free_memory
        # The larger of two counts: kernels before 4.13 have no counter, and the log may not be readable.
        before, after = (each.error_counters.get("oom_kills", 0.0) for each in (first, sample))
        kills = max(int(after - before), len(self._killed))
        if limit is not None and kills > limit:
            process = f" ({self._killed[-1]})" if self._killed else ""
            return f"{kills} OOM kill{'s' if kills > 1 else ''}{process}, limit {limit} (guard.oom_kills)"
        used = sample.levels.get("memory_used_percent")
        if used is not None and minimum is not None and 100 - used < minimum:
            return f"available memory {100 - used:.1f} %, limit {minimum:g} % (guard.free_memory)"
        return None

    def _kernel_log(self, sample: Sample) -> str | None:
        for dummy, text in sample.log if self._guard.kernel_log else ():
            if _KERNEL_TROUBLE.search(text):
                return f"kernel log: {text[:160]}"
        return None

    def _pressure(self, sample: Sample) -> str | None:
        oldest = self._recent[0]
        limits = (("memory", "memory", self._guard.memory_pressure), ("io", "I/O", self._guard.io_pressure))
        for name, title, limit in limits:
            stalled = _growth(oldest, sample, f"{name}_stalled")
            percent = 100 * stalled / max(sample.at - oldest.at, _WINDOW)
            if limit is not None and percent > limit:
                return (
                    f"{title} pressure (PSI full) {min(percent, 100):.0f} % over {_WINDOW:g} s, limit {limit:g} % "
                    f"(guard.{name}_pressure)"
                )
        return None


class HealthMonitor:
    """Watches a host during one trial, from its creation until end().

    health_check: runs the user's health command; returns what is wrong, or None. May block, and raise ConnectionLost.
    violation: why the trial must end, set within a few seconds of the cause.
    """

    def __init__(self, guard: Guard, transport: Transport, health_check: Callable[[], str | None] | None) -> None:
        self.violation: str | None = None
        self._limits, self._health_check = LimitCheck(guard), health_check
        self._ending = threading.Event()
        self._health_thread = threading.Thread(target=self._check_health, daemon=True)
        self._errors_logged = 0
        self._samples: list[Sample] = []
        self._sampler = Sampler(transport, self._take)

    def begin(self) -> None:
        """The benchmark starts now: observations() and signals() cover the time from here to end()."""
        self._sampler.restart()
        self._errors_logged = 0
        self.watch_health()

    def watch_health(self) -> None:
        """Run the health command from now on."""
        if self._health_check and self._health_thread.ident is None:  # it has not been started yet
            self._health_thread.start()

    def end(self) -> None:
        """Take a last sample and run the last health check; a second call does nothing."""
        if self._ending.is_set():
            return
        self._ending.set()
        self._samples = self._sampler.stop()
        if self._health_thread.is_alive():
            self._health_thread.join()

    def observations(self) -> dict[str, float]:
        """The system metrics by name."""
        return summarise(self._samples)

    def signals(self) -> dict[str, float]:
        return health_signals(self._samples, self._errors_logged if self._sampler.sees_log else None)

    def blind_spots(self) -> list[str]:
        """What this user cannot observe on this host, one line each."""
        found = []
        if self._sampler.sees_log is False:
            found.append("this user may not read the kernel log: hung tasks and oopses go unnoticed")
        if self._samples and "memory_stalled" not in self._samples[-1].error_counters:
            found.append("the kernel has no pressure stall information (PSI): memory and I/O pressure go unnoticed")
        return found

    def _take(self, sample: Sample) -> None:
        violation = self._limits.violation(sample)
        self.violation = self.violation or violation
        self._errors_logged += sum(level <= _ERROR for level, dummy in sample.log)

    def _check_health(self) -> None:
        last = False
        while self._health_check and not last and not self.violation:
            last = self._ending.is_set()
            try:
                problem = self._health_check()
            except ConnectionLost:
                return  # the benchmark's own command reports the lost connection
            if problem:
                self.violation = self.violation or f"the health command {problem}"
            self._ending.wait(_HEALTH_INTERVAL)


def health_signals(samples: Sequence[Sample], errors_logged: int | None) -> dict[str, float]:
    """What went wrong between the first sample and the last; 0 is healthy, unknown signals are left out.

    | signal | meaning |
    |---|---|
    | memory_pressure, io_pressure | share of the time in which all tasks were stalled (PSI `full`) |
    | steal | share of the CPU time that other virtual machines took; says nothing of the candidate (repetition.py) |
    | retransmits | share of TCP segments that were retransmitted |
    | errors | share of packets that network devices dropped or found damaged |
    | kernel_messages | kernel log messages of level error or worse |
    """
    if len(samples) < 2:
        return {}
    first, last = samples[0], samples[-1]
    span = last.at - first.at
    found = {}
    for name in ("memory", "io"):
        if f"{name}_stalled" in last.error_counters and span > 0:
            found[f"{name}_pressure"] = min(_growth(first, last, f"{name}_stalled") / span, 1.0)
    for name, part, whole in (
        ("steal", "cpu_stolen", "cpu"),
        ("retransmits", "segments_retransmitted", "segments"),
        ("errors", "packets_lost", "packets"),
    ):
        if part in last.error_counters and whole in last.error_counters:
            found[name] = min(_growth(first, last, part) / max(_growth(first, last, whole), 1.0), 1.0)
    if errors_logged is not None:
        found["kernel_messages"] = float(errors_logged)
    return found


def _growth(first: Sample, last: Sample, name: str) -> float:
    final = last.error_counters.get(name, 0.0)
    return max(final - first.error_counters.get(name, final), 0.0)
