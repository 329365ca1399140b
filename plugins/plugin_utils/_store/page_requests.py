# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the page asks of a running study, left in the store for its trainer: nothing else lies between the two."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from .tables import RequestRow

Kind = Literal["stop", "restore"]


@dataclass(frozen=True)
class Request:
    """stop: no further evaluations. restore: the same, and every host gets its own values back at once."""

    kind: Kind
    by: str


def ask(engine: Engine, study_id: int, kind: Kind, by: str) -> None:
    """Leave a request for the study's trainer. by: the address that asked. Raises SQLAlchemyError."""
    with Session(engine) as session:
        session.add(RequestRow(study_id=study_id, kind=kind, at=datetime.now(UTC), by=by))
        session.commit()


def take(engine: Engine, study_id: int) -> list[Request]:
    """The requests that nobody has taken yet, marked as taken; without any, nothing is written.

    Raises SQLAlchemyError.
    """
    with Session(engine) as session:
        query = select(RequestRow).where(RequestRow.study_id == study_id, RequestRow.taken_at.is_(None))
        rows = session.scalars(query.order_by(RequestRow.id)).all()
        found = [Request("restore" if row.kind == "restore" else "stop", row.by) for row in rows]
        for row in rows:
            row.taken_at = datetime.now(UTC)
        if rows:
            session.commit()
        return found
