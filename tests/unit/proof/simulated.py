"""Simulated hosts: they measure jobs as the fleet does, with a known result."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from ansible_collections.autotune.kernel.plugins.plugin_utils._evaluation.evaluation import (
    Evaluation,
    Job,
    Measurement,
    Score,
)

Effect = Callable[[Mapping[str, object], str], float | None]


class Hosts:
    """`effect` of values on a host is the log ratio to its baseline, None if they fail; {} are the original values.

    drift: whether levels wander, rise and swing, and the noise changes with host and time and has heavy tails.
    lost: after how many jobs a host is lost. guard: the effect on the metric p99_ms, which is to be minimised.
    """

    def __init__(
        self,
        effect: Effect,
        *,
        noise: float = 0.0,
        drift: bool = False,
        seed: int = 0,
        lost: Mapping[str, int] | None = None,
        guard: Effect | None = None,
    ) -> None:
        self.jobs: list[Job] = []
        self._effect, self._guard, self._noise, self._drift = effect, guard, noise, drift
        self._generator = np.random.default_rng([seed, 99])  # not what the proof draws
        self._lost = dict(lost or {})
        self._times: Counter[str] = Counter()
        self._walks: dict[str, float] = {}
        self._habits: dict[str, tuple[float, float, float]] = {}

    def measure(self, jobs: Sequence[Job]) -> list[Evaluation]:
        self.jobs += jobs
        return [self._evaluation(job) for job in jobs]

    def _evaluation(self, job: Job) -> Evaluation:
        host = job.host or "h1"
        if self._times[host] >= self._lost.get(host, 10**9):
            return Evaluation(0, job, host, Measurement(error="the host is gone"), Score(None, None, 0.0))
        effect = self._effect(job.values or {}, host)
        level, error = self._level(host), self._error(host)
        self._times[host] += 1
        if effect is None:
            return Evaluation(len(self.jobs), job, host, Measurement(error="it broke"), Score(None, None, 0.0))
        metrics = {}
        if self._guard:
            guarded = self._guard(job.values or {}, host)
            metrics["p99_ms"] = 10 * math.exp(-(guarded or 0.0) + self._noise * self._generator.standard_normal())
        performance = effect + level + error
        measurement = Measurement(metric=100 * math.exp(performance), metrics=metrics)
        return Evaluation(len(self.jobs), job, host, measurement, Score(performance, None, performance))

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
