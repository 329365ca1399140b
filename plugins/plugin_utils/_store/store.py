# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Writing a study into the store as it happens, and reading it back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session

from .tables import Base, EvaluationRow, EventRow, HostRow, StudyRow


class StoreError(Exception):
    """The store cannot be used; the message says why and which setting to change."""


def open_store(url: str) -> Engine:
    """The store at a SQLAlchemy URL, with its tables; raises StoreError where that cannot be had."""
    try:
        parsed = make_url(url)
        # A file: URI is no path, and its folder is for whoever writes one to make.
        if parsed.get_backend_name() == "sqlite" and parsed.database and not parsed.database.startswith("file:"):
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError) as error:
        raise StoreError(
            f"the store '{shown(url)}' is no SQLAlchemy URL that works here: {error}; set `store`"
        ) from None
    except OSError as error:
        raise StoreError(
            f"the store's folder cannot be made: {error}; set `store` to a place that is writable"
        ) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    try:
        Base.metadata.create_all(engine)
        _add_missing_columns(engine)
        with engine.begin() as connection:
            # Tables that exist already prove nothing about writing; find out before any host is touched.
            connection.execute(EventRow.__table__.delete().where(EventRow.id < 0))  # type: ignore[attr-defined]
    except SQLAlchemyError as error:
        raise StoreError(
            f"the store {shown(url)} cannot be written: {_cause(error)}; set `store` to one that can"
        ) from None
    return engine


def _add_missing_columns(engine: Engine) -> None:
    """For a store that an earlier version made: what it did not keep is empty there."""
    with engine.begin() as connection:
        for table in Base.metadata.sorted_tables:
            known = {column["name"] for column in inspect(connection).get_columns(table.name)}
            for column in table.columns:
                if column.name not in known:
                    kind = column.type.compile(engine.dialect)
                    connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}"))


def shown(url: str) -> str:
    """The URL without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return url.split("://")[0] + "://…" if "://" in url else url


def _prepare_sqlite(connection: Any, dummy: Any) -> None:
    # FULL costs a millisecond an evaluation, and a power cut then loses none that was acknowledged.
    for pragma in (
        "busy_timeout=10000",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "trusted_schema=OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")


class StudyRecord:
    """A running study's pen: every call is one transaction, durable when it returns. Raises StoreError."""

    def __init__(self, engine: Engine, *, workload_name: str, study: dict[str, Any], seed: int) -> None:
        self._engine = engine
        self._hosts: dict[str, int] = {}
        row = StudyRow(workload_name=workload_name, study=study, seed=seed, started=datetime.now(UTC), phase="baseline")
        with self._writing() as session:
            session.add(row)
            session.flush()
            self.study_id: int = row.id
            self.started: datetime = row.started

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        try:
            with Session(self._engine) as session:
                yield session
                session.commit()
        except SQLAlchemyError as error:
            url = self._engine.url.render_as_string()
            raise StoreError(f"the store {url} takes no more: {_cause(error)}; what it has is safe") from None

    def add_host(self, name: str, facts: dict[str, Any], baseline_values: dict[str, str]) -> None:
        row = HostRow(study_id=self.study_id, name=name, facts=facts, baseline_values=dict(baseline_values))
        with self._writing() as session:
            session.add(row)
            session.flush()
            self._hosts[name] = row.id

    def lose_host(self, name: str, reason: str) -> None:
        with self._writing() as session:
            if name in self._hosts:
                session.get_one(HostRow, self._hosts[name]).lost = reason
            session.add(EventRow(study_id=self.study_id, at=datetime.now(UTC), host=name, text=reason))

    def set_doing(self, name: str, doing: str) -> None:
        """What the host is at from now on."""
        with self._writing() as session:
            if name in self._hosts:
                row = session.get_one(HostRow, self._hosts[name])
                row.doing, row.since = doing, datetime.now(UTC)

    def add_evaluation(self, host: str, **columns: Any) -> None:
        with self._writing() as session:
            session.add(
                EvaluationRow(study_id=self.study_id, host_id=self._hosts[host], finished=datetime.now(UTC), **columns)
            )

    def add_event(self, text: str, host: str | None = None) -> None:
        with self._writing() as session:
            session.add(EventRow(study_id=self.study_id, at=datetime.now(UTC), host=host, text=text))

    def enter(self, phase: str, evaluations_planned: int) -> None:
        with self._writing() as session:
            row = session.get_one(StudyRow, self.study_id)
            row.phase, row.evaluations_planned = phase, evaluations_planned

    def finish(self, result: dict[str, Any]) -> None:
        with self._writing() as session:
            row = session.get_one(StudyRow, self.study_id)
            row.finished = datetime.now(UTC)
            row.phase, row.verdict, row.reason, row.result = "ended", result["verdict"], result["reason"], result


def _cause(error: SQLAlchemyError) -> str:
    """The database's own words, in one line."""
    return str(getattr(error, "orig", None) or error).splitlines()[0]


def studies(engine: Engine) -> Sequence[StudyRow]:
    """All studies, the latest first."""
    with Session(engine) as session:
        return session.scalars(select(StudyRow).order_by(StudyRow.id.desc())).all()


def hosts(engine: Engine, study_id: int) -> Sequence[HostRow]:
    with Session(engine) as session:
        return session.scalars(select(HostRow).where(HostRow.study_id == study_id).order_by(HostRow.id)).all()


def evaluations(engine: Engine, study_id: int, after: int = 0) -> Sequence[EvaluationRow]:
    """The evaluations of a study with an id above `after`, in the order in which they ended."""
    with Session(engine) as session:
        query = select(EvaluationRow).where(EvaluationRow.study_id == study_id, EvaluationRow.id > after)
        return session.scalars(query.order_by(EvaluationRow.id)).all()


def events(engine: Engine, study_id: int) -> Sequence[EventRow]:
    with Session(engine) as session:
        return session.scalars(select(EventRow).where(EventRow.study_id == study_id).order_by(EventRow.id)).all()
