# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the learner knows beside what this run of the trainer measures: its own past, and other studies."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from .._fleet.replay_log import ReplayLog
from .._store import store as in_store
from .._store.store import StudyRecord
from .._study.space import Value
from .._study.study import Study
from .._trial.trial import Trial
from .warm_start import earlier_studies, is_shared, translated

Tell = Callable[[str], None]
_PAUSE = 1.0  # seconds between two looks at what others have measured


class Memory:
    """What is remembered for the learner of one run."""

    def __init__(self, engine: Engine, study: Study, store: StudyRecord, past: ReplayLog) -> None:
        self._engine, self._study, self._study_id, self._started = engine, study, store.study_id, store.started
        self.past = past
        self._read: dict[int, int] = {}
        self._asked = -_PAUSE

    # Its own past

    @property
    def history(self) -> list[Trial]:
        return self.past.trained

    # Other studies

    def earlier(self, own: Mapping[str, Value], tell: Tell) -> list[Trial]:
        """The evaluations of the studies that `warm_start` names. own: the host's values, where those say nothing."""
        found: list[Trial] = []
        for row in earlier_studies(in_store.studies(self._engine), self._study, self._study_id, tell):
            evaluations = in_store.trials(self._engine, row.id)
            found += translated(self._study, row, in_store.hosts(self._engine, row.id), evaluations, own, tell)
        return found

    def news(self, tell: Tell) -> Sequence[Trial]:
        """With `share`: what other runs of this study have measured since this was asked last, at most once a second.

        Without, and while the store is away: nothing.
        """
        if not self._study.share or time.monotonic() < self._asked + _PAUSE:
            return []
        self._asked = time.monotonic()
        try:
            return self._news(tell)
        except SQLAlchemyError:
            return []

    def _news(self, tell: Tell) -> list[Trial]:
        found: list[Trial] = []
        for row in in_store.studies(self._engine, self._study.workload_name):
            if row.id == self._study_id or not is_shared(row, self._study, self._started):
                continue
            if row.id not in self._read:
                tell(f"learns from study {row.id} too, which is the same on another controller")
            new = in_store.trials(self._engine, row.id, after=self._read.setdefault(row.id, 0))
            if new:
                self._read[row.id] = new[-1].id
                hosts = in_store.hosts(self._engine, row.id)
                found += translated(self._study, row, hosts, new, {}, lambda text: None)
        return found
