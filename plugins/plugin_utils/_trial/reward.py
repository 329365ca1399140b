# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How good a trial was: performance against the host's baseline, stability, and the reward made of both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from .._study.sections import RewardWeights
from .._study.study import Study
from .stability import stability, stability_parts
from .trial import Score, State, Trial

# e^2: the reward is capped at 7.4 times better or worse than the baseline.
LARGEST_LOG_RATIO = 2.0
_LARGEST_EXPONENT = 700.0  # math.exp overflows a little above
# As bad as the worst metric: a candidate that breaks the workload must never look better than a slow one.
FAILURE_REWARD = -LARGEST_LOG_RATIO


def log_ratio(metric: float, baseline: float, direction: Literal["maximise", "minimise"]) -> float:
    """Natural logarithm of metric over baseline, signed so that positive is better."""
    ratio = math.log(metric) - math.log(baseline)  # their ratio may be 0 or infinite
    return ratio if direction == "maximise" else -ratio


def percent(ratio: float) -> float:
    """A log ratio as a change in per cent; always finite."""
    return math.expm1(min(ratio, _LARGEST_EXPONENT)) * 100


def limit(may_worsen: float, direction: str) -> float:
    """The change in per cent, positive if better, at which a metric is worse by `may_worsen` per cent of its value.

    A latency that may rise by 50 % may change by -33 %, as twice the latency is a change of -50 %.
    """
    return -100 * may_worsen / (100 + may_worsen) if direction == "minimise" else -may_worsen


def objective(study: Study, trial: Trial) -> float | None:
    """The objectives of what was run as one number, better when larger; None if the trial failed.

    The weighted mean of the metrics' logarithms, signed by their directions: the difference of two is the weighted mean
    of the log ratios.
    """
    if trial.metric is None:
        return None
    workload = study.workload(trial.benchmark)
    total, weights = log_ratio(trial.metric, 1.0, workload.direction), 1.0
    for each in workload.objectives:
        total += each.weight * log_ratio(trial.metrics[each.metric], 1.0, each.direction)
        weights += each.weight
    return total / weights


def checked(study: Study, trial: Trial) -> Trial:
    """The trial, failed if the benchmark did not print what the study needs in order to compare it."""
    if trial.state != State.COMPLETE:
        return trial
    workload = study.workload(trial.benchmark)
    metric = trial.metric or 0.0
    if not (math.isfinite(metric) and metric > 0):
        return trial.fail(f"the metric {workload.reward_metric} is {metric:g}; it must be above 0")
    for each in workload.objectives:
        value = trial.metrics.get(each.metric)
        if value is None:
            return trial.fail(f"the benchmark printed no line `{each.metric}: NUMBER`, required by objectives")
        if not value > 0:
            return trial.fail(f"the metric {each.metric} is {value:g}; it must be above 0")
    for guard in workload.guard_metrics:
        value = trial.metrics.get(guard.metric)
        if value is None:
            return trial.fail(f"the benchmark printed no line `{guard.metric}: NUMBER`, required by guard_metrics")
        if value < 0:
            return trial.fail(f"the guard metric {guard.metric} is {value:g}; it must not be below 0")
    return trial


def score(
    trial: Trial,
    performance: float | None,
    weights: RewardWeights,
    usual: Mapping[str, float] = MappingProxyType({}),
) -> Score:
    """The reward is the weighted mean of performance and stability.

    performance: the objective minus that of the host's baseline; None if the trial failed. usual: the mean stability
    parts of the host's baseline, which stand in for parts that were not observed.
    """
    if performance is None:
        return Score(reward=FAILURE_REWARD)
    parts = stability_parts(trial.streamed, trial.health)
    bounded = min(max(performance, -LARGEST_LOG_RATIO), LARGEST_LOG_RATIO)
    total = weights.performance + weights.stability
    mean = (weights.performance * bounded + weights.stability * math.prod({**usual, **parts}.values())) / total
    return Score(performance, stability(parts), mean, parts)
