# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Writes a study to the store while it runs, and reads it back. Reading raises StoreError as writing does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Engine, Select, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from .._trial.trial import Phase, Score, State, Trial
from .database import StoreError, cause, is_transient, name_of, open_store
from .tables import EventRow, HostRow, RequestRow, StudyRow, TrialRow
from .url import shown

T = TypeVar("T")

# Users of the store also need these.
__all__ = ["StoreError", "open_store", "shown"]

# Seconds to wait for a database server to restart: shorter than a lease, so that none expires meanwhile.
PATIENCE = 30.0
RESUMED = "resumed"


class StudyRecord:
    """Writes a running study: each call is one transaction, durable when it returns. Raises StoreError.

    If the database server is away, calls are retried for PATIENCE seconds. No trial is written twice.
    """

    def __init__(self, engine: Engine, row: StudyRow) -> None:
        self._engine = engine
        self._writing = threading.Lock()
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
        """Add a new study. files: the SHA-256 of the files that it copies to its hosts, by name."""
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
        """Reopen an interrupted study, with the content of its study file as it is now."""
        at = datetime.now(UTC)

        def reopen(session: Session) -> StudyRecord:
            row = session.get_one(StudyRow, study_id)
            row.study = study
            row.finished = row.verdict = row.reason = row.result = row.left_seconds = None
            session.add(EventRow(study_id=study_id, at=at, text=RESUMED))
            # These requests were meant for the run that has ended.
            pending = select(RequestRow).where(RequestRow.study_id == study_id, RequestRow.taken_at.is_(None))
            for request in session.scalars(pending):
                request.taken_at = at
            # What its hosts did when it was killed; those that take part again are added again.
            session.execute(update(HostRow).where(HostRow.study_id == study_id).values(doing=None, since=None))
            return cls(engine, row)

        return _write(engine, reopen)

    def _write(self, change: Callable[[Session], T]) -> T:
        """One at a time: who reads what is new must not meet a later event before an earlier one is committed."""
        with self._writing:
            return _write(self._engine, change)

    def add_host(self, name: str, facts: dict[str, Any], original_values: dict[str, str], after: int = 0) -> None:
        """Add a host or mark it as present again. after: if it has changed, its trials up to this id do not count."""

        def add(session: Session) -> int:
            known = session.scalar(select(HostRow).where(HostRow.study_id == self.study_id, HostRow.name == name))
            row = known or HostRow(study_id=self.study_id, name=name)
            if row.facts != facts:
                row.facts, row.original_values, row.changed_after = facts, dict(original_values), after
            row.lost = row.restored = None
            session.add(row)
            session.flush()
            return row.id

        self._hosts[name] = self._write(add)

    def lose_host(self, name: str, reason: str) -> None:
        self._change_host(name, reason, lost=reason)

    def set_activity(self, name: str, activity: str | None) -> None:
        """What the host does from now on; None once it has left."""
        self._change_host(name, None, doing=activity, since=datetime.now(UTC))

    def set_ending(self, name: str, ending: str, restored: bool) -> None:
        """The state in which the host was left; restored: its original values were restored and verified."""
        self._change_host(name, ending, restored=restored)

    def _change_host(self, name: str, event: str | None, **columns: Any) -> None:
        """Set columns of a host, if it took part, and add an event about it in any case."""
        at = datetime.now(UTC)

        def change(session: Session) -> None:
            row = session.get_one(HostRow, self._hosts[name]) if name in self._hosts else None
            for column, value in columns.items() if row else ():
                setattr(row, column, value)
            if event is not None:
                session.add(EventRow(study_id=self.study_id, at=at, host=name, text=event))

        self._write(change)

    def add_trial(self, trial: Trial, **progress: Any) -> None:
        """progress: columns of the study that change with it."""
        columns = {name: value for name, value in vars(trial).items() if name not in ("host", "score")}
        columns |= vars(trial.score)

        def add(session: Session) -> None:
            session.add(TrialRow(study_id=self.study_id, host_id=self._hosts[trial.host], **columns))
            study = session.get_one(StudyRow, self.study_id)
            for column, value in progress.items():
                setattr(study, column, value)

        try:
            self._write(add)
        except _AlreadyWritten:
            return

    def add_event(self, text: str, host: str | None = None) -> None:
        at = datetime.now(UTC)

        def add(session: Session) -> None:
            session.add(EventRow(study_id=self.study_id, at=at, host=host, text=text))

        self._write(add)

    def enter(self, phase: str, trials_planned: int) -> None:
        def change(session: Session) -> None:
            row = session.get_one(StudyRow, self.study_id)
            row.phase, row.trials_planned = phase, trials_planned

        self._write(change)

    def finish(self, result: dict[str, Any], trials_planned: int) -> None:
        """trials_planned: for a study that needs no more trials, the number that it had."""

        def change(session: Session) -> None:
            row = session.get_one(StudyRow, self.study_id)
            row.finished, row.trials_planned = datetime.now(UTC), trials_planned
            row.phase, row.verdict, row.reason, row.result = "ended", result["verdict"], result["reason"], result

        self._write(change)


class _AlreadyWritten(Exception):
    """The server committed an earlier attempt but was lost before it confirmed that."""


def _write(engine: Engine, change: Callable[[Session], T]) -> T:
    """Run one transaction, with retries while the server is away."""
    attempts = 0

    def attempt() -> T:
        nonlocal attempts
        attempts += 1
        try:
            with Session(engine, expire_on_commit=False) as session:
                value = change(session)
                session.commit()
                return value
        except IntegrityError:
            if attempts > 1:
                raise _AlreadyWritten from None
            raise

    return _patiently(engine, attempt, "writing to")


def _read(engine: Engine, query: Select[T]) -> Sequence[T]:
    """All rows, with retries while the server is away."""

    def attempt() -> Sequence[T]:
        with Session(engine) as session:
            return session.scalars(query).all()

    return _patiently(engine, attempt, "reading")


def _patiently(engine: Engine, attempt: Callable[[], T], doing: str) -> T:
    limit = time.monotonic() + PATIENCE
    while True:
        try:
            return attempt()
        except SQLAlchemyError as error:
            if not is_transient(error, engine) or time.monotonic() > limit:
                raise StoreError(
                    f"{doing} the store {name_of(engine)} failed: {cause(error)}; earlier trials are safe"
                ) from None
            time.sleep(0.5)


def studies(engine: Engine, workload_name: str | None = None) -> Sequence[StudyRow]:
    """All studies or those of one workload, the latest first."""
    query = select(StudyRow).order_by(StudyRow.id.desc())
    return _read(engine, query.filter_by(workload_name=workload_name) if workload_name else query)


def hosts(engine: Engine, study_id: int) -> Sequence[HostRow]:
    return _read(engine, select(HostRow).where(HostRow.study_id == study_id).order_by(HostRow.id))


def trials(engine: Engine, study_id: int, after: int = 0) -> Sequence[TrialRow]:
    """The trials of a study with an id above `after`, in the order in which they ended."""
    query = select(TrialRow).where(TrialRow.study_id == study_id, TrialRow.id > after)
    return _read(engine, query.order_by(TrialRow.id))


def trial_of(row: TrialRow, host: str) -> Trial:
    """The trial that is stored in a row. host: the name of the host with the row's host_id."""

    def columns_for(record: type, *others: str) -> dict[str, Any]:
        return {f.name: getattr(row, f.name) for f in fields(record) if f.name not in others}

    columns = columns_for(Trial, "host", "score") | {"phase": Phase(row.phase), "state": State(row.state)}
    return Trial(**columns, host=host, score=Score(**columns_for(Score)))


def events(engine: Engine, study_id: int, after: int = 0) -> Sequence[EventRow]:
    """The events of a study with an id above `after`, in order."""
    query = select(EventRow).where(EventRow.study_id == study_id, EventRow.id > after)
    return _read(engine, query.order_by(EventRow.id))
