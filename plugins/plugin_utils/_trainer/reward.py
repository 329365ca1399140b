# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""From a measurement to a reward."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Literal

from .._study.study import RewardWeights
from .evaluation import Measurement, Score

# e^2: beyond 7.4 times better or worse than the baseline, more makes no difference to what is learned.
LARGEST_LOG_RATIO = 2.0
# Worse than the worst measurement: a candidate that breaks the workload must never look like a slow one.
FAILURE_REWARD = -LARGEST_LOG_RATIO


def log_ratio(metric: float, baseline: float, direction: Literal["maximise", "minimise"]) -> float:
    """How much better than the baseline, as a natural logarithm: 0 is the same, above 0 better."""
    ratio = math.log(metric / baseline)
    return ratio if direction == "maximise" else -ratio


def stability(streamed: Sequence[float]) -> float | None:
    """1 minus the coefficient of variation within the run, in [0, 1]; None where too little was streamed to tell."""
    if len(streamed) < 3 or fmean(streamed) <= 0:
        return None
    return max(0.0, 1.0 - stdev(streamed) / fmean(streamed))


def score(
    measurement: Measurement, baseline: float, direction: Literal["maximise", "minimise"], weights: RewardWeights
) -> Score:
    """The reward is the weighted mean of performance and stability; unknown stability leaves performance alone."""
    if measurement.metric is None:
        return Score(performance=None, stability=None, reward=FAILURE_REWARD)
    performance = log_ratio(measurement.metric, baseline, direction)
    steady = stability(measurement.streamed)
    bounded = min(max(performance, -LARGEST_LOG_RATIO), LARGEST_LOG_RATIO)
    if steady is None:
        return Score(performance, None, bounded)
    total = weights.performance + weights.stability
    return Score(performance, steady, (weights.performance * bounded + weights.stability * steady) / total)
