# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What result.json says of the noise, of what was saved by stopping early, and of each of several objectives."""

from __future__ import annotations

from statistics import fmean

from .._evaluation.evaluation import Measurement
from .._evaluation.reward import log_ratio, percent
from .._fleet.futility import saved_seconds
from .._outcome import result as outcome
from .._proof.verification import Proof
from .._study.study import Study
from .history import RunHistory


def noise_of(record: RunHistory) -> outcome.Noise | None:
    forecast = record.forecast
    known = {name: host.drift for name, host in record.hosts.items() if host.drift.known}
    if not known:
        return None
    return outcome.Noise(
        cv_percent=forecast.cv if forecast else None,
        detectable_percent=forecast.detectable if forecast else None,
        said=forecast.lines if forecast else (),
        per_host={
            name: outcome.HostNoise(
                cv_percent=forecast.per_host.get(name) if forecast else None,
                noise_percent=percent(drift.noise),
                drift_percent=percent(drift.change),
                jumps=tuple((jump.after, jump.until, percent(jump.change)) for jump in drift.jumps),
                odd=record.watcher.odd.get(name),
            )
            for name, drift in known.items()
        },
    )


def early_stopping_of(study: Study, record: RunHistory) -> outcome.EarlyStopping:
    trained = record.trained()
    saved = max(study.training_config.total_timesteps - len(trained), 0) if record.training_ended else 0
    return outcome.EarlyStopping(
        training=record.training_ended if saved else None,
        evaluations_saved=saved,
        ended_early=sum(evaluation.measurement.ended_early for evaluation in trained),
        seconds_saved=round(saved_seconds(record.evaluations), 1),
    )


def objectives_of(study: Study, proof: Proof | None) -> tuple[outcome.Objective, ...]:
    """Each metric's own part in what the proof says; nothing of a study with one metric."""
    if not study.objectives:
        return ()
    pairs = _both_sides(proof) if proof else []
    wanted = [(study.reward_metric, study.direction, 1.0)]
    wanted += [(objective.metric, objective.direction, objective.weight) for objective in study.objectives]
    found = []
    for metric, direction, weight in wanted:
        ratios = [log_ratio(tuned.metrics[metric], own.metrics[metric], direction) for own, tuned in pairs]
        change = percent(fmean(ratios)) if ratios else None
        found.append(outcome.Objective(metric=metric, direction=direction, weight=weight, change=change))
    return tuple(found)


def _both_sides(proof: Proof) -> list[tuple[Measurement, Measurement]]:
    """The measurements of the hosts' own values and of the candidate in each pair that counted."""
    own, tuned = ({(e.host, e.job.pair): e.measurement for e in side} for side in (proof.own, proof.tuned))
    return [(own[pair.host, pair.pair], tuned[pair.host, pair.pair]) for pair in proof.counted]
