# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A host as the trainer sees it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .._study.parameters import kernel_text
from .._study.study import Study
from .._trial.reward import checked, objective, percent, score
from .._trial.stability import stability_parts, usual_parts
from .._trial.trial import Phase, Score, Trial
from .drift import Drift, Estimate

_LARGE_DRIFT = 0.05
_FACTS = ("boot_id", "network_namespace", "kernel", "cpus", "memory_bytes", "values")


@dataclass
class Host:
    """A host that is ready. `done` counts its evaluations, `drift` knows its baseline (see drift.py, reward.figure).

    doubt: how far it is off the other hosts, if it is (see outliers.py). news: what the user is to be told of it.
    here: whether it is the machine that the learner works on.
    """

    name: str
    facts: dict[str, Any]
    baseline_values: dict[str, str]
    drift: Drift = field(default_factory=Drift)
    baseline_metrics: list[float] = field(default_factory=list)
    done: int = 0
    doing: str | None = None
    since_control: int = 0
    baseline_failures: int = 0
    here: bool = False
    doubt: float = 0.0
    news: list[str] = field(default_factory=list)
    _first: tuple[float, float] = (1.0, 0.0)
    _steadiness: list[dict[str, float]] = field(default_factory=list)
    _drift_reported: bool = False
    _places: dict[int | None, int] = field(default_factory=dict)

    def judge(self, study: Study, trial: Trial) -> Trial:
        """The trial with its score. One of the original values updates the baseline; `news` gets what is remarkable."""
        trial = checked(study, trial)
        self._take(study, trial)
        return replace(trial, score=self.score(study, trial))

    def recall(self, study: Study, trial: Trial) -> None:
        """The same for a trial of an interrupted run, which has its score and has been reported."""
        if trial.phase == Phase.CONTROL:
            self.since_control = 0
        elif trial.phase == Phase.TRAIN:
            self.since_control += 1
        self._take(study, trial)
        self.news.clear()

    def _take(self, study: Study, trial: Trial) -> None:
        self.done += 1
        self._places[trial.id] = self.done
        value = objective(study, trial)
        if not trial.original or trial.metric is None or value is None:
            return
        if not self.drift.known:
            self._first = trial.metric, value
        self.baseline_metrics.append(trial.metric)
        self._steadiness.append(stability_parts(trial.streamed, trial.health))
        if shift := self.drift.add(self.done, value):
            self.news.append(
                f"baseline shifted by {percent(shift.change):+.0f} %: something changed on the host between its "
                f"trials {shift.after} and {shift.until}; candidates are compared with the new baseline from here on"
            )
        elif not self._drift_reported and trial.phase != Phase.BASELINE and self._has_drifted():
            self._drift_reported = True
            self.news.append(
                f"baseline has drifted by {percent(self.drift.change_since_shift):+.0f} %; each candidate is "
                f"compared with the baseline at its time"
            )

    def is_still(self, facts: Mapping[str, Any]) -> bool:
        """Whether it is as it was: not booted since, on the same hardware, with the same values of its own."""
        return all(self.facts.get(fact) == facts.get(fact) for fact in _FACTS)

    def _has_drifted(self) -> bool:
        return abs(self.drift.change_since_shift) > max(_LARGE_DRIFT, 3 * self.drift.level(self.done).uncertainty)

    def score(self, study: Study, trial: Trial) -> Score:
        """The score of a trial against the baseline as it is known now."""
        return self._scored(study, trial, self.drift.level(self.done) if self.drift.known else None)

    def in_hindsight(self, study: Study, trial: Trial) -> Trial:
        """The trial, scored against the baseline at its time, as known from the controls before and after it."""
        place = self._places.get(trial.id)
        if not self.drift.known or place is None:
            return trial
        return replace(trial, score=self._scored(study, trial, self.drift.level(place)))

    def _scored(self, study: Study, trial: Trial, baseline: Estimate | None) -> Score:
        value = objective(study, trial)
        if value is None or baseline is None:
            return score(trial, None, study.reward)
        found = score(trial, value - baseline.level, study.reward, usual_parts(self._steadiness))
        noise = math.hypot(self.drift.noise, baseline.uncertainty)
        # The extra variance is no part of the noise, from which it is estimated.
        uncertainty = study.reward.performance_share * math.hypot(noise, self.doubt)
        return replace(found, noise=noise, level=self.metric_at(study, baseline.level), uncertainty=uncertainty)

    def metric_at(self, study: Study, level: float) -> float:
        """A level of the baseline in the unit of the reward_metric."""
        sign = 1.0 if study.direction == "maximise" else -1.0
        # Several metrics have no unit: told is what the reward_metric would be if it had drifted alone.
        metric, found = self._first
        return metric * math.exp(sign * (level - found))

    def control_is_due(self, interval: int) -> bool:
        """At once if the last measurement of the baseline is a suspect."""
        return self.drift.suspect is not None or self.since_control >= interval


def host_of(name: str, facts: dict[str, Any], study: Study) -> Host:
    """A host that has said what it is, with its own values of the study's parameters."""
    return Host(name, facts, {name: kernel_text(facts["values"][name]) for name in study.space.parameters})


def why_not_beside(host: Host, others: Iterable[Host], study: Study) -> str | None:
    """Why a host cannot be tuned in the same run as these others; None if it can."""
    for other in others:
        if both := shared(study.space.parameters, host.facts, other.facts):
            return f"{host.name} and {other.name} are the same kernel and share {', '.join(both)}; tune one of them"
        if study.exploration == "cautious" and (differing := differing_values(host, other)):
            return f"exploration: cautious starts from one place, and {differing}; tune {host.name} in a run of its own"
    return None


def shared(parameters: Sequence[str], one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The parameters of which two hosts that run on one kernel have only one."""
    if one["boot_id"] != other["boot_id"]:
        return []
    same_network = one["network_namespace"] == other["network_namespace"]
    return [parameter for parameter in parameters if same_network or not parameter.startswith(("net.", "net/"))]


def differing_values(one: Host, other: Host) -> str:
    """What differs between two hosts' own values, as one clause; empty where nothing does."""
    return " and ".join(
        f"{parameter} is {value} on {one.name} and {other.baseline_values[parameter]} on {other.name}"
        for parameter, value in one.baseline_values.items()
        if value != other.baseline_values[parameter]
    )
