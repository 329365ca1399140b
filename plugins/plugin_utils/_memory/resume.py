# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Start a new study, or resume one that was interrupted."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Engine

from .._fleet.replay_log import ReplayLog
from .._store import store as in_store
from .._store.claim import Claim, claim
from .._store.store import StudyRecord
from .._store.tables import StudyRow
from .._study.compatibility import differences
from .._study.study import Study

_RESUMABLE = (None, "stopped", "failed")
_LARGEST_SEED = 2**32 - 1


class CannotStart(Exception):
    """The study cannot be started or resumed; the message says why and what to do."""


@dataclass(frozen=True)
class StartedStudy:
    """A study that this trainer has claimed. seconds: how long it has run already. notices: lines for the user."""

    store: StudyRecord
    claim: Claim
    replay: ReplayLog = field(default_factory=ReplayLog)
    seconds: float = 0.0
    notices: list[str] = field(default_factory=list)


def start_study(
    engine: Engine, study: Study, content: dict[str, Any], files: dict[str, str], seed: int | None
) -> StartedStudy:
    """content: the study as it is stored. files: the SHA-256 of each file copied to the hosts.

    Raises CannotStart and StoreError.
    """
    chosen = next((s for s in (seed, study.training_config.seed) if s is not None), secrets.randbelow(2**31))
    if not 0 <= chosen <= _LARGEST_SEED:
        raise CannotStart(f"seed {chosen} is out of range; choose one from 0 to {_LARGEST_SEED}")
    store = StudyRecord.begin(engine, workload_name=study.workload_name, study=content, seed=chosen, files=files)
    return StartedStudy(store, _claim(engine, store.study_id))


def resume_study(
    engine: Engine, study: Study, content: dict[str, Any], files: dict[str, str], wanted: int | bool, seed: int | None
) -> StartedStudy:
    """Resume the study with the ID `wanted`, or (True) the latest interrupted one. Raises CannotStart, StoreError."""
    row = _find(engine, study.workload_name, wanted)
    claimed = _claim(engine, row.id)
    try:
        row = _find(engine, study.workload_name, row.id)  # it may have finished before it was claimed
        stored = _stored_study(row)
        _check_compatible(row, stored, study, files)
    except CannotStart:
        claimed.release()
        raise
    trials, events = in_store.trials(engine, row.id), in_store.events(engine, row.id)
    more_training = study.training_config.total_timesteps > stored.training_config.total_timesteps
    replay = ReplayLog.from_rows(study, in_store.hosts(engine, row.id), trials, more_training=more_training)
    starts = [row.started, *(event.at for event in events if event.text == in_store.RESUMED)]
    moments = [*(trial.finished for trial in trials), *(event.at for event in events)]
    notices = [f"resuming study {row.id} with {len(replay.trials)} finished trials and seed {row.seed}"]
    if seed not in (None, row.seed):
        notices.append(f"seed {seed} is ignored: the study was started with {row.seed}")
    store = StudyRecord.resume(engine, row.id, content)
    return StartedStudy(store, claimed, replay, _seconds(starts, moments), notices)


def _claim(engine: Engine, study_id: int) -> Claim:
    claimed = claim(engine, study_id)
    if claimed is None:
        raise CannotStart(f"study {study_id} is still running; stop it first or wait until it has finished")
    return claimed


def _find(engine: Engine, workload_name: str, wanted: int | bool) -> StudyRow:
    rows = in_store.studies(engine, workload_name)
    if wanted is True:
        for row in rows:
            if row.verdict in _RESUMABLE:
                return row
        latest = f"; study {rows[0].id} has finished ({rows[0].verdict})" if rows else ""
        raise CannotStart(f"this store has no interrupted study of {workload_name}{latest}; leave out resume")
    for row in rows:
        if row.id == wanted and row.verdict in _RESUMABLE:
            return row
        if row.id == wanted:
            raise CannotStart(f"study {wanted} has finished ({row.verdict}) and cannot be resumed")
    known = ", ".join(str(row.id) for row in rows[:10]) or "none"
    raise CannotStart(f"this store has no study {wanted} of {workload_name}; it has {known}")


def _stored_study(row: StudyRow) -> Study:
    try:
        return Study.model_validate(row.study)
    except ValidationError as error:
        first = error.errors()[0]
        raise CannotStart(
            f"study {row.id} was stored by an incompatible version: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from None


def _check_compatible(row: StudyRow, stored: Study, study: Study, files: Mapping[str, str]) -> None:
    """Raises CannotStart if new trials could not be compared with those of the stored study."""
    stored_files = row.files or {}
    found = differences(stored, study)
    found += [f"{name} has changed" for name in files if stored_files.get(name, files[name]) != files[name]]
    found += [f"{name} is no longer copied to the hosts" for name in stored_files if name not in files]
    if found:
        raise CannotStart(
            f"study {row.id} cannot be resumed because the study has changed: {'; '.join(found)}; undo the change, or "
            f"leave out resume to start a new study (warm_start: [{row.id}] makes it learn from this one)"
        )


def _seconds(starts: Sequence[datetime], moments: Sequence[datetime]) -> float:
    """How long the study has run in all: each run counts from its start to the last moment recorded before the next."""
    total = 0.0
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        recorded = [moment for moment in moments if start <= moment and (following is None or moment < following)]
        total += (max(recorded, default=start) - start).total_seconds()
    return total
