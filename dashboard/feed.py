# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A study in memory, kept up to date with one set of queries for all viewers."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Any, NamedTuple

from sqlalchemy import Row

from ..plugins.plugin_utils._store.store import RESUMED
from . import queries
from .configuration import best_of
from .queries import Event, Host, StudyData, Trial
from .readonly_store import ReadOnlyStore

_VERSIONS = count(1)
# After the end of a study its hosts still report what they restored; without a trainer they never will.
_REPORT_SECONDS = 900.0
# A new trainer, and one whose database server restarted, needs a moment to take its lock.
_GRACE = timedelta(seconds=3)


class UnknownStudy(LookupError):
    """The store has no such study."""


@dataclass(frozen=True)
class Cursor:
    """How far a client has read: the IDs of the last trial and the last event, as in "12-3"."""

    trial: int = 0
    event: int = 0

    def __str__(self) -> str:
        return f"{self.trial}-{self.event}"

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """None if the text is no cursor."""
        parts = text.split("-")
        if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
            return None
        return cls(int(parts[0]), int(parts[1]))


@dataclass
class _Count:
    trials: int = 0
    failures: int = 0
    baseline_metric: float | None = None


class _Pause(NamedTuple):
    """A time without a trainer: from the last sign of it until the study was resumed."""

    since: datetime
    until: datetime


class Feed:
    """One study; refresh() reads only what is new, so that its cost does not grow with the study.

    version: increases with every change, which `changed` notifies; no two feeds ever have the same. sent: the stream's
    messages for one version, shared by all clients. interrupted: the study has not ended and has no trainer. is_gone:
    another file has taken the place of the store.
    """

    def __init__(self, store: ReadOnlyStore, study_id: int) -> None:
        self.study_id, self.store = study_id, store
        self.changed = threading.Condition()
        self.version = next(_VERSIONS)
        self.watchers = 0
        self.is_polled = self.is_gone = False
        self.sent: tuple[int, dict[Any, Any]] = (0, {})
        self.trials: list[Trial] = []
        self.events: list[Event] = []
        self.hosts: list[Host] = []
        self.request: dict[str, Any] | None = None
        self.best: Trial | None = None
        self.best_reward: float | None = None
        self.reward: float | None = None
        self.failed = self.trained = 0
        self.interrupted = False
        self._hosts: list[Row[Any]] = []
        self._counts: dict[int, _Count] = {}
        self._pauses: list[_Pause] = []
        self._refreshed = 0.0
        self._alive: datetime | None = None
        self._edition = store.check_edition()
        with store.reading() as connection:
            row = queries.study_row(connection, study_id)
        if row is None:
            raise UnknownStudy(f"the store has no study {study_id}")
        self.study = row
        self.updated: datetime | None = row["started"]
        self.refresh()

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.trials[-1].id if self.trials else 0, self.events[-1].id if self.events else 0)

    @property
    def ended(self) -> bool:
        return self.study["finished"] is not None

    def data(self) -> StudyData:
        with self.changed:
            return StudyData(
                self.study, tuple(self.hosts), tuple(self.trials), tuple(self.events), self.study["result"]
            )

    def refresh(self, older_than: float = 0.0) -> None:
        """Read what is new, unless that was done less than `older_than` seconds ago.

        Raises UnknownStudy if it is gone, SQLAlchemyError.
        """
        with self.changed:
            if self.store.check_edition() != self._edition:
                self.is_gone = True
                self.changed.notify_all()
                raise UnknownStudy(f"another file has taken the place of the store of study {self.study_id}")
            if time.monotonic() - self._refreshed < older_than:
                return
            if self._read():
                self.version = next(_VERSIONS)
                self.changed.notify_all()
            self._refreshed = time.monotonic()

    def _read(self) -> bool:
        """Whether anything changed."""
        cursor = self.cursor
        with self.store.reading() as connection:
            # Progress before trials: a study that has finished by then gets no more trials.
            progress = queries.progress_row(connection, self.study_id)
            hosts = list(queries.host_rows(connection, self.study_id))
            trials = queries.trials_after(connection, self.study_id, cursor.trial)
            events = queries.events_after(connection, self.study_id, cursor.event)
            resumed = [event for event in events if event.text == RESUMED and event.host is None]
            since = resumed[-1].at if resumed else self._pauses[-1].until if self._pauses else None
            # What was asked of the run that has ended is not asked of this one.
            request = queries.last_request(connection, self.study_id, since)
            # Resuming replaces the study's content; and it may have been resumed, and have ended again, unwatched.
            is_other = progress is not None and progress.finished != self.study["finished"]
            row = queries.study_row(connection, self.study_id) if is_other or resumed else None
            is_running = progress is not None and not progress.finished
            is_abandoned = is_running and bool(queries.abandoned(connection, [self.study_id]))
        changed = bool(trials or events or row) or hosts != self._hosts or request != self.request
        self._hosts, self.request = hosts, request
        if row:
            self.study = row
        elif progress is not None:
            changed = changed or any(self.study[name] != value for name, value in progress._mapping.items())
            self.study = {**self.study, **progress._mapping}
        if is_running:  # it may have been resumed
            self.study = {**self.study, "result": None, "result_problem": None}
        names = {row.id: row.name for row in hosts}
        for trial in trials:
            self._add(trial, names)
        for event in events:
            if event in resumed:
                self._pauses.append(_Pause(self._last_before(event.at), event.at))
            self.events.append(event)
        self.hosts = [_host(host, self._counts.get(host.id, _Count())) for host in hosts]
        times = [self.updated, *(trial.finished for trial in trials), *(event.at for event in events)]
        times += [self.study["finished"], *(host.since for host in hosts)]
        self.updated = max((at for at in times if at), default=None)
        return self._set_interrupted(is_abandoned) or changed

    def worked(self, until: datetime) -> float:
        """Seconds since the start, without the times between an interruption and its resumption."""
        idle = sum((pause.until - pause.since).total_seconds() for pause in self._pauses if pause.until <= until)
        started: datetime = self.study["started"]
        return max((until - started).total_seconds() - idle, 0.0)

    def _last_before(self, at: datetime) -> datetime:
        """The time of the last trial or event before that."""
        finished = (trial.finished for trial in reversed(self.trials) if trial.finished and trial.finished <= at)
        times: list[datetime] = [self.study["started"], *islice(finished, 1), *(event.at for event in self.events[-1:])]
        return max(times)

    def _set_interrupted(self, is_abandoned: bool) -> bool:
        """Whether it changed."""
        now, before = datetime.now(UTC), self.interrupted
        if not is_abandoned:
            self._alive = now
        last_sign = max((at for at in (self._alive, self.updated) if at), default=now)
        self.interrupted = is_abandoned and now - last_sign > _GRACE
        return self.interrupted != before

    def _add(self, row: Row[Any], names: dict[int, str]) -> None:
        values = dict(row._mapping)
        host_id = values.pop("host_id")
        requested = values["requested"] if isinstance(values["requested"], dict) else {}
        trial = Trial(**{**values, "requested": requested, "host": names.get(host_id, "?")})
        self.trials.append(trial)
        count = self._counts.setdefault(host_id, _Count())
        count.trials += 1
        if trial.failed:
            count.failures += 1
            self.failed += 1
        if trial.phase in ("baseline", "control") and trial.metric is not None:
            count.baseline_metric = trial.metric
        if trial.phase == "train":
            self.trained += 1
            self.reward = trial.reward
            self.best = best_of([self.best, trial] if self.best else [trial])
            if not trial.failed:
                self.best_reward = trial.reward if self.best_reward is None else max(self.best_reward, trial.reward)

    def trials_since(self, cursor: Cursor) -> list[Trial]:
        return self.trials[bisect_right(self.trials, cursor.trial, key=_id) :]

    def events_since(self, cursor: Cursor) -> list[Event]:
        return self.events[bisect_right(self.events, cursor.event, key=_id) :]

    def knows(self, cursor: Cursor) -> bool:
        """Whether this study has had that cursor; one of another study or store may go unnoticed."""
        return _has(self.trials, cursor.trial) and _has(self.events, cursor.event)


def _id(row: Trial | Event) -> int:
    return row.id


def _has(rows: list[Trial] | list[Event], wanted: int) -> bool:
    at = bisect_right(rows, wanted, key=_id)
    return wanted == 0 or (at > 0 and rows[at - 1].id == wanted)


def _host(row: Row[Any], count: _Count) -> Host:
    counts = (count.trials, count.failures, count.baseline_metric)
    return Host(row.name, row.doing, row.since, row.lost, *counts, row.restored)


def is_over(feed: Feed) -> bool:
    """Whether nothing more will come: the study has ended, and its hosts have reported or had time to."""
    finished = feed.study["finished"]
    if finished is None:
        return False
    return time.time() - finished.timestamp() > _REPORT_SECONDS or all(host.doing is None for host in feed.hosts)
