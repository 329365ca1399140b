# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the page asks of the store: one query a view, and for what is new since the last look, a short one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, String, and_, cast, func, or_, select

from ..plugins.plugin_utils._outcome.verdict import is_proved
from ..plugins.plugin_utils._store.claim import claimed
from ..plugins.plugin_utils._store.tables import Base, EventRow, HostRow, RequestRow, StudyRow, TrialRow
from ..plugins.plugin_utils._trial.trial import State, values_label
from .readonly_store import ReadOnlyStore


class Trial(NamedTuple):
    """The fields of a trial that charts, tables and messages need (see plugin_utils/_trial/trial.py)."""

    id: int
    phase: str
    pair: int | None
    host: str
    metric: float | None
    performance: float | None
    stability: float | None
    reward: float
    state: str
    error: str | None
    finished: datetime
    requested: Mapping[str, Any]
    original: bool

    @property
    def failed(self) -> bool:
        return self.state == State.FAILED

    @property
    def label(self) -> str:
        return values_label(self.phase, original=self.original)

    @property
    def gain_percent(self) -> float | None:
        """The candidate's change against the host's own baseline; None of original values, which are that baseline."""
        return None if self.original else self.change_percent

    @property
    def change_percent(self) -> float | None:
        """Against the host's own baseline, in per cent; positive is better. Of original values that is their noise."""
        return None if self.performance is None else math.expm1(min(self.performance, 700.0)) * 100


class Event(NamedTuple):
    id: int
    at: datetime
    host: str | None
    text: str


class Host(NamedTuple):
    """A host: what it has done so far, and what it is at. baseline_metric: its latest measurement of the baseline.

    restored: whether it has its own values back, verified; None as long as it has not said so.
    """

    name: str
    doing: str | None
    since: datetime | None
    lost: str | None
    evaluations: int
    failures: int
    baseline_metric: float | None
    restored: bool | None = None


@dataclass(frozen=True)
class StudyData:
    """A study as it stands: what charts are drawn from. Everything is in the order in which it happened.

    study: id, workload_name, metric, direction, seed, started, finished, phase, evaluations_planned, verdict, reason,
    and under `study` the study file's content. result: what result.json holds, once the study has ended.
    """

    study: Mapping[str, Any]
    hosts: Sequence[Host]
    evaluations: Sequence[Trial]
    events: Sequence[Event]
    result: Mapping[str, Any] | None

    @property
    def parameters(self) -> list[str]:
        return [entry["param"] for entry in self.study["study"]["action_space"]]


_STUDY = ("id", "workload_name", "seed", "started", "finished", "phase", "evaluations_planned", "verdict", "reason")
_TRIAL = (
    *("id", "phase", "pair", "host_id", "metric", "performance", "stability", "reward", "state", "error", "finished"),
    *("requested", "original"),
)


def _columns(table: type[Base], names: Sequence[str]) -> list[Any]:
    return [getattr(table, name) for name in names]


def study_row(connection: Connection, store: ReadOnlyStore, study_id: int) -> dict[str, Any] | None:
    """The row with all that does not change while the study runs, and the result; None where there is none."""
    query = select(*_columns(StudyRow, (*_STUDY, "study", "result"))).where(StudyRow.id == study_id)
    row = connection.execute(query).one_or_none()
    return described(row) if row else None


def described(row: Row[Any]) -> dict[str, Any]:
    """A row of a study as the pages have it: what they need of the study's file lies open."""
    found = dict(row._mapping)
    own = found["study"] if isinstance(found["study"], dict) else {}
    return {
        **found,
        "study": {**own, **_in_shape(own)},
        "metric": str(own.get("reward_metric", "")),
        "direction": "minimise" if own.get("direction") == "minimise" else "maximise",
    }


def _in_shape(own: dict[str, Any]) -> dict[str, Any]:
    """The parts of a study's file that others look into; whoever wrote the store, they are what they should be."""
    space = own.get("action_space")
    entries = [entry for entry in space if isinstance(entry, dict)] if isinstance(space, list) else []
    parts = {name: own.get(name) for name in ("training_config", "verification")}
    return {
        **{name: part if isinstance(part, dict) else {} for name, part in parts.items()},
        "action_space": [entry for entry in entries if isinstance(entry.get("param"), str)],
    }


def progress_row(connection: Connection, store: ReadOnlyStore, study_id: int) -> Row[Any] | None:
    """What changes in a study's row while it runs."""
    wanted = ("phase", "evaluations_planned", "verdict", "reason", "finished")
    return connection.execute(select(*_columns(StudyRow, wanted)).where(StudyRow.id == study_id)).one_or_none()


def abandoned(connection: Connection, study_ids: Sequence[int]) -> set[int]:
    """Those of the studies that no trainer runs now; none of them where that cannot be seen."""
    held = claimed(connection, study_ids)
    return set() if held is None else set(study_ids) - held


def host_rows(connection: Connection, store: ReadOnlyStore, study_id: int) -> Sequence[Row[Any]]:
    wanted = _columns(HostRow, ("id", "name", "doing", "since", "lost", "restored"))
    return connection.execute(select(*wanted).where(HostRow.study_id == study_id).order_by(HostRow.id)).all()


def host_facts(connection: Connection, store: ReadOnlyStore, study_id: int) -> Sequence[Row[Any]]:
    """What was found on each host before anything was written there."""
    wanted = _columns(HostRow, ("name", "facts", "baseline_values", "lost", "doing", "since"))
    return connection.execute(select(*wanted).where(HostRow.study_id == study_id).order_by(HostRow.id)).all()


def evaluations_after(connection: Connection, store: ReadOnlyStore, study_id: int, after: int) -> Sequence[Row[Any]]:
    query = select(*_columns(TrialRow, _TRIAL))
    query = query.where(TrialRow.study_id == study_id, TrialRow.id > after)
    return connection.execute(query.order_by(TrialRow.id)).all()


def events_after(connection: Connection, study_id: int, after: int) -> list[Event]:
    query = select(EventRow.id, EventRow.at, EventRow.host, EventRow.text)
    query = query.where(EventRow.study_id == study_id, EventRow.id > after).order_by(EventRow.id)
    return [Event(*row) for row in connection.execute(query)]


def last_request(connection: Connection, store: ReadOnlyStore, study_id: int) -> dict[str, Any] | None:
    """The last thing that somebody asked of the study on its page."""
    query = select(RequestRow.kind, RequestRow.at, RequestRow.by, RequestRow.taken_at)
    row = connection.execute(
        query.where(RequestRow.study_id == study_id).order_by(RequestRow.id.desc()).limit(1)
    ).first()
    return dict(row._mapping) if row else None


def evaluation(connection: Connection, store: ReadOnlyStore, study_id: int, number: int) -> dict[str, Any] | None:
    """Everything known of one evaluation."""
    query = select(*TrialRow.__table__.columns, HostRow.name.label("host"))
    query = query.join(HostRow, HostRow.id == TrialRow.host_id)
    query = query.where(TrialRow.study_id == study_id, TrialRow.id == number)
    row = connection.execute(query).one_or_none()
    return dict(row._mapping) if row else None


def whole_evaluations(store: ReadOnlyStore, study_id: int, chunk: int = 500) -> Iterator[dict[str, Any]]:
    """Every evaluation with everything known of it. No transaction stays open while somebody reads slowly."""
    after = 0
    while True:
        query = select(*TrialRow.__table__.columns, HostRow.name.label("host"))
        query = query.join(HostRow, HostRow.id == TrialRow.host_id)
        query = query.where(TrialRow.study_id == study_id, TrialRow.id > after)
        with store.reading() as connection:
            rows = connection.execute(query.order_by(TrialRow.id).limit(chunk)).all()
        if not rows:
            return
        after = rows[-1].id
        yield from (dict(row._mapping) for row in rows)


def listed_studies(
    connection: Connection, store: ReadOnlyStore, *, search: str = "", verdict: str = "", page: int = 1, size: int = 50
) -> tuple[list[dict[str, Any]], int]:
    """A page of studies, the latest first, and how many there are in all.

    verdict: one of them, or "running" or "interrupted": without an end, with and without a trainer that works on it.
    """
    wanted = []
    unfinished = connection.execute(select(StudyRow.id).where(StudyRow.finished.is_(None))).scalars().all()
    interrupted = abandoned(connection, unfinished)
    if search:
        text = search.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
        matches = [StudyRow.workload_name.ilike(f"%{text}%", escape="\\")]
        wanted.append(or_(*matches, cast(StudyRow.id, String) == search))
    if verdict in ("running", "interrupted"):
        chosen = interrupted if verdict == "interrupted" else set(unfinished) - interrupted
        wanted.append(StudyRow.id.in_(chosen))
    elif verdict:
        wanted.append(StudyRow.verdict == verdict)
    total = connection.execute(select(func.count()).select_from(StudyRow).where(and_(True, *wanted))).scalar_one()
    query = select(*_columns(StudyRow, (*_STUDY, "study", "result"))).where(and_(True, *wanted))
    rows = connection.execute(query.order_by(StudyRow.id.desc()).limit(size).offset((page - 1) * size)).all()
    ids = [row.id for row in rows]
    counts = _counts(connection, TrialRow.study_id, ids)
    hosts = _counts(connection, HostRow.study_id, ids)
    # Which ones failed stands in the rows themselves, and is counted for the studies alone that have no result yet.
    running = [row.id for row in rows if row.finished is None]
    failed = _counts(connection, TrialRow.study_id, running, TrialRow.state == State.FAILED.value)
    return [_summary(described(row), counts, failed, hosts, interrupted) for row in rows], total


def _counts(connection: Connection, column: Any, ids: list[int], *conditions: Any) -> dict[int, int]:
    query = select(column, func.count()).where(column.in_(ids), *conditions).group_by(column)
    rows = connection.execute(query).all() if ids else []
    return {row[0]: row[1] for row in rows}


def _summary(
    study: dict[str, Any],
    evaluations: dict[int, int],
    failed: dict[int, int],
    hosts: dict[int, int],
    interrupted: set[int],
) -> dict[str, Any]:
    """A study in one line. improvement and interval are in per cent; proved: whether there is any."""
    result = study["result"] if isinstance(study["result"], dict) else {}
    counted = result.get("evaluations") if isinstance(result.get("evaluations"), dict) else {}
    own = study["id"]
    return {
        **{name: study[name] for name in (*_STUDY, "metric", "direction")},
        **{name: result.get(name) for name in ("improvement", "interval", "confidence", "pairs", "best_config")},
        "proved": is_proved({**result, "verdict": study["verdict"]}),
        "evaluations": evaluations.get(own, 0),
        "failed": failed.get(own, (counted or {}).get("failed", 0)),
        "hosts": hosts.get(own, 0),
        "running": study["finished"] is None and own not in interrupted,
        "interrupted": own in interrupted,
    }
