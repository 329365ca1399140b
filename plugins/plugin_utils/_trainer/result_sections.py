# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The parts of result.json about noise, early stopping and objectives."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from .._outcome import result as outcome
from .._study.study import Study
from .._trial.reward import log_ratio, percent
from .._trial.trial import Trial
from .history import RunHistory


def noise_of(record: RunHistory) -> outcome.Noise | None:
    forecast = record.forecast
    known = {name: host.drift for name, host in record.hosts.items() if host.drift.known}
    if not known:
        return None
    return outcome.Noise(
        cv_percent=forecast.cv if forecast else None,
        detectable_percent=forecast.detectable if forecast else None,
        notices=forecast.lines if forecast else (),
        per_host={
            name: outcome.HostNoise(
                cv_percent=forecast.per_host.get(name) if forecast else None,
                noise_percent=percent(drift.noise),
                drift_percent=percent(drift.change),
                baseline_shifts=tuple((jump.after, jump.until, percent(jump.change)) for jump in drift.jumps),
                outlier=record.watcher.odd.get(name),
            )
            for name, drift in known.items()
        },
    )


def early_stopping_of(study: Study, record: RunHistory) -> outcome.EarlyStopping:
    trained = record.trained()
    saved = max(study.training_config.total_timesteps - len(trained), 0) if record.training_ended else 0
    return outcome.EarlyStopping(training=record.training_ended if saved else None, evaluations_saved=saved)


def objectives_of(study: Study, pairs: Sequence[tuple[Trial, Trial]]) -> tuple[outcome.Objective, ...]:
    """The change of each metric over the proof's pairs (original, tuned); nothing for a study with one metric."""
    if not study.objectives:
        return ()
    metrics = [(study.reward_metric, study.direction, 1.0)]
    metrics += [(objective.metric, objective.direction, objective.weight) for objective in study.objectives]
    found = []
    for metric, direction, weight in metrics:
        ratios = [log_ratio(tuned.metrics[metric], original.metrics[metric], direction) for original, tuned in pairs]
        change = percent(fmean(ratios)) if ratios else None
        found.append(outcome.Objective(metric=metric, direction=direction, weight=weight, change=change))
    return tuple(found)
