# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Writing a study into the store as it happens, and reading it back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from .._trial.trial import Phase, Score, State, Trial
from .database import StoreError, cause, is_passing, name_of, open_store
from .tables import EventRow, HostRow, RequestRow, StudyRow, TrialRow
from .url import shown

T = TypeVar("T")

# Whoever needs the store needs these three with it.
__all__ = ["StoreError", "open_store", "shown"]

# Seconds for which a server that is started again is waited for: less than the lease that a host has meanwhile.
PATIENCE = 30.0
RESUMED = "resumed"


class StudyRecord:
    """A running study's pen: every call is one transaction, durable when it returns. Raises StoreError.

    A database server that goes away is waited for, PATIENCE seconds long, and no evaluation is written twice.
    """

    def __init__(self, engine: Engine, row: StudyRow) -> None:
        self._engine = engine
        self._hosts: dict[str, int] = {}
        self.study_id, self.started, self.seed = row.id, row.started, row.seed

    @classmethod
    def begin(
        cls,
        engine: Engine,
        *,
        workload_name: str,
        study: dict[str, Any],
        seed: int,
        files: dict[str, str] | None = None,
    ) -> StudyRecord:
        """The pen of a new study. files: the SHA-256 of what is copied to its hosts, by name."""
        started = datetime.now(UTC)

        def add(session: Session) -> StudyRecord:
            row = StudyRow(workload_name=workload_name, study=study, seed=seed, files=files or {}, started=started)
            row.phase = "baseline"
            session.add(row)
            session.flush()
            return cls(engine, row)

        return _write(engine, add)

    @classmethod
    def resume(cls, engine: Engine, study_id: int, study: dict[str, Any]) -> StudyRecord:
        """The pen of a study that was interrupted; from now on it runs again, as `study` says."""
        at = datetime.now(UTC)

        def reopen(session: Session) -> StudyRecord:
            row = session.get_one(StudyRow, study_id)
            row.study = study
            row.finished = row.verdict = row.reason = row.result = None
            session.add(EventRow(study_id=study_id, at=at, text=RESUMED))
            # What was asked of the run that has ended is not asked of this one.
            unheard = select(RequestRow).where(RequestRow.study_id == study_id, RequestRow.taken_at.is_(None))
            for request in session.scalars(unheard):
                request.taken_at = at
            return cls(engine, row)

        return _write(engine, reopen)

    def add_host(self, name: str, facts: dict[str, Any], baseline_values: dict[str, str], after: int = 0) -> None:
        """A host that takes part. One that has done so before, and has changed, is another one after that number."""

        def add(session: Session) -> int:
            known = session.scalar(select(HostRow).where(HostRow.study_id == self.study_id, HostRow.name == name))
            row = known or HostRow(study_id=self.study_id, name=name)
            if row.facts != facts:
                row.facts, row.baseline_values, row.changed_after = facts, dict(baseline_values), after
            row.lost = row.restored = None
            session.add(row)
            session.flush()
            return row.id

        self._hosts[name] = _write(self._engine, add)

    def lose_host(self, name: str, reason: str) -> None:
        self._change_host(name, reason, lost=reason)

    def set_doing(self, name: str, doing: str | None) -> None:
        """What the host is at from now on; None once it has left."""
        self._change_host(name, None, doing=doing, since=datetime.now(UTC))

    def set_ending(self, name: str, ending: str, restored: bool) -> None:
        """What values the host has at the end; restored: whether its original ones were restored and verified."""
        self._change_host(name, ending, restored=restored)

    def _change_host(self, name: str, event: str | None, **columns: Any) -> None:
        """Set columns of a host that took part, and keep what happened to it, whether or not it did."""
        at = datetime.now(UTC)

        def change(session: Session) -> None:
            row = session.get_one(HostRow, self._hosts[name]) if name in self._hosts else None
            for column, value in columns.items() if row else ():
                setattr(row, column, value)
            if event is not None:
                session.add(EventRow(study_id=self.study_id, at=at, host=name, text=event))

        _write(self._engine, change)

    def add_trial(self, trial: Trial) -> None:
        columns = {name: value for name, value in vars(trial).items() if name not in ("host", "score")}
        columns |= vars(trial.score)

        def add(session: Session) -> None:
            session.add(TrialRow(study_id=self.study_id, host_id=self._hosts[trial.host], **columns))

        try:
            _write(self._engine, add)
        except _WrittenBefore:
            return

    def add_event(self, text: str, host: str | None = None) -> None:
        at = datetime.now(UTC)

        def add(session: Session) -> None:
            session.add(EventRow(study_id=self.study_id, at=at, host=host, text=text))

        _write(self._engine, add)

    def enter(self, phase: str, evaluations_planned: int) -> None:
        def change(session: Session) -> None:
            row = session.get_one(StudyRow, self.study_id)
            row.phase, row.evaluations_planned = phase, evaluations_planned

        _write(self._engine, change)

    def finish(self, result: dict[str, Any], evaluations_planned: int) -> None:
        """evaluations_planned: of a study that has all it needs, those that it had."""

        def change(session: Session) -> None:
            row = session.get_one(StudyRow, self.study_id)
            row.finished, row.evaluations_planned = datetime.now(UTC), evaluations_planned
            row.phase, row.verdict, row.reason, row.result = "ended", result["verdict"], result["reason"], result

        _write(self._engine, change)


class _WrittenBefore(Exception):
    """The server committed the first try, and went away before it could say so."""


def _write(engine: Engine, change: Callable[[Session], T]) -> T:
    """One transaction, tried again while the server is away."""
    limit = time.monotonic() + PATIENCE
    again = False
    while True:
        try:
            with Session(engine, expire_on_commit=False) as session:
                found = change(session)
                session.commit()
                return found
        except SQLAlchemyError as error:
            if again and isinstance(error, IntegrityError):
                raise _WrittenBefore from None
            if not is_passing(error, engine) or time.monotonic() > limit:
                raise StoreError(
                    f"the store {name_of(engine)} takes no more: {cause(error)}; what it has is safe"
                ) from None
            again = True
            time.sleep(0.5)


def studies(engine: Engine, workload_name: str | None = None) -> Sequence[StudyRow]:
    """All studies, or those of one workload, the latest first."""
    query = select(StudyRow).order_by(StudyRow.id.desc())
    with Session(engine) as session:
        return session.scalars(query.filter_by(workload_name=workload_name) if workload_name else query).all()


def hosts(engine: Engine, study_id: int) -> Sequence[HostRow]:
    with Session(engine) as session:
        return session.scalars(select(HostRow).where(HostRow.study_id == study_id).order_by(HostRow.id)).all()


def trials(engine: Engine, study_id: int, after: int = 0) -> Sequence[TrialRow]:
    """The trials of a study with an id above `after`, in the order in which they ended."""
    with Session(engine) as session:
        query = select(TrialRow).where(TrialRow.study_id == study_id, TrialRow.id > after)
        return session.scalars(query.order_by(TrialRow.id)).all()


def trial_of(row: TrialRow, host: str) -> Trial:
    """The trial that is stored in a row. host: the name of the host with the row's host_id."""

    def columns_for(record: type, *others: str) -> dict[str, Any]:
        return {f.name: getattr(row, f.name) for f in fields(record) if f.name not in others}

    columns = columns_for(Trial, "host", "score") | {"phase": Phase(row.phase), "state": State(row.state)}
    return Trial(**columns, host=host, score=Score(**columns_for(Score)))


def events(engine: Engine, study_id: int, after: int = 0) -> Sequence[EventRow]:
    """The same for events."""
    with Session(engine) as session:
        query = select(EventRow).where(EventRow.study_id == study_id, EventRow.id > after)
        return session.scalars(query.order_by(EventRow.id)).all()
