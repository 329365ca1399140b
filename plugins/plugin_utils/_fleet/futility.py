# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""When a benchmark that streams its metric may be ended, because its candidate will not matter.

What a run prints on its way is no sample of independent values: they hang together, and the first ones, of caches
that are cold and connections that start slowly, are unlike the rest. So nothing is assumed of them. How far the metric
of a whole run is from the mean of its first values is learned from the runs that went on to their end, each of which
is one observation, and the prediction interval of the next one decides:

    log(metric / mean of the first k values) ~ Student's t,   from at least 8 whole runs

A candidate matters if it could be among those that race: if it is as good as the last of these, less twice the noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median, stdev
from typing import Any

from scipy import stats

from .._evaluation.evaluation import Evaluation, Job, Measurement
from .._study.study import Study
from .host import Host

_ERROR = 0.01  # the chance to end a run that would have reached what is needed
_LEAST_RUNS = 8
_LATEST_RUNS = 200
_LEAST_VALUES = 3
_LEAST_SECONDS = 2.0
_MOST_LOOKS = 8
_MARGIN = 2.0  # of the noise's standard deviation


@dataclass(frozen=True)
class Look:
    """After `count` values: the logarithm of metric over mean, its standard deviation, and how far it may go."""

    count: int
    ratio: float
    spread: float
    lowest: float
    highest: float


class Futility:
    """Learns from whole runs how their first values foretell their metric. seen: those of an earlier run."""

    def __init__(self, study: Study, seen: Iterable[Evaluation] = ()) -> None:
        self._study = study
        self._applies = study.streams and study.early_stopping.evaluation and not study.objectives
        self._runs: list[tuple[Sequence[float], float]] = []
        self._seconds: list[float] = []
        self._trained: list[Evaluation] = []
        self._looks: list[Look] | None = None
        for evaluation in seen:
            self.see(evaluation)

    def see(self, evaluation: Evaluation) -> Evaluation:
        """Learn from an evaluation; returns it with the noise that comes from having been ended early."""
        if evaluation.job.phase == "train":
            self._trained.append(evaluation)
        if evaluation.measurement.ended_early:
            spread = self._spread(len(evaluation.measurement.streamed))
            score = evaluation.score
            noise = math.hypot(score.noise or 0.0, spread)
            uncertainty = math.hypot(score.uncertainty, self._study.reward.performance_share * spread)
            return replace(evaluation, score=replace(score, noise=noise, uncertainty=uncertainty))
        self._learn(evaluation.measurement)
        return evaluation

    def _learn(self, measurement: Measurement) -> None:
        metric, streamed = measurement.metric, measurement.streamed
        if metric is None or len(streamed) < _LEAST_VALUES:
            return
        self._runs = [*self._runs, (streamed, metric)][-_LATEST_RUNS:]
        self._seconds = [*self._seconds, measurement.seconds.get("benchmark", 0.0)][-_LATEST_RUNS:]
        self._looks = None

    def bound(self, host: Host, job: Job) -> dict[str, Any] | None:
        """What the job must reach on this host to matter (see _worker/bound.py); None where that is not to be asked."""
        if not self._applies or job.phase != "train" or not self.looks:
            return None
        performance = needed_performance(self._trained, self._study.verification.candidates)
        if performance is None:
            return None
        needed = host.metric_at(self._study, host.drift.now(host.done).level + performance)
        upwards = self._study.direction == "maximise"
        return {
            "worse": "below" if upwards else "above",
            "needed": needed,
            "looks": [
                [look.count, needed * math.exp(-(look.highest if upwards else look.lowest)), math.exp(look.ratio)]
                for look in self.looks
            ],
        }

    def _spread(self, count: int) -> float:
        """How uncertain a metric is that was told from so many values, as a standard deviation of its logarithm."""
        return max((look.spread for look in self.looks if look.count >= count), default=0.0)

    @property
    def looks(self) -> list[Look]:
        if self._looks is None:
            counts = self._counts()
            found = (self._look(count, _ERROR / len(counts)) for count in counts)
            self._looks = [look for look in found if look]
        return self._looks

    def _counts(self) -> list[int]:
        """When to look: after two seconds at least, then ever more seldom, and not when the run is over anyway."""
        if len(self._runs) < _LEAST_RUNS:
            return []
        whole = int(median(len(streamed) for streamed, dummy in self._runs))
        pace = whole / max(median(self._seconds), 1e-9)
        first = max(_LEAST_VALUES, math.ceil(_LEAST_SECONDS * pace))
        last = whole - 1
        if first > last:
            return []
        steps = [first * (last / first) ** (at / (_MOST_LOOKS - 1)) for at in range(_MOST_LOOKS)]
        return sorted({round(step) for step in steps})

    def _look(self, count: int, error: float) -> Look | None:
        means = [(fmean(streamed[:count]), metric) for streamed, metric in self._runs if len(streamed) >= count]
        ratios = [math.log(metric / mean) for mean, metric in means if mean > 0]
        if len(ratios) < _LEAST_RUNS:
            return None
        centre, spread = fmean(ratios), stdev(ratios)
        reach = float(stats.t.isf(error, len(ratios) - 1)) * spread * math.sqrt(1 + 1 / len(ratios))
        # Not all is normal: nothing that was seen already is thought impossible.
        return Look(count, centre, spread, min(centre - reach, *ratios) - spread, max(centre + reach, *ratios) + spread)


def needed_performance(trained: Sequence[Evaluation], racing: int) -> float | None:
    """What a candidate must reach to be among the `racing` best ones; None until there are so many.

    Each counts as the mean of its evaluations, so that one lucky one does not raise the bar.
    """
    found: dict[str, list[float]] = {}
    for evaluation in trained:
        if evaluation.score.performance is not None and not evaluation.measurement.ended_early:
            found.setdefault(str(evaluation.job.values), []).append(evaluation.score.performance)
    means = sorted((fmean(performances) for performances in found.values()), reverse=True)
    if len(means) < max(racing, 3):
        return None
    noise = median(e.score.noise or 0.0 for e in trained)
    return means[racing - 1] - _MARGIN * noise


def saved_seconds(evaluations: Sequence[Evaluation]) -> float:
    """How much longer the benchmarks that were ended early would have run, going by the others on their host."""
    saved = 0.0
    for host in {evaluation.host for evaluation in evaluations}:
        own = [e.measurement for e in evaluations if e.host == host and "benchmark" in e.measurement.seconds]
        whole = [m.seconds["benchmark"] for m in own if not m.ended_early and not m.error]
        saved += sum(max(median(whole) - m.seconds["benchmark"], 0.0) for m in own if m.ended_early and whole)
    return saved
