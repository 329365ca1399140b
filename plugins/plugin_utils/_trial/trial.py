# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The record of a trial: one run of the benchmark with given values on one host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the dashboard needs no numpy
    from .._study.space import Value

ANY_HOST = ""


class Phase(StrEnum):
    """The phases of a study in order. Control trials repeat the baseline during training, to follow drift.

    recovery: repeats it at the end of the run.
    """

    BASELINE = "baseline"
    CONTROL = "control"
    TRAIN = "train"
    RACE = "race"
    VERIFY = "verify"
    ABLATE = "ablate"
    GUARD = "guard"
    RECOVERY = "recovery"


_SHOWN: dict[str, str] = {Phase.TRAIN: "training", Phase.VERIFY: "proof", Phase.ABLATE: "ablation"}


class State(StrEnum):
    """lost: the host left before the trial had ended, and no other host can run it."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
    LOST = "lost"


@dataclass(frozen=True)
class Score:
    """How good a trial was.

    performance: log ratio of the metric to the host's baseline, signed so that positive is better (with objectives, the
    weighted mean of their log ratios); None if the trial failed. stability: 1 if nothing went wrong, 0 at worst; None
    if nothing was observed. stability_parts: its factors by name (see stability.py). reward: what the learner
    maximises. noise: standard deviation of the performance. level: the baseline it was compared to, in the metric's
    unit. uncertainty: standard deviation of the reward, including that of an outlying host (see outliers.py).
    """

    performance: float | None = None
    stability: float | None = None
    reward: float = 0.0
    stability_parts: dict[str, float] = field(default_factory=dict)
    noise: float | None = None
    level: float | None = None
    uncertainty: float = 0.0


@dataclass(frozen=True)
class Trial:
    """A trial from its request to its score; each stage fills in its fields with dataclasses.replace.

    original: `requested` are the host's original values; the fleet fills them in. host: ANY_HOST lets the fleet choose.
    pair: numbers the pairs of a host in the proof. benchmark: the guard benchmark that is run; None for the study's
    own. proposed_by: of a training trial, in words: an expert setting, an algorithm, an earlier study. pause: seconds
    to wait before the benchmark. id: counts the trials of a study in the order in which they ended, from 1. applied:
    the values that the kernel kept. metric: the benchmark's result in its own unit; None if the trial failed. streamed:
    the values of the metric printed before the result. metrics: all other metrics printed. observations: system metrics
    sampled during the run. health: the host's health signals, 0 being healthy (see _worker/health_guard.py). seconds:
    the duration of each stage.
    """

    phase: Phase
    requested: Mapping[str, Value] = field(default_factory=dict)
    original: bool = False
    host: str = ANY_HOST
    pair: int | None = None
    benchmark: str | None = None
    proposed_by: str = ""
    pause: float = 0.0
    id: int | None = None
    state: State = State.PENDING
    applied: dict[str, str] = field(default_factory=dict)
    metric: float | None = None
    streamed: list[float] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    observations: dict[str, float] = field(default_factory=dict)
    health: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    score: Score = field(default_factory=Score)
    finished: datetime | None = None

    @classmethod
    def pending(
        cls,
        phase: Phase,
        values: Mapping[str, Value] | None,
        host: str = ANY_HOST,
        pair: int | None = None,
        benchmark: str | None = None,
        proposed_by: str = "",
    ) -> Trial:
        """A trial to be run. values: None for the host's original values."""
        return cls(phase, values or {}, values is None, host, pair, benchmark, proposed_by)

    @classmethod
    def of_function(cls, values: Mapping[str, Value], reward: float | None) -> Trial:
        """A trial of a function that is maximised; reward: its value (preferably a log ratio), None if it failed."""
        if reward is None:
            return cls(Phase.TRAIN, values, id=1).fail("it failed")
        return cls(Phase.TRAIN, values, id=1, state=State.COMPLETE, metric=reward, score=Score(reward, None, reward))

    @property
    def label(self) -> str:
        return values_label(self.phase, original=self.original, benchmark=self.benchmark)

    def fail(self, error: str) -> Trial:
        return replace(self, state=State.FAILED, metric=None, error=error)

    def lose(self, host: str, reason: str) -> Trial:
        return replace(self, state=State.LOST, host=host, error=reason)


def values_label(phase: str, *, original: bool, benchmark: str | None = None) -> str:
    """What lines and tables call a trial's values; a variant, in the ablation, has a part of the winner's values.

    benchmark: a guard benchmark that ran in place of the study's.
    """
    values = "original values" if original else "variant" if phase == Phase.ABLATE else "candidate"
    return f"{benchmark}, {values}" if benchmark else values


def phase_name(phase: str) -> str:
    """What users read in place of a phase's stored value."""
    return _SHOWN.get(phase, str(phase))


def to_json(trial: Trial) -> dict[str, Any]:
    return {**asdict(trial), "finished": trial.finished and trial.finished.isoformat()}


def from_json(content: Mapping[str, Any]) -> Trial:
    """Raises KeyError, TypeError or ValueError if the content is not a trial."""
    finished = content["finished"]
    return Trial(
        **{
            **content,
            "phase": Phase(content["phase"]),
            "state": State(content["state"]),
            "score": Score(**content["score"]),
            "finished": finished and datetime.fromisoformat(finished),
        }
    )
