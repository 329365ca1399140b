# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How a run begins: as a new study, or as one that was interrupted and now goes on."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Engine

from .._fleet.past import Past
from .._store import store as in_store
from .._store.claim import Claim, claim
from .._store.store import StudyRecord
from .._store.tables import StudyRow
from .._study.sameness import differences
from .._study.study import Study

_RESUMABLE = (None, "stopped", "failed")


class CannotBegin(Exception):
    """The run cannot begin; the message says why and what to do."""


@dataclass(frozen=True)
class Beginning:
    """A study to run. before: seconds that it has run already. notes: what the user should know of it."""

    store: StudyRecord
    claim: Claim
    past: Past = field(default_factory=Past)
    before: float = 0.0
    notes: list[str] = field(default_factory=list)


def begin_new(
    engine: Engine, study: Study, content: dict[str, Any], files: dict[str, str], seed: int | None
) -> Beginning:
    """content: the study as it is kept. files: the SHA-256 of what it ships. Raises CannotBegin and StoreError."""
    chosen = next((s for s in (seed, study.training_config.seed) if s is not None), secrets.randbelow(2**31))
    if not 0 <= chosen < 2**32:
        raise CannotBegin(f"seed {chosen} is no seed; choose one from 0 to {2**32 - 1}")
    store = StudyRecord.begin(engine, workload_name=study.workload_name, study=content, seed=chosen, files=files)
    held = claim(engine, store.study_id)
    if held is None:
        raise CannotBegin(f"study {store.study_id} is run by another trainer")  # nobody else knows of it yet
    return Beginning(store, held)


def resume(
    engine: Engine, study: Study, content: dict[str, Any], files: dict[str, str], wanted: int | bool, seed: int | None
) -> Beginning:
    """The study of that ID goes on, or (True) the latest of the workload that can. Raises CannotBegin, StoreError."""
    row = _find(engine, study.workload_name, wanted)
    held = claim(engine, row.id)
    if held is None:
        raise CannotBegin(f"study {row.id} is still running; stop it first, or let it end")
    try:
        row = _find(engine, study.workload_name, row.id)  # it may have ended while it was being claimed
        then = _study_of(row)
        _check(row, then, study, files)
    except CannotBegin:
        held.release()
        raise
    hosts, evaluations = in_store.hosts(engine, row.id), in_store.evaluations(engine, row.id)
    events = in_store.events(engine, row.id)
    more = study.training_config.total_timesteps > then.training_config.total_timesteps
    past = Past.of(study, hosts, evaluations, more_training=more)
    resumed = [event.at for event in events if event.text == in_store.RESUMED]
    moments = [*(evaluation.finished for evaluation in evaluations), *(event.at for event in events)]
    notes = [f"study {row.id} goes on: {len(past.evaluations)} evaluations are known, the seed is {row.seed}"]
    if seed not in (None, row.seed):
        notes.append(f"seed {seed} is not used: the study began with {row.seed}")
    store = StudyRecord.resume(engine, row.id, content)
    return Beginning(store, held, past, _seconds(row.started, resumed, moments), notes)


def _find(engine: Engine, workload_name: str, wanted: int | bool) -> StudyRow:
    own = in_store.studies(engine, workload_name)
    if wanted is True:
        found = next((row for row in own if row.verdict in _RESUMABLE), None)
        if found is None:
            ended = f"; study {own[0].id} has ended: {own[0].verdict}" if own else ""
            raise CannotBegin(f"no study of {workload_name} in this store was interrupted{ended}; leave resume out")
        return found
    found = next((row for row in own if row.id == wanted), None)
    if found is None:
        there = ", ".join(str(row.id) for row in own[:10]) or "none"
        raise CannotBegin(f"this store has no study {wanted} of {workload_name}; there are {there}")
    if found.verdict not in _RESUMABLE:
        raise CannotBegin(f"study {wanted} has ended: {found.verdict}; there is nothing to go on with")
    return found


def _study_of(row: StudyRow) -> Study:
    try:
        return Study.model_validate(row.study)
    except ValidationError as error:
        what = error.errors()[0]
        raise CannotBegin(
            f"study {row.id} is of a version that this one cannot go on with: "
            f"{'.'.join(map(str, what['loc']))}: {what['msg']}"
        ) from None


def _check(row: StudyRow, then: Study, now: Study, files: Mapping[str, str]) -> None:
    before = row.files or {}
    found = differences(then, now)
    found += [f"{name} is not the file that it was" for name in files if before.get(name, files[name]) != files[name]]
    found += [f"{name} is no longer shipped" for name in before if name not in files]
    if found:
        raise CannotBegin(
            f"study {row.id} cannot go on, for its evaluations would not stand beside new ones: {'; '.join(found)}; "
            f"undo that, or leave resume out and begin a new study (warm_start: [{row.id}] learns from this one)"
        )


def _seconds(started: datetime, resumed: list[datetime], moments: list[datetime]) -> float:
    """How long it has run in all: each time from its beginning to the last thing that is known of it."""
    total = 0.0
    for at, begin in enumerate([started, *resumed]):
        end = resumed[at] if at < len(resumed) else None
        within = [moment for moment in moments if begin <= moment and (end is None or moment < end)]
        total += (max(within, default=begin) - begin).total_seconds()
    return total
