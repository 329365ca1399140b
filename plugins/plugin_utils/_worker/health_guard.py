# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""An eye on the host while a candidate is on it: past a limit of the study's `guard`, the evaluation is over."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Sequence

from .._study.guard import Guard
from .sampling import Sample, Sampler, summarise
from .transport import Lost, Transport

_WINDOW = 3.0  # seconds, for pressure: a shorter stall is not worth ending an evaluation for
_HEALTH_INTERVAL = 0.5
_KILLED = re.compile(r"Killed process \d+ \((.*?)\)")
_BROKEN = re.compile(
    r"blocked for more than \d+ seconds|\bBUG\b|\bOops\b|general protection fault|unable to handle|kernel panic"
    r"|soft lockup|hard LOCKUP|detected stalls|self-detected stall",
    re.IGNORECASE,
)
_ERROR = 3  # the levels of the kernel log from here down are errors

Health = Callable[[], str | None]


class LimitCheck:
    """Which limit the samples passed, told one after the other; the first one is what the others are compared to."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._first: Sample | None = None
        self._recent: deque[Sample] = deque()
        self._killed: list[str] = []

    def violation(self, sample: Sample) -> str | None:
        """Why the evaluation must end now, in one line, or None."""
        self._first = self._first or sample
        self._recent.append(sample)
        while len(self._recent) > 2 and sample.at - self._recent[1].at >= _WINDOW:
            self._recent.popleft()
        self._killed += [match[1] for dummy, text in sample.log if (match := _KILLED.search(text))]
        return self._memory_ran_out(sample) or self._kernel_says(sample) or self._pressure(sample)

    def _memory_ran_out(self, sample: Sample) -> str | None:
        limit, first = self._guard.oom_kills, self._first or sample
        kills = int(sample.signs.get("oom_kills", 0.0) - first.signs.get("oom_kills", 0.0))
        # A kernel before 4.13 counts none, and a log that is not readable tells none.
        kills = max(kills, len(self._killed))
        if limit is not None and kills > limit:
            whom = f", of {self._killed[-1]}" if self._killed else ""
            return f"{kills} OOM kill{'s' if kills > 1 else ''} on the host{whom} (guard.oom_kills is {limit})"
        used = sample.levels.get("memory_used_percent")
        least = self._guard.free_memory
        if used is not None and least is not None and 100 - used < least:
            return f"{100 - used:.1f} % of the memory was left (guard.free_memory is {least:g} %)"
        return None

    def _kernel_says(self, sample: Sample) -> str | None:
        for dummy, text in sample.log if self._guard.kernel_log else ():
            if _BROKEN.search(text):
                return f"the kernel log says: {text[:160]}"
        return None

    def _pressure(self, sample: Sample) -> str | None:
        oldest = self._recent[0]
        for name, limit in (("memory", self._guard.memory_pressure), ("io", self._guard.io_pressure)):
            stalled = _growth(oldest, sample, f"{name}_stalled")
            share = 100 * stalled / max(sample.at - oldest.at, _WINDOW)
            if limit is not None and share > limit:
                return (
                    f"no task got on for want of {name} in {min(share, 100):.0f} % of {_WINDOW:g} s "
                    f"(guard.{name}_pressure is {limit:g} %)"
                )
        return None


class HealthMonitor:
    """An eye on a host for one evaluation, from its creation until end().

    health: says what is wrong with the host's work, or None, as the user's command sees it; may take a while, and
    raise Lost. The reason for which the evaluation must end is in `reason`, set at most a second after its cause.
    """

    def __init__(self, guard: Guard, transport: Transport, health: Health | None = None) -> None:
        self.reason: str | None = None
        self._check, self._health = LimitCheck(guard), health
        self._ending = threading.Event()
        self._nurse = threading.Thread(target=self._see_to_health, daemon=True)
        self._messages = 0
        self._samples: list[Sample] = []
        self._sampler = Sampler(transport, self._take)

    def begin(self) -> None:
        """The benchmark starts now: what observations() and strain() tell is about the time from here to end()."""
        self._sampler.mark()
        self._messages = 0
        if self._health:
            self._nurse.start()

    def must_end(self) -> bool:
        return self.reason is not None

    def end(self) -> None:
        """Look a last time, for what happened just now; a second call does nothing."""
        if self._ending.is_set():
            return
        self._ending.set()
        self._samples = self._sampler.stop()
        if self._nurse.is_alive():
            self._nurse.join()

    def observations(self) -> dict[str, float]:
        """The system metrics, by name."""
        return summarise(self._samples)

    def signals(self) -> dict[str, float]:
        """What the run cost the host, 0 being nothing; what could not be seen is left out (see `strain`)."""
        return health_signals(self._samples, self._messages if self._sampler.sees_log else None)

    def blind_spots(self) -> list[str]:
        """What this user cannot see on this host."""
        spots = []
        if self._sampler.sees_log is False:
            spots.append("the kernel log cannot be read by this user: hung tasks and oopses go unseen")
        if self._samples and "memory_stalled" not in self._samples[-1].signs:
            spots.append("its kernel does not tell pressure (PSI): memory and IO pressure go unseen")
        return spots

    def _take(self, sample: Sample) -> None:
        reason = self._check.violation(sample)
        self.reason = self.reason or reason
        self._messages += sum(level <= _ERROR for level, dummy in sample.log)

    def _see_to_health(self) -> None:
        last = False
        while not last and not self.reason:
            last = self._ending.is_set()
            try:
                problem = self._health() if self._health else None
            except Lost:
                return  # the benchmark is cut off too, and says so
            if problem:
                self.reason = self.reason or f"the health command {problem}"
                return
            self._ending.wait(_HEALTH_INTERVAL)


def health_signals(samples: Sequence[Sample], messages: int | None) -> dict[str, float]:
    """What went wrong between the first and the last sample, 0 being nothing; without what is not known.

    | name | what |
    |---|---|
    | memory_pressure, io_pressure | share of the time in which no task got on for want of memory, or of a disk |
    | retransmits | share of all TCP segments that had to be sent again |
    | errors | share of all packets that network devices lost or found damaged |
    | kernel_messages | messages of level error or worse in the kernel log |
    """
    if len(samples) < 2:
        return {}
    first, last = samples[0], samples[-1]
    span = last.at - first.at
    found = {}
    for name in ("memory", "io"):
        if f"{name}_stalled" in last.signs and span > 0:
            found[f"{name}_pressure"] = min(_growth(first, last, f"{name}_stalled") / span, 1.0)
    for name, part, whole in (("retransmits", "segments_again", "segments"), ("errors", "packets_lost", "packets")):
        if part in last.signs and whole in last.signs:
            found[name] = min(_growth(first, last, part) / max(_growth(first, last, whole), 1.0), 1.0)
    if messages is not None:
        found["kernel_messages"] = float(messages)
    return found


def _growth(first: Sample, last: Sample, sign: str) -> float:
    return max(last.signs.get(sign, 0.0) - first.signs.get(sign, last.signs.get(sign, 0.0)), 0.0)
