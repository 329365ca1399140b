# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What is known of a study, kept up to date for everybody who watches it: one look into the store serves them all."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError

from ..plugins.plugin_utils._store.store import RESUMED
from . import queries
from .configuration import best_of
from .queries import Event, Host, StudyData, Trial
from .readonly_store import ReadOnlyStore

# Studies that nobody has looked at for long are read again when somebody does.
_KEPT = 8
# A trainer that has just begun, or whose database server was started again, takes a moment to say that it is there.
_SILENCE = timedelta(seconds=3)


class UnknownStudy(LookupError):
    """The store has no such study."""


@dataclass(frozen=True)
class Cursor:
    """How far somebody has read: the ids of the last evaluation and the last event that he has seen; "12-3"."""

    evaluation: int = 0
    event: int = 0

    def __str__(self) -> str:
        return f"{self.evaluation}-{self.event}"

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """None for what is none."""
        parts = text.split("-")
        if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
            return None
        return cls(int(parts[0]), int(parts[1]))


@dataclass
class _Count:
    evaluations: int = 0
    failures: int = 0
    baseline_metric: float | None = None


class _Pause(NamedTuple):
    """While nobody ran the study: after its last sign of life, until it was resumed."""

    since: datetime
    until: datetime


class Feed:
    """One study, read from the store piece by piece. refresh() costs the same however long the study is.

    version: goes up whenever there is something new; whoever waits for that is woken by `changed`. told: what the
    streams have said of a version, for those that are about to say the same. interrupted: the study has not ended, and
    no trainer works on it: killed, or gone with its machine.
    """

    def __init__(self, store: ReadOnlyStore, study_id: int) -> None:
        self.study_id, self.store = study_id, store
        self.changed = threading.Condition()
        self.version = 0
        self.watchers = 0
        self.looked_after = False
        self.told: tuple[int, dict[Any, Any]] = (0, {})
        self.evaluations: list[Trial] = []
        self.events: list[Event] = []
        self.hosts: list[Host] = []
        self.request: dict[str, Any] | None = None
        self.best: Trial | None = None
        self.best_reward: float | None = None
        self.reward: float | None = None
        self.failed = self.trained = 0
        self.updated: datetime | None = None
        self.interrupted = False
        self._hosts: list[Row[Any]] = []
        self._counts: dict[int, _Count] = {}
        self._pauses: list[_Pause] = []
        self._looked = 0.0
        self._alive: datetime | None = None
        with store.reading() as connection:
            row = queries.study_row(connection, store, study_id)
        if row is None:
            raise UnknownStudy(f"the store has no study {study_id}")
        self.study = row
        self.updated = row["started"]
        self.refresh()

    @property
    def cursor(self) -> Cursor:
        return Cursor(
            self.evaluations[-1].id if self.evaluations else 0,
            self.events[-1].id if self.events else 0,
        )

    @property
    def ended(self) -> bool:
        return self.study["finished"] is not None

    def data(self) -> StudyData:
        with self.changed:
            return StudyData(
                self.study, tuple(self.hosts), tuple(self.evaluations), tuple(self.events), self.study["result"]
            )

    def refresh(self, older_than: float = 0.0) -> None:
        """Read what is new, unless that was done within the last `older_than` seconds. Raises SQLAlchemyError."""
        with self.changed:
            if time.monotonic() - self._looked < older_than:
                return
            if self._read():
                self.version += 1
                self.changed.notify_all()
            self._looked = time.monotonic()

    def _read(self) -> bool:
        cursor = self.cursor
        with self.store.reading() as connection:
            # First the end and then the evaluations: what had ended has no more of them.
            progress = queries.progress_row(connection, self.store, self.study_id)
            hosts = queries.host_rows(connection, self.store, self.study_id)
            evaluations = queries.evaluations_after(connection, self.store, self.study_id, cursor.evaluation)
            events = queries.events_after(connection, self.study_id, cursor.event)
            request = queries.last_request(connection, self.store, self.study_id)
            ended = progress is not None and progress.finished and not self.ended
            row = queries.study_row(connection, self.store, self.study_id) if ended else None
            unfinished = progress is not None and not progress.finished
            abandoned = unfinished and bool(queries.abandoned(connection, [self.study_id]))
        news = bool(evaluations or events or row) or list(hosts) != self._hosts or request != self.request
        self._hosts, self.request = list(hosts), request
        if row:
            self.study = row
        elif progress is not None:
            news = news or any(self.study[name] != value for name, value in progress._mapping.items())
            self.study = {**self.study, **progress._mapping}
            if not progress.finished:  # one that was resumed
                self.study["result"] = None
        names = {row.id: row.name for row in hosts}
        for found in evaluations:
            self._add(found, names)
        for event in events:
            if event.text == RESUMED and event.host is None:
                self._pauses.append(_Pause(self._last_before(event.at), event.at))
            self.events.append(event)
        self.hosts = [_host(host, self._counts.get(host.id, _Count())) for host in hosts]
        moments = [self.updated, *(e.finished for e in evaluations), *(e.at for e in events), self.study["finished"]]
        self.updated = max((at for at in [*moments, *(host.since for host in hosts)] if at), default=None)
        return self._is_left(abandoned) or news

    def worked(self, until: datetime) -> float:
        """The seconds in which it has run until then: without those between an interruption and its going on."""
        idle = sum((pause.until - pause.since).total_seconds() for pause in self._pauses if pause.until <= until)
        began: datetime = self.study["started"]
        return max((until - began).total_seconds() - idle, 0.0)

    def _last_before(self, moment: datetime) -> datetime:
        """When the last thing happened before that."""
        evaluated = (e.finished for e in reversed(self.evaluations) if e.finished and e.finished <= moment)
        known: list[datetime] = [
            self.study["started"],
            *islice(evaluated, 1),
            *(event.at for event in self.events[-1:]),
        ]
        return max(known)

    def _is_left(self, abandoned: bool) -> bool:
        """Note whether a trainer works on the study; whether that is news."""
        now, before = datetime.now(UTC), self.interrupted
        if not abandoned:
            self._alive = now
        heard = max((at for at in (self._alive, self.updated) if at), default=now)
        self.interrupted = abandoned and now - heard > _SILENCE
        return self.interrupted != before

    def _add(self, row: Row[Any], names: dict[int, str]) -> None:
        values = dict(row._mapping)
        host_id = values.pop("host_id")
        requested = values["requested"] if isinstance(values["requested"], dict) else {}
        evaluation = Trial(**{**values, "requested": requested, "host": names.get(host_id, "?")})
        self.evaluations.append(evaluation)
        count = self._counts.setdefault(host_id, _Count())
        count.evaluations += 1
        if evaluation.failed:
            count.failures += 1
            self.failed += 1
        if evaluation.phase in ("baseline", "control") and evaluation.metric is not None:
            count.baseline_metric = evaluation.metric
        if evaluation.phase == "train":
            self._learn(evaluation)

    def _learn(self, evaluation: Trial) -> None:
        self.trained += 1
        self.reward = evaluation.reward
        self.best = best_of([self.best, evaluation] if self.best else [evaluation])
        if evaluation.reward is not None and not evaluation.failed:
            known = evaluation.reward if self.best_reward is None else self.best_reward
            self.best_reward = max(known, evaluation.reward)

    def evaluations_since(self, cursor: Cursor) -> list[Trial]:
        return self.evaluations[bisect_right(self.evaluations, cursor.evaluation, key=_id) :]

    def events_since(self, cursor: Cursor) -> list[Event]:
        return self.events[bisect_right(self.events, cursor.event, key=_id) :]

    def knows(self, cursor: Cursor) -> bool:
        """Whether somebody can have read so far: of another store's or study's ids that cannot be told for sure."""
        return _has(self.evaluations, cursor.evaluation) and _has(self.events, cursor.event)


def _id(row: Trial | Event) -> int:
    return row.id


def _has(rows: list[Trial] | list[Event], wanted: int) -> bool:
    at = bisect_right(rows, wanted, key=_id)
    return wanted == 0 or (at > 0 and rows[at - 1].id == wanted)


def _host(row: Row[Any], count: _Count) -> Host:
    counts = (count.evaluations, count.failures, count.baseline_metric)
    return Host(row.name, row.doing, row.since, row.lost, *counts, row.restored)


class Feeds:
    """The studies that somebody looks at. poll: seconds between two looks into the store on behalf of the streams."""

    def __init__(self, store: ReadOnlyStore, poll: float) -> None:
        self.store, self.poll = store, poll
        self._lock = threading.Lock()
        self._reading: dict[int, threading.Lock] = {}
        self._feeds: OrderedDict[int, Feed] = OrderedDict()

    def of(self, study_id: int) -> Feed:
        """The study as it is now, give or take `poll` seconds. Raises UnknownStudy."""
        with self._lock:
            reading = self._reading.setdefault(study_id, threading.Lock())
        # A long study takes a moment to read: whoever wants the same one waits for it, and nobody else.
        with reading:
            try:
                feed = self._feeds.get(study_id) or Feed(self.store, study_id)
            except UnknownStudy:
                self._reading.pop(study_id, None)  # there is no end of studies that are not there
                raise
            with self._lock:
                self._feeds[study_id] = feed
                self._feeds.move_to_end(study_id)
                for old in [key for key, kept in self._feeds.items() if not kept.watchers][:-_KEPT]:
                    del self._feeds[old]
        feed.refresh(older_than=self.poll)
        return feed

    def watch(self, feed: Feed) -> None:
        """From now on somebody waits for news; one thread a study looks for them, for as long as anybody does."""
        with feed.changed:
            feed.watchers += 1
            if not feed.looked_after:  # who has just left may have been the last, and the thread not know it yet
                feed.looked_after = True
                threading.Thread(target=self._look, args=(feed,), daemon=True, name=f"study {feed.study_id}").start()

    def leave(self, feed: Feed) -> None:
        with feed.changed:
            feed.watchers -= 1

    def _look(self, feed: Feed) -> None:
        while True:
            time.sleep(self.poll)
            with feed.changed:
                if not feed.watchers:
                    feed.looked_after = False
                    return
            try:
                feed.refresh()
            except SQLAlchemyError:
                continue  # a server that restarts, a disk that is slow: the next look may see more
