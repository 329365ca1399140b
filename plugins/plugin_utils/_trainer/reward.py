# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""From a measurement to a reward."""

from __future__ import annotations

import math
from typing import Literal

from .._study.study import RewardWeights
from .evaluation import Measurement, Score
from .stability import stability, stability_parts

# e^2: beyond 7.4 times better or worse than the baseline, more makes no difference to what is learned.
LARGEST_LOG_RATIO = 2.0
# Worse than the worst measurement: a candidate that breaks the workload must never look like a slow one.
FAILURE_REWARD = -LARGEST_LOG_RATIO


def log_ratio(metric: float, baseline: float, direction: Literal["maximise", "minimise"]) -> float:
    """How much better than the baseline, as a natural logarithm: 0 is the same, above 0 better."""
    ratio = math.log(metric / baseline)
    return ratio if direction == "maximise" else -ratio


def score(
    measurement: Measurement, baseline: float, direction: Literal["maximise", "minimise"], weights: RewardWeights
) -> Score:
    """The reward is the weighted mean of performance and stability; unknown stability leaves performance alone."""
    if measurement.metric is None:
        return Score(performance=None, stability=None, reward=FAILURE_REWARD)
    parts = stability_parts(measurement.streamed, measurement.strain)
    performance = log_ratio(measurement.metric, baseline, direction)
    steady = stability(parts)
    bounded = min(max(performance, -LARGEST_LOG_RATIO), LARGEST_LOG_RATIO)
    if steady is None:
        return Score(performance, None, bounded)
    total = weights.performance + weights.stability
    reward = (weights.performance * bounded + weights.stability * steady) / total
    return Score(performance, steady, reward, parts)
