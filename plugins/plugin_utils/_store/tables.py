# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The tables of the store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, ForeignKey, Index, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class _UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC, also when read: SQLite drops the time zone, and PostgreSQL returns times in its own."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class _AnyText(TypeDecorator[str]):
    """Text with NUL and lone surrogates replaced: a benchmark can print them, but PostgreSQL rejects them."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return value and value.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


class Base(DeclarativeBase):
    type_annotation_map = {dict[str, Any]: JSON, list[float]: JSON, datetime: _UtcDateTime, str: _AnyText}


class StudyRow(Base):
    """A study. verdict: None while it runs. result: the content of result.json once it has ended.

    trials_planned, left_seconds: as on the terminal, of the last trial. files: the SHA-256 of the files that it
    copies to its hosts, by name; a resumed run must use the same files.
    """

    __tablename__ = "studies"

    id: Mapped[int] = mapped_column(primary_key=True)
    workload_name: Mapped[str] = mapped_column(String(64), index=True)
    study: Mapped[dict[str, Any]]
    seed: Mapped[int] = mapped_column(BigInteger)
    started: Mapped[datetime]
    finished: Mapped[datetime | None]
    phase: Mapped[str] = mapped_column(String(16))
    trials_planned: Mapped[int] = mapped_column(default=0)
    left_seconds: Mapped[float | None]
    verdict: Mapped[str | None] = mapped_column(String(16))
    reason: Mapped[str | None]
    result: Mapped[dict[str, Any] | None]
    files: Mapped[dict[str, Any] | None]


class HostRow(Base):
    """A host of a study. facts: from sysctl_info. original_values: of the tuned parameters.

    lost: why it left. doing, since: its activity ("training 12", "waits", …) and when that began; None once it left.
    changed_after: the host rebooted or changed while the study was interrupted, so its trials up to this id do not
    count towards its baseline. restored: whether the original values are back, verified; None until it has reported.
    """

    __tablename__ = "hosts"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    name: Mapped[str] = mapped_column(String(255))
    facts: Mapped[dict[str, Any]]
    original_values: Mapped[dict[str, Any]]
    lost: Mapped[str | None]
    doing: Mapped[str | None]
    since: Mapped[datetime | None]
    changed_after: Mapped[int | None]
    restored: Mapped[bool | None]


class TrialRow(Base):
    """A trial, with the fields of Trial and of its Score (see _trial/trial.py)."""

    __tablename__ = "trials"

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    host_id: Mapped[int] = mapped_column(ForeignKey("hosts.id"))
    phase: Mapped[str] = mapped_column(String(16))
    pair: Mapped[int | None]
    benchmark: Mapped[str | None]
    pause: Mapped[float] = mapped_column(default=0.0)
    original: Mapped[bool]
    proposed_by: Mapped[str] = mapped_column(default="")
    requested: Mapped[dict[str, Any]]
    applied: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(16))
    error: Mapped[str | None]
    metric: Mapped[float | None]
    streamed: Mapped[list[float]]
    metrics: Mapped[dict[str, Any]]
    observations: Mapped[dict[str, Any]]
    health: Mapped[dict[str, Any]]
    seconds: Mapped[dict[str, Any]]
    performance: Mapped[float | None]
    stability: Mapped[float | None]
    stability_parts: Mapped[dict[str, Any]]
    reward: Mapped[float]
    noise: Mapped[float | None]
    level: Mapped[float | None]
    uncertainty: Mapped[float]
    finished: Mapped[datetime]


class EventRow(Base):
    """An event other than a trial: a host was lost or refused, a notice, a resumption."""

    __tablename__ = "events"
    __table_args__ = (Index("events_in_order", "study_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    at: Mapped[datetime]
    host: Mapped[str | None] = mapped_column(String(255))
    text: Mapped[str]


class RequestRow(Base):
    """A request from the page to a running study. The trainer polls for requests and sets taken_at.

    kind: stop or restore. by: the address that it came from.
    """

    __tablename__ = "requests"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime]
    by: Mapped[str] = mapped_column(String(255))
    taken_at: Mapped[datetime | None]
