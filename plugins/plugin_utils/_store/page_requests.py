# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Requests from the page to the trainer of a running study. The store is the only connection between the two."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from .tables import RequestRow

Kind = Literal["stop", "restore"]


@dataclass(frozen=True)
class Request:
    """stop: run no more trials. restore: also restore the original values of all hosts immediately. by: an address."""

    kind: Kind
    by: str
    id: int = field(default=0, compare=False)


def ask(engine: Engine, study_id: int, kind: Kind, by: str) -> None:
    """Store a request for the study's trainer. by: the address that it came from. Raises SQLAlchemyError."""
    with Session(engine) as session:
        session.add(RequestRow(study_id=study_id, kind=kind, at=datetime.now(UTC), by=by))
        session.commit()


def take(engine: Engine, study_id: int) -> list[Request]:
    """The new requests for a study, which are marked as taken. Without any, nothing is written.

    If the store does not confirm that they are marked, they may be returned again. Raises SQLAlchemyError.
    """
    with Session(engine) as session:
        query = select(RequestRow).where(RequestRow.study_id == study_id, RequestRow.taken_at.is_(None))
        rows = session.scalars(query.order_by(RequestRow.id)).all()
        requests = [Request("restore" if row.kind == "restore" else "stop", row.by, row.id) for row in rows]
        for row in rows:
            row.taken_at = datetime.now(UTC)
        if rows:
            # A server that is lost now may have marked them, so that they would never be seen again.
            with contextlib.suppress(SQLAlchemyError):
                session.commit()
        return requests
