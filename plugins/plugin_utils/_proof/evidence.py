# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What pairs of measurements say of a difference: an estimate over hosts, how sure it is, and a bootstrap interval.

Hosts are strata, and all have as many pairs unless one gets lost: the difference is the mean over all pairs, how much
it varies is told from each host's own pairs (Welch and Satterthwaite). So many pairs of one host are no evidence about
another, and what hosts differ by is not taken for noise. It is a statement about the hosts of the study, as many as
there are, and not about others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, variance
from typing import Literal

import numpy as np
from scipy import stats

from .._evaluation.reward import percent

# A factor of 150: an interval that reaches further says nothing.
_FURTHEST = 5.0
# How many measurements the other hosts' noise is worth where a host's own is estimated (see of_host).
_BORROWED = 3.0

Ratios = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Pair:
    """The baseline and the candidate, one after the other on the same host.

    ratio: how much better the candidate is, as a log ratio (over all objectives, if the study has several). guards:
    the same of each guard metric that both have printed.
    """

    host: str
    pair: int
    first: Literal["baseline", "candidate"]
    baseline: float
    candidate: float
    ratio: float
    guards: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Estimate:
    """A mean log ratio, its standard error, and the degrees of freedom that this error is known with."""

    mean: float
    error: float
    freedom: float

    def score(self, against: float = 0.0) -> float:
        """How far above `against` it is, as a standard normal score (that of the same p value)."""
        distance = self.mean - against
        if self.error == 0:  # a benchmark without noise
            return math.copysign(math.inf, distance) if distance else 0.0
        tail = float(stats.t.sf(abs(distance) / self.error, self.freedom))
        return math.copysign(float(stats.norm.isf(max(tail, 1e-300))), distance)

    def interval(self, score: float) -> tuple[float, float]:
        """All that `score` would not reject: with a look's boundary, a repeated confidence interval."""
        reach = self.error * float(stats.t.isf(stats.norm.sf(score), self.freedom)) if self.error else 0.0
        return max(self.mean - reach, -_FURTHEST), min(self.mean + reach, _FURTHEST)


def by_host(pairs: Sequence[Pair], guard: str | None = None) -> dict[str, list[float]]:
    """The ratios of each host that has two pairs at least, of the reward metric or of a guard metric."""
    found: dict[str, list[float]] = {}
    for pair in pairs:
        value = pair.ratio if guard is None else pair.guards.get(guard)
        if value is not None:
            found.setdefault(pair.host, []).append(value)
    return {host: values for host, values in sorted(found.items()) if len(values) > 1}


def over_hosts(ratios: Ratios) -> Estimate | None:
    """The mean over the pairs of all hosts; None without any."""
    if not ratios:
        return None
    parts = [(variance(values) * len(values), len(values) - 1) for values in ratios.values()]
    total = sum(part for part, dummy in parts)
    weighted = sum(part**2 / freedom for part, freedom in parts)
    freedom = total**2 / weighted if weighted else float(sum(freedom for dummy, freedom in parts))
    return Estimate(_mean(ratios), math.sqrt(total) / sum(map(len, ratios.values())), freedom)


def of_host(host: str, ratios: Ratios) -> Estimate:
    """One host's own. Its noise is drawn towards that of all, for a few pairs alone tell little of it.

    The other hosts' variance counts as so many measurements more (Smyth's moderated t, SAGMB 3, 2004).
    """
    own = ratios[host]
    others = [(variance(values), len(values) - 1) for name, values in ratios.items() if name != host]
    freedom = sum(freedom for dummy, freedom in others)
    borrowed = min(_BORROWED, freedom)
    common = sum(each * count for each, count in others) / freedom if freedom else 0.0
    known = len(own) - 1 + borrowed
    spread = (borrowed * common + (len(own) - 1) * variance(own)) / known
    return Estimate(fmean(own), math.sqrt(spread / len(own)), known)


def bootstrapped(ratios: Ratios, confidence: float, seed: int) -> tuple[float, float]:
    """The bootstrap interval (BCa) of the mean, drawn from the pairs without what hosts differ by."""
    mean = _mean(ratios)
    # Deviations from a mean of few are too small by this.
    pool = np.array(
        [
            mean + (value - fmean(values)) * math.sqrt(len(values) / (len(values) - 1))
            for values in ratios.values()
            for value in values
        ]
    )
    if np.ptp(pool) < 1e-12:
        return mean, mean
    found = stats.bootstrap((pool,), np.mean, confidence_level=confidence, n_resamples=4999, rng=seed, method="BCa")
    low, high = found.confidence_interval
    return float(low), float(high)


def _mean(ratios: Ratios) -> float:
    return fmean(value for values in ratios.values() for value in values)


def percents(interval: tuple[float, float]) -> tuple[float, float]:
    return percent(interval[0]), percent(interval[1])
