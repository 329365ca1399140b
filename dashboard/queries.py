# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The dashboard's queries: one per view, and a cheap one for what is new since the last refresh."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import ValidationError
from sqlalchemy import Connection, Row, Select, String, cast, func, or_, select

from ..plugins.plugin_utils._outcome.result import Result, in_one_line
from ..plugins.plugin_utils._outcome.verdict import is_proved, metrics
from ..plugins.plugin_utils._store.claim import claimed
from ..plugins.plugin_utils._store.tables import EventRow, HostRow, RequestRow, StudyRow, TrialRow
from ..plugins.plugin_utils._trial.trial import State, values_label
from .readonly_store import ReadOnlyStore


class Trial(NamedTuple):
    """The fields of a trial that charts, tables and messages show (see plugin_utils/_trial/trial.py)."""

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
    benchmark: str | None = None

    @property
    def failed(self) -> bool:
        return self.state == State.FAILED

    @property
    def label(self) -> str:
        return values_label(self.phase, original=self.original, benchmark=self.benchmark)

    @property
    def change_percent(self) -> float | None:
        """The candidate's change against its host's baseline; None for the original values, which are the baseline."""
        return None if self.original else self.deviation_percent

    @property
    def deviation_percent(self) -> float | None:
        """The trial's deviation from its host's baseline, positive is better; of the original values, their noise."""
        return None if self.performance is None else math.expm1(min(self.performance, 700.0)) * 100


class Event(NamedTuple):
    id: int
    at: datetime
    host: str | None
    text: str


class Host(NamedTuple):
    """A host so far. doing: its activity, and since when. lost: why it left. baseline_metric: its latest baseline.

    restored: whether it has its original values back, verified; None if it has not reported that.
    """

    name: str
    doing: str | None
    since: datetime | None
    lost: str | None
    trials: int
    failures: int
    baseline_metric: float | None
    restored: bool | None = None


@dataclass(frozen=True)
class StudyData:
    """What charts are drawn from; trials and events in order of time. section: the IDs of the trials to be drawn.

    study: id, workload_name, metric, metrics, direction, seed, started, finished, phase, trials_planned,
    left_seconds, verdict, reason; under `study`, the content of the study file. result: the content of result.json,
    once the study has ended; None if it cannot be read, with the reason under `result_problem` of the study.
    """

    study: Mapping[str, Any]
    hosts: Sequence[Host]
    trials: Sequence[Trial]
    events: Sequence[Event]
    result: Mapping[str, Any] | None
    section: range = range(sys.maxsize)

    @property
    def drawn(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.id in self.section]


def parameters_of(study: Mapping[str, Any]) -> list[str]:
    return [entry["param"] for entry in study["study"]["action_space"]]


_PROGRESS: tuple[Any, ...] = (
    *(StudyRow.phase, StudyRow.trials_planned, StudyRow.left_seconds),
    *(StudyRow.verdict, StudyRow.reason, StudyRow.finished),
)
_STUDY: tuple[Any, ...] = (
    *(StudyRow.id, StudyRow.workload_name, StudyRow.seed, StudyRow.started, *_PROGRESS),
    *(StudyRow.study, StudyRow.result),
)
_SUMMARY = ("id", "workload_name", "seed", "started", "finished", "phase", "trials_planned", "verdict", "reason")
_TRIAL = (
    *(TrialRow.id, TrialRow.phase, TrialRow.pair, TrialRow.host_id, TrialRow.metric, TrialRow.performance),
    *(TrialRow.stability, TrialRow.reward, TrialRow.state, TrialRow.error, TrialRow.finished),
    *(TrialRow.requested, TrialRow.original, TrialRow.benchmark),
)
_BY_NAME = ("requested", "applied", "metrics", "observations", "health", "stability_parts", "seconds")


def study_row(connection: Connection, study_id: int) -> dict[str, Any] | None:
    """The study with its file and its result; None if there is none."""
    query = select(*_STUDY).where(StudyRow.id == study_id)
    row = connection.execute(query).one_or_none()
    return _study(row) if row else None


def _study(row: Row[Any]) -> dict[str, Any]:
    """The row with the metric, all metrics in words, and the direction of the study file.

    Any program may have written the store: values of another type than the pages expect are left out.
    """
    found = dict(row._mapping)
    result, problem = _result(found["result"]) if found["finished"] else (None, None)
    file = found["study"] if isinstance(found["study"], dict) else {}
    space = file.get("action_space")
    entries = [entry for entry in space if isinstance(entry, dict)] if isinstance(space, list) else []
    parts = {name: file.get(name) for name in ("training_config", "verification")}
    return {
        **found,
        "result": result,
        "result_problem": problem,
        "study": {
            **file,
            **{name: part if isinstance(part, dict) else {} for name, part in parts.items()},
            "action_space": [entry for entry in entries if isinstance(entry.get("param"), str)],
        },
        "metric": (metric := str(file.get("reward_metric", ""))),
        "metrics": _metrics(metric, file.get("objectives")),
        "direction": "minimise" if file.get("direction") == "minimise" else "maximise",
    }


def _result(stored: Any) -> tuple[dict[str, Any] | None, str | None]:
    """The result with all of its keys; or why it cannot be read."""
    try:
        return Result.model_validate(stored).model_dump(mode="json"), None
    except ValidationError as error:
        return None, in_one_line(error)


def _metrics(metric: str, objectives: Any) -> str:
    """What an improvement is about: the metric, or all objectives."""
    entries = [entry for entry in objectives if isinstance(entry, dict)] if isinstance(objectives, list) else []
    others = [{"metric": entry["metric"]} for entry in entries if isinstance(entry.get("metric"), str)]
    return metrics({"metric": metric, "objectives": [{"metric": metric}, *others] if others else []})


def progress_row(connection: Connection, study_id: int) -> Row[Any] | None:
    """The columns that change while the study runs."""
    return connection.execute(select(*_PROGRESS).where(StudyRow.id == study_id)).one_or_none()


def abandoned(connection: Connection, study_ids: Sequence[int]) -> set[int]:
    """The studies that no trainer runs; empty if the database cannot tell."""
    held = claimed(connection, study_ids)
    return set() if held is None else set(study_ids) - held


def host_rows(connection: Connection, study_id: int) -> Sequence[Row[Any]]:
    columns: tuple[Any, ...] = (HostRow.id, HostRow.name, HostRow.doing, HostRow.since, HostRow.lost, HostRow.restored)
    return connection.execute(select(*columns).where(HostRow.study_id == study_id).order_by(HostRow.id)).all()


def host_facts(connection: Connection, study_id: int) -> Sequence[Row[Any]]:
    """Facts and original values of each host."""
    query: Select[Any] = select(
        HostRow.name, HostRow.facts, HostRow.original_values, HostRow.lost, HostRow.doing, HostRow.since
    )
    return connection.execute(query.where(HostRow.study_id == study_id).order_by(HostRow.id)).all()


def trials_after(connection: Connection, study_id: int, after: int) -> Sequence[Row[Any]]:
    query = select(*_TRIAL).where(TrialRow.study_id == study_id, TrialRow.id > after)
    return connection.execute(query.order_by(TrialRow.id)).all()


def events_after(connection: Connection, study_id: int, after: int) -> list[Event]:
    query = select(EventRow.id, EventRow.at, EventRow.host, EventRow.text)
    query = query.where(EventRow.study_id == study_id, EventRow.id > after).order_by(EventRow.id)
    return [Event(*row) for row in connection.execute(query)]


def last_request(connection: Connection, study_id: int, since: datetime | None) -> dict[str, Any] | None:
    """The latest request made on the study's page, after `since`."""
    query = select(RequestRow.kind, RequestRow.at, RequestRow.by, RequestRow.taken_at)
    query = query.where(RequestRow.study_id == study_id).order_by(RequestRow.id.desc()).limit(1)
    query = query.where(RequestRow.at >= since) if since else query
    row = connection.execute(query).first()
    return dict(row._mapping) if row else None


def _full_trials(study_id: int) -> Select[Any]:
    query = select(*TrialRow.__table__.columns, HostRow.name.label("host"))
    return query.join(HostRow, HostRow.id == TrialRow.host_id).where(TrialRow.study_id == study_id)


def full_trial(connection: Connection, study_id: int, trial_id: int) -> dict[str, Any] | None:
    """All fields of one trial."""
    row = connection.execute(_full_trials(study_id).where(TrialRow.id == trial_id)).one_or_none()
    return _full(row) if row else None


def _full(row: Row[Any]) -> dict[str, Any]:
    """All fields; those of another type than the pages expect are left out, as by `_study`."""
    fields = dict(row._mapping)
    kinds = dict.fromkeys(_BY_NAME, dict) | {"streamed": list}
    return fields | {name: kind() for name, kind in kinds.items() if not isinstance(fields[name], kind)}


def full_trials(store: ReadOnlyStore, study_id: int, chunk: int = 500) -> Iterator[dict[str, Any]]:
    """All trials with all fields. No transaction stays open between chunks, however slow the reader is."""
    after = 0
    while True:
        query = _full_trials(study_id).where(TrialRow.id > after).order_by(TrialRow.id).limit(chunk)
        with store.reading() as connection:
            rows = connection.execute(query).all()
        if not rows:
            return
        after = rows[-1].id
        yield from map(_full, rows)


def listed_studies(
    connection: Connection, *, search: str = "", verdict: str = "", page: int = 1, size: int = 50
) -> tuple[list[dict[str, Any]], int]:
    """A page of studies, latest first, and the number of all that match.

    verdict: "running" and "interrupted" are unfinished studies with and without a trainer.
    """
    conditions: list[Any] = []
    unfinished = connection.execute(select(StudyRow.id).where(StudyRow.finished.is_(None))).scalars().all()
    interrupted = abandoned(connection, unfinished)
    if search:
        matches = StudyRow.workload_name.icontains(search, autoescape=True)
        conditions.append(or_(matches, cast(StudyRow.id, String) == search))
    if verdict in ("running", "interrupted"):
        chosen = interrupted if verdict == "interrupted" else set(unfinished) - interrupted
        conditions.append(StudyRow.id.in_(chosen))
    elif verdict:
        conditions.append(StudyRow.verdict == verdict)
    total = connection.execute(select(func.count()).select_from(StudyRow).where(*conditions)).scalar_one()
    query = select(*_STUDY).where(*conditions)
    rows = connection.execute(query.order_by(StudyRow.id.desc()).limit(size).offset((page - 1) * size)).all()
    ids = [row.id for row in rows]
    trials = _counts(connection, TrialRow.study_id, ids)
    hosts = _counts(connection, HostRow.study_id, ids)
    # The result of a finished study has this number; counting reads every row.
    running = [row.id for row in rows if row.finished is None]
    failed = _counts(connection, TrialRow.study_id, running, TrialRow.state == State.FAILED.value)
    return [_summary(_study(row), trials, failed, hosts, interrupted) for row in rows], total


def _counts(connection: Connection, column: Any, ids: list[int], *conditions: Any) -> dict[int, int]:
    query = select(column, func.count()).where(column.in_(ids), *conditions).group_by(column)
    return {row[0]: row[1] for row in connection.execute(query)} if ids else {}


def _summary(
    study: dict[str, Any], trials: dict[int, int], failed: dict[int, int], hosts: dict[int, int], interrupted: set[int]
) -> dict[str, Any]:
    """The study for a list. improvement and interval are per cents."""
    result = study["result"] or {}
    study_id = study["id"]
    return {
        **{name: study[name] for name in (*_SUMMARY, "metric", "metrics", "direction")},
        **{name: result.get(name) for name in ("improvement", "interval", "confidence", "pairs", "best_config")},
        "proved": is_proved(result),
        "trials": trials.get(study_id, 0),
        "failed": failed.get(study_id, result.get("trials", {}).get("failed", 0)),
        "hosts": hosts.get(study_id, 0),
        "running": study["finished"] is None and study_id not in interrupted,
        "interrupted": study_id in interrupted,
    }
