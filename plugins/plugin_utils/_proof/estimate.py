# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Estimates of a difference from the log ratios of pairs, with hosts as strata.

The estimate is the mean over all pairs. Its standard error comes from the variance within hosts (Welch-Satterthwaite),
so differences between hosts do not count as noise, and many pairs of one host do not stand in for another. It is a
statement about the hosts of the study, not about a population of hosts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from scipy import special, stats

from .._trial.reward import percent
from .evidence import Interval, Pair

# Intervals end at a factor of 150; beyond that they carry no information.
_INTERVAL_LIMIT = 5.0
# Prior degrees of freedom that a host's own variance borrows from the other hosts.
_PRIOR_FREEDOM = 3.0

Ratios = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Estimate:
    """A mean log ratio, its standard error, and the degrees of freedom of that error."""

    mean: float
    error: float
    freedom: float

    def z(self, null: float = 0.0) -> float:
        """The t statistic against `null`, as the standard normal deviate with the same p-value."""
        distance = self.mean - null
        if self.error == 0:  # a benchmark without noise
            return math.copysign(math.inf, distance) if distance else 0.0
        # Not with scipy.stats: a proof asks often, and its checks of the arguments would take most of the time.
        tail = float(special.stdtr(self.freedom, -abs(distance) / self.error))
        return math.copysign(float(-special.ndtri(max(tail, 1e-300))), distance)

    def interval(self, z: float) -> Interval:
        """All means that a critical value of `z` does not reject."""
        half_width = self.error * float(-special.stdtrit(self.freedom, special.ndtr(-z))) if self.error else 0.0
        low, high = min(self.mean, -_INTERVAL_LIMIT), max(self.mean, _INTERVAL_LIMIT)
        return max(self.mean - half_width, low), min(self.mean + half_width, high)


def by_host(pairs: Sequence[Pair], guard: str | None = None) -> dict[str, list[float]]:
    """The log ratios, over all objectives or of a guard metric, of each host with at least two pairs."""
    found: dict[str, list[float]] = {}
    for pair in pairs:
        value = pair.log_ratio if guard is None else pair.guards.get(guard)
        if value is not None:
            found.setdefault(pair.host, []).append(value)
    return {host: values for host, values in sorted(found.items()) if len(values) > 1}


def pooled_variance(groups: Iterable[Sequence[float]]) -> tuple[float, int]:
    """The variance within groups and its degrees of freedom; (0, 0) if no group has two values."""
    known = [(_variance(group), len(group) - 1) for group in groups if len(group) > 1]
    freedom = sum(count for dummy, count in known)
    return (sum(each * count for each, count in known) / freedom if freedom else 0.0), freedom


def over_hosts(ratios: Ratios) -> Estimate | None:
    """The estimate over all hosts; None if there are none."""
    if not ratios:
        return None
    parts = [(_variance(values) * len(values), len(values) - 1) for values in ratios.values()]
    total = sum(part for part, dummy in parts)
    weighted = sum(part**2 / freedom for part, freedom in parts)
    freedom = total**2 / weighted if weighted else float(sum(freedom for dummy, freedom in parts))
    return Estimate(_mean(ratios), math.sqrt(total) / sum(map(len, ratios.values())), freedom)


def of_host(host: str, ratios: Ratios) -> Estimate:
    """The estimate for one host; its variance is moderated by that of the others (Smyth, SAGMB 3, 2004).

    It borrows from them as far as an F test finds it no larger than theirs: that of a noisy host would be
    underestimated.
    """
    own, variance = ratios[host], _variance(ratios[host])
    common, freedom = pooled_variance(values for name, values in ratios.items() if name != host)
    prior = min(_PRIOR_FREEDOM, freedom)
    if variance > common:
        tail = float(special.fdtrc(len(own) - 1, freedom, variance / common)) if common and freedom else 0.0
        prior *= min(2 * tail, 1.0)
    total = len(own) - 1 + prior
    moderated = (prior * common + (len(own) - 1) * variance) / total
    return Estimate(fmean(own), math.sqrt(moderated / len(own)), total)


def bootstrap_interval(ratios: Ratios, confidence: float, seed: int) -> Interval:
    """The BCa bootstrap interval of the mean, after removing the differences between hosts."""
    mean = _mean(ratios)
    # Deviations from the mean of a small group underestimate the spread by this factor.
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


def _variance(values: Sequence[float]) -> float:
    """0 only without noise. statistics.variance, with its exact fractions, takes thirty times as long."""
    mean = fmean(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1) if min(values) < max(values) else 0.0


def _mean(ratios: Ratios) -> float:
    return fmean(value for values in ratios.values() for value in values)


def percents(interval: Interval) -> Interval:
    return percent(interval[0]), percent(interval[1])
