# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Everything that has happened in a run: kept in memory, written to the store, and reported as progress."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from statistics import fmean
from typing import Any

from .._fleet.host import Host
from .._fleet.outliers import OutlierDetector, penalised
from .._fleet.replay_log import ReplayLog
from .._proof.noise import Forecast, power_forecast
from .._store.store import StudyRecord
from .._study.study import Study
from .._trial.reward import objective, percent
from .._trial.trial import Phase, State, Trial
from .plan import Step, trials_left
from .time_left import TimeLeft

_LOG = logging.getLogger(__name__)
_CHECK_INTERVAL = 5  # training trials between two checks for outlying hosts, which take milliseconds


class RunHistory:
    """The fleet's listener: all trials of a run in the order in which they ended, and its hosts.

    hosts: all that ever took part. The mapping is replaced, not changed, so any thread may iterate over it.
    planned: the number of trials that the run is expected to have in the end. seconds: how long the run took before it
    was interrupted.
    """

    def __init__(self, study: Study, store: StudyRecord, replay: ReplayLog | None = None, seconds: float = 0.0) -> None:
        replay = replay or ReplayLog()
        self._study, self._store = study, store
        self.trials: list[Trial] = list(replay.trials)
        self.hosts: Mapping[str, Host] = dict(replay.hosts)
        self.earlier_seconds, self.store_seconds = seconds, 0.0
        self.outlier_detector = OutlierDetector()
        self.forecast: Forecast | None = None
        self.training_ended: str | None = None
        self._started = time.monotonic()
        self._present: frozenset[str] = frozenset()
        self._finished_phases: set[Phase] = set()
        # What followed a training that goes on now is measured anew.
        void = () if replay.training_is_over else replay.after_training
        self._void = frozenset(trial.id for trial in void)
        self._time_left = TimeLeft()
        for trial in self.trials:
            self._time_left.add(trial)

    @property
    def seconds(self) -> float:
        """The duration of this run and of all before it that it resumes."""
        return self.earlier_seconds + time.monotonic() - self._started

    @property
    def planned(self) -> int:
        return len(self.trials) + sum(self._trials_left(self._finished_phases).values())

    @property
    def at_most(self) -> int:
        """The number of trials if every phase had used all that it may use."""
        return len(self.trials) + sum(self._trials_left(()).values())

    def _trials_left(self, finished: Collection[Phase]) -> dict[Step, int]:
        return trials_left(self._study, self.trials, self._present, finished, self._void)

    def trained(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.phase == Phase.TRAIN]

    def in_hindsight(self) -> list[Trial]:
        """The training trials, scored with what is known now of the hosts' drift and of unstable candidates."""
        return penalised(self._rescored(), {name: host.extra_deviation for name, host in self.hosts.items()})

    def baselines_in_hindsight(self) -> list[Trial]:
        """The successful trials of the original values, scored likewise."""
        measured = [trial for trial in self.trials if trial.phase in (Phase.BASELINE, Phase.CONTROL)]
        return [
            self.hosts[trial.host].in_hindsight(self._study, trial)
            for trial in measured
            if trial.state == State.COMPLETE
        ]

    def _rescored(self) -> list[Trial]:
        return [self.hosts[trial.host].in_hindsight(self._study, trial) for trial in self.trained()]

    def forecast_power(self) -> Sequence[str]:
        """From the noise of the baselines, lines that say what gain the proof can detect."""
        measured = [trial for trial in self.trials if trial.phase == Phase.BASELINE and trial.state == State.COMPLETE]
        objectives = {
            host: [objective(self._study, trial) or 0.0 for trial in measured if trial.host == host]
            for host in sorted(self._present)
        }
        seconds = [trial.seconds.get("benchmark", 0.0) for trial in measured]
        if seconds:
            self.forecast = power_forecast(self._study, objectives, max(len(objectives), 1), fmean(seconds))
        return self.forecast.lines if self.forecast else ()

    def check_hosts(self) -> None:
        """Look for outlying hosts among the trials of the training so far."""
        drifts = {name: host.drift for name, host in self.hosts.items()}
        notices, extra_deviations = self.outlier_detector.update(self._rescored(), drifts)
        for name, text in notices:
            self.hosts[name].notices.append(text)
        for name, host in self.hosts.items():
            host.extra_deviation = extra_deviations.get(name, 0.0)

    def enter(self, phase: Phase) -> None:
        """Begin a phase; the phases before it take no more trials."""
        phases = tuple(Phase)
        finished = set(phases[: phases.index(phase)])
        # Control trials are part of the training.
        self._finished_phases = finished - {Phase.CONTROL} if phase == Phase.TRAIN else finished
        _LOG.info("phase %s, %d of %d trials done", phase, len(self.trials), self.planned)
        self._store.enter(phase, self.planned)

    def complete(self) -> None:
        """The run needs no more trials."""
        self._finished_phases = set(Phase)

    def on_host(self, host: Host) -> None:
        _LOG.info("%s joins with %s", host.name, host.original_values)
        self.hosts = {**self.hosts, host.name: host}
        self._present |= {host.name}
        self._time_left.join(host.name, datetime.now(UTC), host.guard_seconds)
        last_id = self.trials[-1].id if self.trials else 0
        self._store.add_host(host.name, host.facts, host.original_values, after=last_id or 0)

    def on_lost(self, name: str, reason: str) -> None:
        _LOG.info("%s leaves: %s", name, reason)
        self._present -= {name}
        self._store.lose_host(name, reason)

    def on_notice(self, name: str, text: str) -> None:
        self._store.add_event(text, name)

    def on_activity(self, name: str, activity: str | None) -> None:
        self._store.set_activity(name, activity)

    def on_ending(self, name: str, ending: str, restored: bool) -> None:
        self._store.set_ending(name, ending, restored)

    def on_trial(self, trial: Trial) -> dict[str, Any]:
        """Keep and store the trial; returns the progress that its worker shows."""
        _LOG.debug("trial %s: %s, %s", trial.id, trial.error or trial.metric, trial.score)
        self.trials.append(trial)
        self._time_left.add(trial)
        progress = self._progress(trial)
        started = time.monotonic()
        self._store.add_trial(trial, trials_planned=progress["of"], left_seconds=progress["left"])
        self.store_seconds += time.monotonic() - started
        if trial.phase == Phase.TRAIN and len(self.trials) % _CHECK_INTERVAL == 0:
            self.check_hosts()
        return progress

    def _progress(self, trial: Trial) -> dict[str, Any]:
        """change and best: in per cent against the baseline; left: in seconds.

        best: of the training, and only during it, because later phases measure the candidates anew.
        """
        trained = self.trained() if trial.phase in (Phase.TRAIN, Phase.CONTROL) else []
        performances = [each.score.performance for each in trained if each.score.performance is not None]
        left = self._trials_left(self._finished_phases)
        change = trial.score.performance
        return {
            "number": len(self.trials),
            "of": len(self.trials) + sum(left.values()),
            "phase": trial.phase,
            "label": trial.label,
            "benchmark": trial.benchmark,
            "metric": trial.metric,
            "change": None if change is None or trial.original else percent(change),
            "best": percent(max(performances)) if performances else None,
            "left": self._time_left.seconds(self._present, left),
            "error": trial.error,
        }
