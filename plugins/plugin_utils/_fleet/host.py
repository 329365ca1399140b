# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The trainer's record of a host: its facts, its baseline, and the scores of its trials."""

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
    """A host that is ready.

    original_values: of the tuned parameters. drift: its baseline over time (see drift.py). trial_count: in all phases.
    activity: for the page, such as "train 12". since_control: training trials since the last control trial. here: the
    trainer runs on this machine. guard_seconds: how long each guard benchmark took when it was tried, by name.
    extra_deviation: standard deviation that is added to the uncertainty of its scores if it is an outlier (see
    outliers.py). notices: not yet shown to the user.
    """

    name: str
    facts: dict[str, Any]
    original_values: dict[str, str]
    drift: Drift = field(default_factory=Drift)
    baseline_metrics: list[float] = field(default_factory=list)
    trial_count: int = 0
    activity: str | None = None
    since_control: int = 0
    baseline_failures: int = 0
    here: bool = False
    guard_seconds: Mapping[str, float] = field(default_factory=dict)
    extra_deviation: float = 0.0
    notices: list[str] = field(default_factory=list)
    _first: tuple[float, float] = (1.0, 0.0)  # metric and objective of its first baseline trial
    _baseline_stability: list[dict[str, float]] = field(default_factory=list)
    _drift_reported: bool = False
    _positions: dict[int | None, int] = field(default_factory=dict)  # among the host's trials, by id

    def add_trial(self, study: Study, trial: Trial) -> Trial:
        """The trial with its score. Trials of the original values update the baseline and may add to `notices`."""
        trial = checked(study, trial)
        self._update(study, trial)
        return replace(trial, score=self.score(study, trial))

    def replay(self, study: Study, trial: Trial) -> None:
        """Add a trial of an interrupted run, which has its score and whose notices the user has seen."""
        if trial.phase == Phase.CONTROL:
            self.since_control = 0
        elif trial.phase == Phase.TRAIN:
            self.since_control += 1
        self._update(study, trial)
        self.notices.clear()

    def _update(self, study: Study, trial: Trial) -> None:
        self.trial_count += 1
        self._positions[trial.id] = self.trial_count
        value = objective(study, trial)
        # At the end there is nothing left to compare with the baseline, and recovery.py says what has changed.
        is_baseline = trial.original and not trial.benchmark and trial.phase != Phase.RECOVERY
        if not is_baseline or trial.metric is None or value is None:
            return
        if not self.drift.known:
            self._first = trial.metric, value
        self.baseline_metrics.append(trial.metric)
        self._baseline_stability.append(stability_parts(trial.streamed, trial.health))
        if shift := self.drift.add(self.trial_count, value):
            self.notices.append(
                f"baseline shifted by {percent(shift.change):+.0f} %: something changed on the host between "
                f"its trials {shift.after} and {shift.until}; candidates are compared with the new baseline "
                f"from here on"
            )
        elif not self._drift_reported and trial.phase != Phase.BASELINE and self._has_drifted():
            self._drift_reported = True
            self.notices.append(
                f"baseline has drifted by {percent(self.drift.change_since_shift):+.0f} %; each candidate is "
                f"compared with the baseline at its time"
            )

    def is_unchanged(self, facts: Mapping[str, Any]) -> bool:
        """Whether the baseline still holds: no reboot, and the same kernel, hardware and original values."""
        return all(self.facts.get(fact) == facts.get(fact) for fact in _FACTS)

    def _has_drifted(self) -> bool:
        uncertainty = self.drift.level(self.trial_count).uncertainty
        return abs(self.drift.change_since_shift) > max(_LARGE_DRIFT, 3 * uncertainty)

    def score(self, study: Study, trial: Trial) -> Score:
        """The score of a trial compared with the current estimate of the baseline; none for a guard benchmark's."""
        if trial.benchmark:
            return Score()
        return self._scored(study, trial, self.drift.level(self.trial_count) if self.drift.known else None)

    def in_hindsight(self, study: Study, trial: Trial) -> Trial:
        """The trial, scored against the baseline at its time, estimated from the control trials before and after it."""
        position = self._positions.get(trial.id)
        if not self.drift.known or position is None:
            return trial
        return replace(trial, score=self._scored(study, trial, self.drift.level(position)))

    def _scored(self, study: Study, trial: Trial, baseline: Estimate | None) -> Score:
        value = objective(study, trial)
        if value is None or baseline is None:
            return score(trial, None, study.reward)
        found = score(trial, value - baseline.level, study.reward, usual_parts(self._baseline_stability))
        noise = math.hypot(self.drift.noise, baseline.uncertainty)
        # Not in `noise`, from which extra_deviation is estimated.
        uncertainty = study.reward.performance_share * math.hypot(noise, self.extra_deviation)
        return replace(found, noise=noise, level=self.metric_at(study, baseline.level), uncertainty=uncertainty)

    def metric_at(self, study: Study, level: float) -> float:
        """A level of the objective in the unit of the reward_metric."""
        sign = 1.0 if study.direction == "maximise" else -1.0
        # With several objectives there is no common unit; this assumes that only the reward_metric has changed.
        metric, value = self._first
        return metric * math.exp(sign * (level - value))

    def control_is_due(self, interval: int) -> bool:
        """Immediately if the last measurement of the baseline was improbable, to tell an outlier from a shift."""
        return self.drift.suspect is not None or self.since_control >= interval


def host_of(name: str, facts: dict[str, Any], study: Study) -> Host:
    """A host with these facts. Its original values are those of the study's parameters."""
    return Host(name, facts, {name: kernel_text(facts["values"][name]) for name in study.space.parameters})


def conflict(host: Host, others: Iterable[Host], study: Study) -> str | None:
    """Why a host cannot be tuned in the same run as the others; None if it can."""
    for other in others:
        if both := _shared_parameters(study.space.parameters, host.facts, other.facts):
            return f"{host.name} and {other.name} are the same kernel and share {', '.join(both)}; tune one of them"
        if study.exploration == "cautious" and (differing := _differing_values(host, other)):
            return f"exploration: cautious needs equal original values, but {differing}; tune {host.name} separately"
    return None


def _shared_parameters(parameters: Sequence[str], one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The parameters that two hosts share because they run on one kernel. Network namespaces have their own."""
    if one["boot_id"] != other["boot_id"]:
        return []
    same_network = one["network_namespace"] == other["network_namespace"]
    return [parameter for parameter in parameters if same_network or not parameter.startswith(("net.", "net/"))]


def _differing_values(one: Host, other: Host) -> str:
    """The differences between two hosts' original values, as one clause; empty if there are none."""
    return " and ".join(
        f"{parameter} is {value} on {one.name} and {other.original_values[parameter]} on {other.name}"
        for parameter, value in one.original_values.items()
        if value != other.original_values[parameter]
    )
