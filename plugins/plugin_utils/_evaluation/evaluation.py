# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What is asked of a host and what comes back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .._study.space import Value

Phase = Literal["baseline", "control", "train", "race", "verify", "ablate"]


@dataclass(frozen=True)
class Job:
    """Evaluate `values` on `host`, or on any host. `values` None are the host's own: its baseline."""

    phase: Phase
    values: Mapping[str, Value] | None
    host: str | None = None
    pair: int | None = None


@dataclass(frozen=True)
class Measurement:
    """What an evaluation yields.

    metric: the benchmark's result, in its own unit, or None where the evaluation failed (`error` says why).
    streamed: what the benchmark printed of the metric on its way there. actual: the values that the kernel kept.
    observations: system metrics sampled during the run. strain: what went wrong on the host meanwhile, 0 being nothing
    (see `strain` in _worker/guard.py). seconds: the duration of each stage. ended_early: the benchmark was ended when
    it had shown that the candidate will not matter; the metric is an estimate then (see futility.py).
    """

    actual: dict[str, str] = field(default_factory=dict)
    metric: float | None = None
    streamed: list[float] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    observations: dict[str, float] = field(default_factory=dict)
    strain: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    ended_early: bool = False

    @classmethod
    def from_message(cls, content: dict[str, Any]) -> Measurement:
        """From the wire. A metric from which no ratio can be formed is a failure, not a number."""
        measurement = cls(**content)
        if measurement.error is None and not (
            measurement.metric and math.isfinite(measurement.metric) and measurement.metric > 0
        ):
            return cls(
                **{**content, "metric": None, "error": f"the metric is {measurement.metric}; it must be above 0"}
            )
        return measurement


@dataclass(frozen=True)
class Score:
    """How good an evaluation was.

    performance: log ratio of the metric to the host's baseline, signed so that above 0 is better (with objectives the
    weighted mean of these); None if it failed. noise: its standard deviation on that host, as far as is known.
    level: the host's baseline that it was compared to, as a metric.
    uncertainty: standard deviation of the reward, to the learner: of the noise, and of how far the host is off the
    others (see outliers.py); 0 where nothing is known of that.
    stability: 1 for a run in which nothing went wrong, 0 for the worst; None if nothing of that could be seen.
    reward: what the learner is to increase. stability_parts: what the stability is made of (see stability.py).
    """

    performance: float | None
    stability: float | None
    reward: float
    stability_parts: dict[str, float] = field(default_factory=dict)
    noise: float | None = None
    level: float | None = None
    uncertainty: float = 0.0


@dataclass(frozen=True)
class Evaluation:
    """A job that was done (or failed): by whom, what came of it, and how good that is.

    number: from 1 in the order in which they ended; 0 for a job that its host took with it when it went away.
    place: the same among those of its host.
    """

    number: int
    job: Job
    host: str
    measurement: Measurement
    score: Score
    place: int = 0

    @classmethod
    def of(cls, values: Mapping[str, Value], reward: float | None) -> Evaluation:
        """Of a function instead of a host: the higher the better, None if it failed. Give log ratios if you can."""
        measurement = Measurement(metric=reward, error="it failed" if reward is None else None)
        score = Score(reward, None, 0.0 if reward is None else reward)
        return cls(1, Job("train", values), "", measurement, score)

    @property
    def failed(self) -> bool:
        return self.measurement.error is not None

    @property
    def took_place(self) -> bool:
        return self.number > 0
