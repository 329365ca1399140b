# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What has happened in a run so far: kept here, written into the store as it happens, and told as progress."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from .._fleet.host import Host
from .._fleet.outliers import Watcher, penalised
from .._fleet.replay_log import ReplayLog
from .._proof.noise import Forecast, power_forecast
from .._store.store import StudyRecord
from .._study.study import Study
from .._trial.reward import objective, percent
from .._trial.trial import Phase, State, Trial

_LOG = logging.getLogger(__name__)
_LOOK_INTERVAL = 5  # training evaluations; looking takes milliseconds, while a host waits


class RunHistory:
    """Every evaluation of the run, in the order in which they ended.

    planned: how many evaluations the run will have had in all, as far as can be told now. hosts: all that ever took
    part. Any thread may go through them: with every host that comes they are another mapping.
    """

    def __init__(self, study: Study, store: StudyRecord, past: ReplayLog | None = None) -> None:
        past = past or ReplayLog()
        self._study, self._store = study, store
        self.evaluations: list[Trial] = list(past.evaluations)
        self.hosts: Mapping[str, Host] = dict(past.hosts)
        self._before = len(self.evaluations)
        self._present: frozenset[str] = frozenset()
        self.store_seconds = 0.0
        self.watcher = Watcher()
        self.forecast: Forecast | None = None
        self.training_ended: str | None = None
        self._began = 0.0
        self._over: set[Phase] = set()

    @property
    def planned(self) -> int:
        return self._planned(self._over)

    @property
    def at_most(self) -> int:
        """How many it would have had if every phase had taken all that it may take."""
        return self._planned(set())

    def _planned(self, over: set[Phase]) -> int:
        done: Counter[str] = Counter(evaluation.phase for evaluation in self.evaluations)
        total = 0
        for phase, most in self._study.evaluations_by_phase(max(len(self._present), 1)).items():
            # Training is shared by the hosts that are left; all else is each host's own.
            gone = [] if phase == Phase.TRAIN else [e for e in self.evaluations if e.phase == phase]
            lost = sum(evaluation.host not in self._present for evaluation in gone)
            total += done[phase] if phase in over else max(done[phase], most + lost)
        return total

    def trained(self) -> list[Trial]:
        return [evaluation for evaluation in self.evaluations if evaluation.phase == Phase.TRAIN]

    def in_hindsight(self) -> list[Trial]:
        """The same with all that is known now: of the hosts' drift, and of candidates that are unstable."""
        return penalised(self._compared(), {name: host.doubt for name, host in self.hosts.items()})

    def _compared(self) -> list[Trial]:
        """To what each host's baseline was, as is known now."""
        return [self.hosts[e.host].in_hindsight(self._study, e) for e in self.trained()]

    def foretell(self) -> Sequence[str]:
        """Once the baselines are there: how noisy they are and what can be found in such noise, a line each."""
        measured = [e for e in self.evaluations if e.phase == Phase.BASELINE and e.state == State.COMPLETE]
        figures = {
            host: [objective(self._study, e) or 0.0 for e in measured if e.host == host]
            for host in sorted(self._present)
        }
        seconds = [e.seconds.get("benchmark", 0.0) for e in measured]
        self.forecast = power_forecast(self._study, figures, max(len(figures), 1), fmean(seconds)) if seconds else None
        return self.forecast.lines if self.forecast else ()

    def _look_at_hosts(self) -> None:
        news, doubts = self.watcher.look(self._compared(), {name: host.drift for name, host in self.hosts.items()})
        for name, text in news:
            self.hosts[name].news.append(text)
        for name, host in self.hosts.items():
            host.doubt = doubts.get(name, 0.0)

    def enter(self, phase: Phase) -> None:
        """Whatever came before it takes no more evaluations, however many it might have taken."""
        phases = tuple(Phase)
        self._over = set(phases[: phases.index(phase)]) - ({Phase.CONTROL} if phase == Phase.TRAIN else set())
        _LOG.info("phase %s, %d of %d evaluations done", phase, len(self.evaluations), self.planned)
        self._store.enter(phase, self.planned)

    def complete(self) -> None:
        """No phase takes any more."""
        self._over = set(Phase)

    def on_host(self, host: Host) -> None:
        _LOG.info("%s joins the study with %s", host.name, host.baseline_values)
        self.hosts = {**self.hosts, host.name: host}
        self._present |= {host.name}
        self._began = self._began or time.monotonic()
        last_id = self.evaluations[-1].id if self.evaluations else 0
        self._store.add_host(host.name, host.facts, host.baseline_values, after=last_id or 0)

    def on_lost(self, name: str, reason: str) -> None:
        _LOG.info("%s leaves the study: %s", name, reason)
        self._present -= {name}
        self._store.lose_host(name, reason)

    def on_doing(self, name: str, doing: str | None) -> None:
        self._store.set_doing(name, doing)

    def on_ending(self, name: str, ending: str, restored: bool) -> None:
        self._store.set_ending(name, ending, restored)

    def note(self, text: str, host: str | None = None) -> None:
        self._store.add_event(text, host)

    def on_evaluation(self, evaluation: Trial) -> dict[str, Any]:
        """Keep and store it; returns what a worker needs for its progress line."""
        self.evaluations.append(evaluation)
        _LOG.debug("trial %s: %s %s", evaluation.id, evaluation.error or evaluation.metric, evaluation.score)
        started = time.monotonic()
        self._store.add_trial(evaluation)
        self.store_seconds += time.monotonic() - started
        if evaluation.phase == Phase.TRAIN and len(self.evaluations) % _LOOK_INTERVAL == 0:
            self._look_at_hosts()
        return self._progress(evaluation)

    def _progress(self, evaluation: Trial) -> dict[str, Any]:
        """change and best are in per cent against the baseline, left in seconds.

        best: of training, as long as that goes on. What comes later is measured anew, and not to be compared to it.
        """
        trained = self.trained() if evaluation.phase in (Phase.TRAIN, Phase.CONTROL) else []
        performances = [e.score.performance for e in trained if e.score.performance is not None]
        done = len(self.evaluations)
        # The other hosts are, on average, in the middle of an evaluation: at the beginning that makes a difference.
        pace = (time.monotonic() - self._began) / (done - self._before + (len(self._present) - 1) / 2)
        change = evaluation.score.performance
        return {
            "number": done,
            "of": self.planned,
            "phase": evaluation.phase,
            "label": evaluation.label,
            "metric": evaluation.metric,
            "change": None if change is None or evaluation.original else percent(change),
            "best": percent(max(performances)) if performances else None,
            "left": max(self.planned - done, 0) * pace,
            "error": evaluation.error,
        }
