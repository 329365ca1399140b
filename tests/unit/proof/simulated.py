"""Simulated hosts: they run trials as the fleet does, with a known result."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Score, State, Trial

Effect = Callable[[Mapping[str, object], str], float | None]


class Hosts:
    """`effect` of values on a host is the log ratio to its baseline, None if they fail; {} are the original values.

    drift: whether levels wander, rise and swing, and the noise changes with host and time and has heavy tails.
    lost: after how many trials a host is lost. leftover: the log ratio by which a run of the candidate slows the next
    one on its host, unless that comes after a pause; lasting: even then. guard: the effect on the metric p99_ms, which
    is to be minimised. benchmarks: the effect on each guard benchmark, by its name.
    """

    def __init__(
        self,
        effect: Effect,
        *,
        noise: float = 0.0,
        drift: bool = False,
        seed: int = 0,
        lost: Mapping[str, int] | None = None,
        leftover: float = 0.0,
        lasting: bool = False,
        guard: Effect | None = None,
        benchmarks: Mapping[str, Effect] | None = None,
    ) -> None:
        self.trials: list[Trial] = []
        self._effect, self._guard, self._noise, self._drift = effect, guard, noise, drift
        self._generator = np.random.default_rng([seed, 99])  # not what the proof draws
        self._lost, self._benchmarks = dict(lost or {}), benchmarks or {}
        self._leftover, self._lasting = leftover, lasting
        self._ran: dict[str, Trial] = {}
        self._times: Counter[str] = Counter()
        self._walks: dict[str, float] = {}
        self._habits: dict[str, tuple[float, float, float]] = {}

    def measure(self, trials: Sequence[Trial]) -> list[Trial]:
        self.trials += trials
        return [self._run(pending) for pending in trials]

    def _run(self, pending: Trial) -> Trial:
        host = pending.host or "h1"
        if self._times[host] >= self._lost.get(host, 10**9):
            return pending.lose(host, "the host is gone")
        trial = replace(pending, host=host, id=len(self.trials))
        benchmark = self._benchmarks[pending.benchmark] if pending.benchmark else self._effect
        effect = benchmark(pending.requested, host)
        level, error = self._level(host), self._error(host)
        self._times[host] += 1
        if effect is None:
            return trial.fail("it broke")
        metrics = {}
        if self._guard:
            guarded = self._guard(pending.requested, host)
            metrics["p99_ms"] = 10 * math.exp(-(guarded or 0.0) + self._noise * self._generator.standard_normal())
        before = self._ran.get(host)
        is_slowed = before and not before.original and (self._lasting or not pending.pause)
        performance = effect + level + error - (self._leftover if is_slowed else 0.0)
        self._ran[host] = pending
        score = Score(performance, None, performance)
        return replace(
            trial,
            state=State.COMPLETE,
            metric=100 * math.exp(performance),
            metrics=metrics,
            seconds={"benchmark": 10.0, "pause": pending.pause},
            score=score,
        )

    def _level(self, host: str) -> float:
        if not self._drift:
            return 0.0
        draw = self._generator
        trend, period, dummy = self._habits.setdefault(
            host, (draw.normal(0, 0.15), draw.uniform(2, 40), math.exp(draw.normal(0, 0.5)))
        )
        self._walks[host] = self._walks.get(host, 0.0) + draw.normal(0, 0.3) + trend
        return self._noise * (self._walks[host] + 2 * math.sin(2 * math.pi * self._times[host] / period))

    def _error(self, host: str) -> float:
        if not self._drift:
            return self._noise * float(self._generator.standard_normal())
        scale = self._habits[host][2] * (1 + 0.8 * math.sin(self._times[host] / 7))
        return self._noise * scale * float(self._generator.standard_t(4)) / math.sqrt(2)
