# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Trials of other studies, as the learner of this one can use them (`warm_start` and `share` of the study).

A trial is translated to a candidate's values by parameter, and its performance: the log ratio to the baseline of its
own host, so hosts and scales may differ. A parameter that the other study did not tune had the original value of that
host, which is not stored; the original value of this study's host stands in for it. A candidate that is outside this
study's search space (out of range, an unknown choice, violating a constraint) is skipped.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
from pydantic import ValidationError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from .._store import store as in_store
from .._store.claim import claimed
from .._store.store import StoreError, StudyRecord, trial_of
from .._store.tables import HostRow, StudyRow, TrialRow
from .._study.compatibility import is_same_search
from .._study.space import Axis, Candidate, SearchSpace, Value, exact_number
from .._study.study import Study
from .._trial.reward import score
from .._trial.stability import usual_parts
from .._trial.trial import Phase, Trial

Notify = Callable[[str], None]
_TOLERANCE = 0.02  # of an axis: a candidate that constraints move farther than this is a different candidate
_MAX_TRIALS = 300  # of one study: its latest, which are closest to the optimum. More only slow the learner down.
_PHASES = (Phase.TRAIN, Phase.RACE, Phase.VERIFY, Phase.ABLATE)
_POLL_INTERVAL = 1.0


class OtherStudies:
    """The other studies in the store of a running study."""

    def __init__(self, engine: Engine, study: Study, store: StudyRecord) -> None:
        self._engine, self._study, self._study_id, self._started = engine, study, store.study_id, store.started
        self._last_read: dict[int, int] = {}
        self._baselines: dict[int, list[TrialRow]] = {}
        self._last_poll = -_POLL_INTERVAL

    def warm_start(self, originals: Mapping[str, Value], notify: Notify) -> list[Trial]:
        """The trials of all studies that `warm_start` names. originals: for parameters that they did not tune."""
        if not self._study.warm_start:
            return []
        found: list[Trial] = []
        for row in named_studies(in_store.studies(self._engine), self._study, self._study_id, notify):
            trials = in_store.trials(self._engine, row.id)
            found += translate(self._study, row, in_store.hosts(self._engine, row.id), trials, originals, notify)
        return found

    def shared(self, notify: Notify) -> list[Trial]:
        """With `share`, the trials that concurrent runs of this study have added since the last call.

        Empty within a second of the last call and while the store is unreachable.
        """
        if not self._study.share or time.monotonic() < self._last_poll + _POLL_INTERVAL:
            return []
        self._last_poll = time.monotonic()
        found: list[Trial] = []
        try:
            rows = [
                row for row in in_store.studies(self._engine, self._study.workload_name) if row.id != self._study_id
            ]
            with self._engine.connect() as connection:
                running = claimed(connection, [row.id for row in rows])
            for row in rows:
                is_dead = row.finished is None and running is not None and row.id not in running
                if is_dead or not is_shared(row, self._study, self._started):
                    continue
                if row.id not in self._last_read:
                    notify(f"also learning from study {row.id}, the same study on another controller")
                new = in_store.trials(self._engine, row.id, after=self._last_read.setdefault(row.id, 0))
                hosts = in_store.hosts(self._engine, row.id)
                # How stable a host usually is, it may have shown long ago.
                baselines = self._baselines.setdefault(row.id, [])
                baselines += [trial for trial in new if trial.original]
                found += translate(self._study, row, hosts, new, {}, lambda text: None, baselines)
                self._last_read[row.id] = new[-1].id if new else self._last_read[row.id]
        except (SQLAlchemyError, StoreError):
            pass
        return found


def named_studies(rows: Sequence[StudyRow], study: Study, study_id: int, notify: Notify) -> list[StudyRow]:
    """The compatible studies that `warm_start` names, oldest first; `notify` gets why others are not used."""
    found: dict[int, StudyRow] = {}
    for wanted in study.warm_start:
        named = [row for row in rows if row.id != study_id and str(wanted) in (str(row.id), row.workload_name)]
        if not named:
            notify(f"warm_start: this store has no study {wanted}")
        for row in named:
            if row.id > study_id:  # a resumed study must start from what there was at first
                notify(f"warm_start: study {row.id} ({row.workload_name}) is not used: it is newer than this study")
            elif reason := _why_incompatible(row, study):
                notify(f"warm_start: study {row.id} ({row.workload_name}) is not used: {reason}")
            else:
                found[row.id] = row
    return [found[study_id] for study_id in sorted(found)]


def _why_incompatible(row: StudyRow, study: Study) -> str | None:
    other = _stored_study(row)
    if other is None:
        return "it was stored by an incompatible version"
    for name in ("reward_metric", "direction", "objectives"):
        if getattr(other, name) != getattr(study, name):
            return f"its {name} is different"
    if not set(other.space.parameters) & set(study.space.parameters):
        return "it tuned none of these parameters"
    return None


def is_shared(row: StudyRow, study: Study, started: datetime) -> bool:
    """Whether it is the same study, run at the same time on another controller, with `share`."""
    if row.workload_name != study.workload_name or (row.finished is not None and row.finished <= started):
        return False
    other = _stored_study(row)
    return bool(other and other.share and is_same_search(other, study))


def _stored_study(row: StudyRow) -> Study | None:
    try:
        return Study.model_validate(row.study)
    except ValidationError:
        return None


def translate(
    study: Study,
    row: StudyRow,
    hosts: Sequence[HostRow],
    trials: Sequence[TrialRow],
    originals: Mapping[str, Value],
    notify: Notify,
    baselines: Sequence[TrialRow] | None = None,
) -> list[Trial]:
    """The candidates' trials in study `row`, as trials of `study`; `notify` gets how many are used and skipped.

    baselines: all trials of that study's original values, unless they are among `trials`.
    """
    names = {host.id: f"{host.name} of study {row.id}" for host in hosts}
    known = [trial_of(one, names[one.host_id]) for one in trials]
    measured = known if baselines is None else [trial_of(one, names[one.host_id]) for one in baselines]
    usual = {
        host: usual_parts([trial.score.stability_parts for trial in measured if trial.original and trial.host == host])
        for host in names.values()
    }
    found: list[Trial] = []
    skipped: Counter[str] = Counter()
    for trial in known:
        if trial.original or trial.phase not in _PHASES:
            continue
        candidate, outside = in_space(study.space, {**trial.requested, **trial.applied}, originals)
        skipped.update(outside)
        if candidate is not None:
            noise = trial.score.noise
            scored = replace(
                score(trial, trial.score.performance, study.reward, usual[trial.host]),
                noise=noise,
                uncertainty=study.reward.performance_share * (noise or 0.0),
            )
            found.append(replace(trial, phase=Phase.TRAIN, requested=candidate, applied={}, pair=None, score=scored))
    if skipped:
        counts = ", ".join(f"{name} ({count})" for name, count in skipped.most_common())
        notify(f"skipped trials of study {row.id} that are outside this search space, by parameter: {counts}")
    notify(f"learning from {len(found[-_MAX_TRIALS:])} trials of study {row.id} ({row.workload_name})")
    return found[-_MAX_TRIALS:]


def in_space(
    space: SearchSpace, values: Mapping[str, Value], originals: Mapping[str, Value]
) -> tuple[Candidate | None, list[str]]:
    """The candidate with these values; or None and the parameters that are outside the search space.

    A parameter without a value gets the one in `originals`, or the nearest one in the search space.
    """
    outside = [
        axis.parameter
        for axis in space.axes
        if axis.parameter in values and not _contains(axis, str(values[axis.parameter]))
    ]
    if outside:
        return None, list(dict.fromkeys(outside))
    point = space.encode({**originals, **values})
    candidate = space.decode(point)
    nearest = np.array([axis.encode(axis.decode(unit)) for axis, unit in zip(space.axes, point, strict=True)])
    moved = np.abs(space.encode(candidate) - nearest) > _TOLERANCE  # by the constraints
    if moved.any():
        return None, list(dict.fromkeys(axis.parameter for axis, far in zip(space.axes, moved, strict=True) if far))
    return candidate, []


def _contains(axis: Axis, text: str) -> bool:
    if axis.choices:
        return " ".join(text.split()) in map(str, axis.choices)
    try:
        return axis.low <= exact_number(text.split()[axis.element]) <= axis.high
    except (IndexError, ValueError):
        return False
