# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The pairs of a proof: how many each host is to measure and in which order, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from .._evaluation.evaluation import Evaluation, Measurement
from .._evaluation.reward import LARGEST_LOG_RATIO, figure, log_ratio
from .._study.space import Value
from .._study.study import Study
from .._study.verification import GuardMetric
from .evidence import Pair


def orders(hosts: Sequence[str], most: int, seed: int) -> dict[str, list[bool]]:
    """For every pair of every host, whether the baseline comes first."""
    generator = np.random.default_rng(seed)
    drawn = {host: generator.random(-(-most // 2)) < 0.5 for host in hosts}
    return {host: [bool(first) for draw in draws for first in (draw, not draw)] for host, draws in drawn.items()}


def still_to_begin(wanted: int, present: Sequence[str], begun: Mapping[str, int], pairs: Sequence[Pair]) -> int:
    """How many each of the hosts that are left begins until there are so many in all."""
    done = sum(begun[host] for host in present) + sum(pair.host not in present for pair in pairs)
    return max(-(-(wanted - done) // len(present)), 0)


def in_order(baseline_first: bool, values: Mapping[str, Value]) -> tuple[Mapping[str, Value] | None, ...]:
    return (None, values) if baseline_first else (values, None)


def pairs_of(study: Study, evaluations: Sequence[Evaluation]) -> list[Pair]:
    """The pairs of which both sides succeeded."""
    pairs = []
    for one, other in zip(evaluations[::2], evaluations[1::2], strict=True):
        first: Literal["baseline", "candidate"] = "baseline" if one.job.values is None else "candidate"
        own, tuned = (one, other) if first == "baseline" else (other, one)
        before, after = figure(study, own.measurement), figure(study, tuned.measurement)
        if before is None or after is None or own.measurement.metric is None or tuned.measurement.metric is None:
            continue
        guards = {
            guard.metric: ratio
            for guard in study.guard_metrics
            if (ratio := _guard_ratio(guard, own.measurement, tuned.measurement)) is not None
        }
        metrics = own.measurement.metric, tuned.measurement.metric
        pairs.append(Pair(one.host, one.job.pair or 0, first, *metrics, after - before, guards))
    return pairs


def _guard_ratio(guard: GuardMetric, own: Measurement, tuned: Measurement) -> float | None:
    """As a log ratio; a metric may be 0, as a number of errors is when all is well."""
    before, after = own.metrics.get(guard.metric), tuned.metrics.get(guard.metric)
    if before is None or after is None or before < 0 or after < 0:
        return None
    if before > 0 and after > 0:
        return log_ratio(after, before, guard.direction)
    better = (after > before) == (guard.direction == "maximise")
    return 0.0 if before == after else LARGEST_LOG_RATIO if better else -LARGEST_LOG_RATIO
