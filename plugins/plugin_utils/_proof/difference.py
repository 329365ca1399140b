# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How the pairs of a proof differ at an interim analysis, and what is harm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from scipy.stats import norm

from .._study.guard_benchmarks import GuardBenchmark
from .._study.sections import GuardMetric
from .._trial.reward import LARGEST_LOG_RATIO, limit, percent
from .bounds import Bounds
from .estimate import by_host, of_host, over_hosts, percents
from .evidence import GuardOutcome, Pair

# One-sided p-value at which a host counts as looking better.
_LOOKS_BETTER = 0.1


class Difference:
    """The log ratios of all objectives, or of one guard metric. limit: the log ratio down to which it is acceptable."""

    def __init__(self, pairs: Sequence[Pair], limit: float = 0.0, guard_metric: str | None = None) -> None:
        self.ratios, self.limit = by_host(pairs, guard_metric), limit
        self.estimate = over_hosts(self.ratios)

    @property
    def z(self) -> float | None:
        return self.estimate.z(self.limit) if self.estimate else None

    def holds(self, bound: float) -> bool:
        return self.z is not None and self.z >= bound

    def is_worse(self, bound: float) -> bool:
        return self.z is not None and self.z <= -bound

    def worse_hosts(self, bound: float) -> list[str]:
        return [host for host in self.ratios if of_host(host, self.ratios).z(self.limit) <= -bound]

    def looks_good_everywhere(self) -> bool:
        return all(of_host(host, self.ratios).z(self.limit) >= norm.isf(_LOOKS_BETTER) for host in self.ratios)


def limit_of(guard: GuardMetric | GuardBenchmark) -> float:
    """The limit as a log ratio; a metric that may fall to 0 has none."""
    change = limit(guard.may_worsen, guard.direction) / 100
    return max(math.log1p(change), -LARGEST_LOG_RATIO) if change > -1 else -LARGEST_LOG_RATIO


def harm_of(
    difference: Difference, guards: Mapping[GuardMetric, Difference], at: Bounds, host_bound: float
) -> str | None:
    """What became significantly worse, if anything did."""
    if worse := difference.worse_hosts(host_bound):
        return f"The candidate is significantly worse on {', '.join(worse)}"
    if difference.estimate and difference.is_worse(at.efficacy):
        return f"The candidate is {-percent(difference.estimate.mean):.1f} % worse than the baseline"
    harms = (guard_harm(guard.metric, guard.may_worsen, found, at, host_bound) for guard, found in guards.items())
    return next(filter(None, harms), None)


def guard_harm(name: str, may_worsen: float, found: Difference, at: Bounds, host_bound: float) -> str | None:
    reason = f"{name} is more than {may_worsen:g} % worse"
    if found.is_worse(at.efficacy):
        return reason
    worse = found.worse_hosts(host_bound)
    return f"{reason} on {', '.join(worse)}" if worse else None


def guard_outcome(guard: GuardMetric, found: Difference, at: Bounds) -> GuardOutcome:
    estimate = found.estimate
    return GuardOutcome(
        **dict(guard),
        change=percent(estimate.mean) if estimate else None,
        interval=percents(estimate.interval(at.efficacy)) if estimate else None,
        holds=found.holds(at.efficacy),
    )
