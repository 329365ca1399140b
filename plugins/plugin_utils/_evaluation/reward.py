# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""From a measurement to a reward."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

from .._study.sections import RewardWeights
from .._study.study import Study
from .evaluation import Measurement, Score
from .stability import stability, stability_parts, supposed

# e^2: beyond 7.4 times better or worse than the baseline, more makes no difference to what is learned.
LARGEST_LOG_RATIO = 2.0
# A number beyond e^700 is none that a machine, or JSON, has.
_LARGEST_SHOWN = 700.0
# Worse than the worst measurement: a candidate that breaks the workload must never look like a slow one.
FAILURE_REWARD = -LARGEST_LOG_RATIO
NOTHING_KNOWN: Mapping[str, float] = MappingProxyType({})


def log_ratio(metric: float, baseline: float, direction: Literal["maximise", "minimise"]) -> float:
    """How much better than the baseline, as a natural logarithm: 0 is the same, above 0 better."""
    ratio = math.log(metric / baseline)
    return ratio if direction == "maximise" else -ratio


def percent(ratio: float) -> float:
    """A log ratio as a change in per cent; finite, whatever a benchmark prints."""
    return math.expm1(min(ratio, _LARGEST_SHOWN)) * 100


def figure(study: Study, measurement: Measurement) -> float | None:
    """All that the study wants of a measurement in one number, better when larger; None of one that failed.

    The weighted mean of the metrics' logarithms, signed by their directions: the difference of two figures is the
    weighted mean of the log ratios, and without objectives just the log ratio of the metric.
    """
    if measurement.metric is None:
        return None
    total, weights = log_ratio(measurement.metric, 1.0, study.direction), 1.0
    for objective in study.objectives:
        total += objective.weight * log_ratio(measurement.metrics[objective.metric], 1.0, objective.direction)
        weights += objective.weight
    return total / weights


def with_all_objectives(study: Study, measurement: Measurement) -> Measurement:
    """The measurement, or a failed one where no figure can be formed of what was printed, or a guard metric lacks."""
    for objective in study.objectives if measurement.metric is not None else ():
        value = measurement.metrics.get(objective.metric)
        if value is None:
            error = f"the benchmark printed no line `{objective.metric}: NUMBER`, which the study's objectives name"
            return replace(measurement, metric=None, error=error)
        if not value > 0:
            error = f"the metric {objective.metric} is {value:g}; it must be above 0"
            return replace(measurement, metric=None, error=error)
    # What was ended early may not have come to them; nothing is proved by it.
    for guard in study.guard_metrics if measurement.metric is not None and not measurement.ended_early else ():
        value = measurement.metrics.get(guard.metric)
        if value is None or value < 0:
            wrong = "printed no line" if value is None else f"printed {value:g}, below 0, in the line"
            error = f"the benchmark {wrong} `{guard.metric}: NUMBER`, which the study's guard_metrics name"
            return replace(measurement, metric=None, error=error)
    return measurement


def score(
    measurement: Measurement, baseline: float, direction: Literal["maximise", "minimise"], weights: RewardWeights
) -> Score:
    """Of a measurement with one metric, against a baseline in the same unit."""
    metric = measurement.metric
    return reward(measurement, None if metric is None else log_ratio(metric, baseline, direction), weights)


def reward(
    measurement: Measurement,
    performance: float | None,
    weights: RewardWeights,
    usual: Mapping[str, float] = NOTHING_KNOWN,
) -> Score:
    """The reward is the weighted mean of performance and stability.

    performance: how much the figure is above that of the host's baseline; None of an evaluation that failed. usual: the
    parts of the stability as they mostly are on the host (see stability.py), for those that were not seen.
    """
    if performance is None:
        return Score(performance=None, stability=None, reward=FAILURE_REWARD)
    parts = stability_parts(measurement.streamed, measurement.strain)
    bounded = min(max(performance, -LARGEST_LOG_RATIO), LARGEST_LOG_RATIO)
    total = weights.performance + weights.stability
    mean = (weights.performance * bounded + weights.stability * supposed(parts, usual)) / total
    return Score(performance, stability(parts), mean, parts)
