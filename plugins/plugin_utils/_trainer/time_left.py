# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How long the rest of a run will take: the trials that are left, at the pace of the hosts that run them.

A trial takes as long as the latest ones of the same benchmark on the same host, whatever their phase, so the estimate
does not change where a phase begins. Only three things differ between phases. In the training, a host also waits for
the learner, and the faster of two hosts runs more trials. In all other phases each host has its share, so the slowest
decides. From the proof on, there may be a pause before each benchmark. Time in which no trial ran, as between a run
and the one that resumes it, does not count, because the durations are those that the workers measured.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from statistics import fmean

from .._pace import RECENT, usual
from .._trial.trial import Phase, State, Trial
from .plan import Step, step_of

_NOT_ITS_OWN = ("connect", "wait", "pause")  # stages of a trial's `seconds` that say nothing about its benchmark
_TRAINING = Step(Phase.TRAIN)  # with its control trials
_PAUSING = (Phase.VERIFY, Phase.ABLATE, Phase.GUARD)


class TimeLeft:
    """Learns from each trial. All times are in seconds."""

    def __init__(self) -> None:
        self._own: dict[tuple[str, str | None], deque[float]] = defaultdict(_latest)  # by host and benchmark
        self._waits: dict[str, deque[float]] = defaultdict(_latest)  # for the learner, by host
        self._done: Counter[tuple[Step, str]] = Counter()
        self._ended: dict[str, datetime] = {}  # when each host ended its last trial, or joined
        self._now = self._step_began = datetime.min.replace(tzinfo=UTC)
        self._step: Step | None = None  # of the latest trial
        self._pause = 0.0

    def join(self, host: str, at: datetime, guard_seconds: Mapping[str, float]) -> None:
        """A host is ready. guard_seconds: how long each guard benchmark took when it was tried, by name."""
        self._ended[host] = at
        for guard, seconds in guard_seconds.items():
            self._own[host, guard].append(seconds)

    def add(self, trial: Trial) -> None:
        """A trial has ended, in this run or in one that it resumes."""
        step = _TRAINING if trial.phase == Phase.CONTROL else step_of(trial)
        if step != self._step:
            self._step, self._step_began = step, self._now
        self._now = self._ended[trial.host] = trial.finished or datetime.now(UTC)
        own = sum(seconds for stage, seconds in trial.seconds.items() if stage not in _NOT_ITS_OWN)
        # A refused candidate takes a blink and a hanging one its timeout: after the training, few are either.
        if own and trial.state != State.FAILED:
            self._own[trial.host, trial.benchmark].append(own)
        # Before its first trial of a run or of the training, a host has also waited for other things than the learner.
        if step == _TRAINING and self._done[step, trial.host] and "connect" not in trial.seconds:
            self._waits[trial.host].append(trial.seconds.get("wait", 0.0))
        self._done[step, trial.host] += 1
        if trial.phase in _PAUSING:
            self._pause = trial.pause

    def seconds(self, hosts: Collection[str], left: Mapping[Step, int]) -> float:
        """Until the run's end, from the end of the latest trial. hosts: those present. left: as `trials_left`.

        0 as long as no trial has told its duration.
        """
        if not hosts or not any(benchmark is None for dummy, benchmark in self._own):
            return 0.0
        counts = dict(left)
        counts[_TRAINING] += counts.pop(Step(Phase.CONTROL))
        return sum(
            self._shared(hosts, count) if step == _TRAINING else self._divided(hosts, step, count)
            for step, count in counts.items()
            if count
        )

    def _shared(self, hosts: Collection[str], count: int) -> float:
        """Of training trials, each run by the host that is idle first."""
        each = {host: self._each(host, None) + self._wait(host) for host in hosts}
        begun = sum(min(self._elapsed(host, _TRAINING) / each[host], 1.0) for host in hosts)
        return max(count - begun, 0.0) / sum(1 / seconds for seconds in each.values())

    def _divided(self, hosts: Collection[str], step: Step, count: int) -> float:
        """Of trials of which each host has to run as many as the others."""
        share = math.ceil((count + sum(self._done[step, host] for host in hosts)) / len(hosts))
        longest = 0.0
        for host in hosts:
            each = self._each(host, step.benchmark) + (self._pause if step.phase in _PAUSING else 0.0)
            longest = max(longest, (share - self._done[step, host]) * each - min(self._elapsed(host, step), each))
        return longest

    def _each(self, host: str, benchmark: str | None) -> float:
        """How long a trial takes, without pause and wait."""
        if known := self._own.get((host, benchmark)):
            return usual(known)
        others = [usual(known) for (dummy, name), known in self._own.items() if name == benchmark]
        if benchmark is None:  # the host's first trial takes at least as long as it has taken so far
            return max(fmean(others), self._elapsed(host, Step(Phase.BASELINE)))
        return fmean(others) if others else self._each(host, None)

    def _wait(self, host: str) -> float:
        return usual(self._waits[host]) if self._waits[host] else 0.0

    def _elapsed(self, host: str, step: Step) -> float:
        """For how long its trial of this step has been running; 0 if the run is not at this step."""
        began = max(self._ended[host], self._step_began)
        return max((self._now - began).total_seconds(), 0.0) if step == self._step else 0.0


def _latest() -> deque[float]:
    return deque(maxlen=RECENT)
