"""Simulated runs: when which trial ends, so that an estimate of the time left can be compared with the truth."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.plan import Step, trials_left
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.time_left import TimeLeft
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Trial

START = datetime(2026, 1, 1, tzinfo=UTC)
_FROM_THE_PROOF_ON = (Phase.VERIFY, Phase.ABLATE, Phase.GUARD)


@dataclass(frozen=True)
class Run:
    """A run that needs all trials of its plan. All times in seconds.

    hosts: how many times as long as on the fastest a trial takes on each. own: how long a trial of a step takes there,
    without pause; noise: relative, of that. wait: for the learner, before the training trial of this number, from 0.
    pause: before each benchmark from the proof on. slow: how much longer the trials of these numbers take.
    seed: of the noise.
    """

    study: Study
    hosts: Mapping[str, float] = field(default_factory=lambda: {"h1": 1.0})
    own: Callable[[Step], float] = lambda step: 5.0
    noise: float = 0.1
    wait: Callable[[int], float] = lambda number: 0.0
    pause: float = 0.0
    slow: Mapping[int, float] = field(default_factory=dict)
    seed: int = 1

    def trials(self) -> list[Trial]:
        """In the order in which they end."""
        found = sorted(_Clock(self).trials(), key=_end)
        return [replace(trial, id=number) for number, trial in enumerate(found, 1)]


@dataclass(frozen=True)
class Said:
    """The time left after a trial, in seconds: as it was estimated, and as it was in fact. at: since the start."""

    number: int
    phase: Phase
    left: float
    true: float
    at: float

    @property
    def error(self) -> float:
        return abs(self.left - self.true)


def said(run: Run, trials: Sequence[Trial], replayed: int = 0) -> list[Said]:
    """What is said after each trial but the first ones, which an earlier run has ended."""
    estimate = TimeLeft()
    for trial in trials[:replayed]:
        estimate.add(trial)
    for host, factor in run.hosts.items():
        guards = {guard.name: factor * run.own(Step(Phase.GUARD, guard.name)) for guard in run.study.guard_benchmarks}
        estimate.join(host, _end(trials[replayed - 1]) if replayed else START, guards)
    found = []
    for number, trial in enumerate(trials[replayed:], replayed + 1):
        estimate.add(trial)
        left = trials_left(run.study, trials[:number], run.hosts, _finished(trial.phase))
        true = (_end(trials[-1]) - _end(trial)).total_seconds()
        at = (_end(trial) - START).total_seconds()
        found.append(Said(number, trial.phase, estimate.seconds(run.hosts, left), true, at))
    return found


def _finished(phase: Phase) -> set[Phase]:
    """As RunHistory.enter has it."""
    phases = tuple(Phase)
    is_training = phase in (Phase.CONTROL, Phase.TRAIN)
    return {Phase.BASELINE} if is_training else set(phases[: phases.index(phase)])


def _end(trial: Trial) -> datetime:
    assert trial.finished
    return trial.finished


class _Clock:
    """When each host is idle again, in seconds since the start."""

    def __init__(self, run: Run) -> None:
        self._run, self._random, self._count = run, random.Random(run.seed), 0
        self._idle, self._ended = dict.fromkeys(run.hosts, 0.0), dict.fromkeys(run.hosts, 0.0)

    def trials(self) -> Iterator[Trial]:
        hosts = list(self._run.hosts)
        for step, count in trials_left(self._run.study, (), hosts, ()).items():
            if step.phase == Phase.TRAIN:
                yield from self._training(count)
            elif step.phase != Phase.CONTROL:
                # Two trials of a pair, or three of the candidates of the race; then all hosts wait for the decision.
                batch = len(hosts) * (2 if step.phase in _FROM_THE_PROOF_ON else 3)
                for number in range(count):
                    if number % batch == 0:
                        self._barrier()
                    yield self._trial(step, hosts[number % len(hosts)])
            self._barrier()

    def _barrier(self) -> None:
        self._idle = dict.fromkeys(self._idle, max(self._idle.values()))

    def _training(self, count: int) -> Iterator[Trial]:
        since_control: Counter[str] = Counter()
        number = 0
        while number < count:
            host = min(self._idle, key=lambda name: self._idle[name])
            if since_control[host] == self._run.study.control_interval:
                since_control[host] = 0
                yield self._trial(Step(Phase.CONTROL), host)
                continue
            since_control[host] += 1
            self._idle[host] += self._run.wait(number)
            number += 1
            yield self._trial(Step(Phase.TRAIN), host)

    def _trial(self, step: Step, host: str) -> Trial:
        run, began = self._run, self._idle[host]
        self._count += 1
        own = run.own(step) * run.hosts[host] * self._random.lognormvariate(0.0, run.noise)
        own += run.slow.get(self._count, 0.0)
        pause = run.pause if step.phase in _FROM_THE_PROOF_ON else 0.0
        seconds = {"apply": own * 0.1, "benchmark": own * 0.9, "wait": began - self._ended[host], "pause": pause}
        if not self._ended[host]:
            seconds["connect"] = 100.0  # before the run
        self._idle[host] = self._ended[host] = began + own + pause
        finished = START + timedelta(seconds=self._ended[host])
        return Trial(step.phase, host=host, benchmark=step.benchmark, pause=pause, seconds=seconds, finished=finished)
