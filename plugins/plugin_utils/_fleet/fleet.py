# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The fleet assigns pending trials to idle hosts and returns the trials once they have ended."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from .._store.store import StoreError
from .._study.study import Study
from .._trial.trial import Phase, State, Trial, phase_name, to_json
from .._wire import Disconnected, Line
from .host import Host, conflict, host_of
from .listener import Listener
from .main_thread import Found, MainThread
from .replay_log import ReplayLog
from .trial_queue import Ticket, TrialQueue
from .workers import Workers

_LOG = logging.getLogger(__name__)


class Ended(Exception):
    """No more trials will run: the user stopped the study, no host is left, or writing to the store failed."""

    def __init__(self, reason: str, *, stopped: bool) -> None:
        super().__init__(reason)
        self.stopped = stopped


class Fleet:
    """Runs trials on the hosts that connect. measure() and the wait_ methods block, and raise Ended.

    replay: the trials of the interrupted run that this one resumes. here: boot ID and network namespace of the
    trainer's machine. If that is also a host, it runs trials only while the main thread waits, so that learning does
    not disturb the measurements.

    hosts: those that are ready. The mapping is replaced, not changed, so any thread may iterate over it.
    """

    def __init__(
        self,
        study: Study,
        expected: Sequence[str],
        listener: Listener,
        *,
        replay: ReplayLog | None = None,
        here: tuple[str, int] | None = None,
    ) -> None:
        self._study, self._listener, self._replay, self._here = study, listener, replay or ReplayLog(), here
        self._workers = Workers(expected)
        self._changed = threading.Condition()
        self._main_thread = MainThread(self._changed)
        self._queue = TrialQueue(self._replay, study.control_interval)
        self._ended: Ended | None = None
        self._notices: list[str] = []
        self._result: dict[str, Any] | None = None
        self._last_id = self._replay.last_id
        self._last_lost = ""
        self.hosts: Mapping[str, Host] = {}

    # Called by the phases of the study, in the main thread

    def measure(self, pending: Sequence[Trial]) -> list[Trial]:
        """Run the trials on all idle hosts at once; returns them in the same order, ended.

        A trial for one host is lost if that host leaves.
        """
        tickets = self.submit(pending)
        self.wait_until(lambda: all(ticket.has_ended for ticket in tickets))
        trials = [ticket.trial for ticket in tickets]
        if any(trial.state == State.LOST for trial in trials):
            with self._changed:
                self._raise_if_ended()  # if the last host has left, the lost trials must not decide anything
        return trials

    def submit(self, pending: Sequence[Trial]) -> list[Ticket]:
        """The same without waiting."""
        with self._changed:
            tickets = [self._queue.add(trial) for trial in pending]
            self._changed.notify_all()
        return tickets

    def wait_for_any(self, tickets: Sequence[Ticket]) -> None:
        """Wait until at least one of these trials has ended."""
        self.wait_until(lambda: any(ticket.has_ended for ticket in tickets))

    def wait_until(self, condition: Callable[[], Found]) -> Found:
        """Wait until the condition is true and no host on this machine runs a trial; returns the condition's value."""
        return self._main_thread.wait(condition, self._is_busy_here, self._raise_if_ended)

    def look_again(self) -> None:
        """Have wait_until() look at its condition at once, from any thread."""
        with self._changed:
            self._changed.notify_all()

    @property
    def seconds_waited(self) -> float:
        """The time for which the main thread has waited for trials."""
        return self._main_thread.seconds_waited

    def _is_busy_here(self) -> bool:
        return any(host.here and self._queue.is_busy(name) for name, host in self.hosts.items())

    def wait_for_baselines(self) -> Mapping[str, Host]:
        """Wait until all connected hosts have measured their baseline; returns these hosts, at least one."""
        required = self._study.baseline_trials

        def measured() -> Mapping[str, Host]:
            ready = {name: host for name, host in self.hosts.items() if len(host.baseline_metrics) >= required}
            return ready if self._workers.connected <= ready.keys() else {}

        return self.wait_until(measured)

    def wait_for_hosts(self) -> Mapping[str, Host]:
        """Wait until at least one host is ready; returns all that are."""
        return self.wait_until(lambda: self.hosts)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No trial ends and no host joins or leaves meanwhile, for a consistent view of the run."""
        with self._changed:
            yield

    def _raise_if_ended(self) -> None:
        if not self._workers.may_run_trials:
            raise self._ended or Ended(self._last_lost or "no host is left", stopped=False)
        if self._ended:
            raise self._ended

    def stop(self, reason: str) -> None:
        """End the study: measure() raises Ended without waiting for running trials."""
        self._end_with(Ended(reason, stopped=True))

    def restore(self, reason: str) -> None:
        """The same, and each worker ends its benchmark and restores the original values of its host immediately."""
        self.stop(reason)
        with self._changed:
            lines = self._workers.lines
        for line in lines:
            with suppress(Disconnected):  # that worker restores the host because its connection was lost
                line.send("restore")

    def _end_with(self, end: Ended) -> None:
        _LOG.info("no more trials: %s", end)
        with self._changed:
            self._ended = self._ended or end
            self._changed.notify_all()

    def notify(self, *texts: str) -> None:
        """Show lines to the user, in this order, through the next worker that gets a message."""
        for text in texts:
            _LOG.info("notice: %s", text)
        with self._changed:
            self._notices += texts
            self._changed.notify_all()

    def end(self, result: dict[str, Any], patience: float = 10.0) -> None:
        """Send the result to all workers and wait until they have left, for `patience` seconds at most."""
        with self._changed:
            self._result = result
            self._changed.notify_all()
            limit = time.monotonic() + patience
            while not self._workers.are_gone and time.monotonic() < limit:
                self._changed.wait(0.2)

    # Called by the threads that serve the workers, one each (see conversation.py)

    @property
    def is_over(self) -> bool:
        """Whether the study has its result."""
        return self._result is not None

    def connect(self, name: str, line: Line) -> None:
        """A worker has connected and prepares its host."""
        with self._changed:
            self._workers.connect(name, line)

    def admit(self, name: str, facts: dict[str, Any], guard_seconds: Mapping[str, float] | None = None) -> str | None:
        """Add the host to the fleet; returns the reason if it is refused.

        guard_seconds: how long each guard benchmark took when it was tried, by name.
        """
        host = host_of(name, facts, self._study)
        with self._changed:
            if reason := conflict(host, self.hosts.values(), self._study):
                return reason
            known = self._replay.hosts.get(name)
            if known and known.is_unchanged(facts):
                host = known
            host.guard_seconds = guard_seconds or {}
            self._queue.add_host(name)
            for dummy in range(self._study.baseline_trials - len(host.baseline_metrics)):
                self._queue.add(Trial.pending(Phase.BASELINE, None, name))
            with self._ends_if_store_fails():
                self._listener.on_host(host)
                if known and host is not known:
                    self._notify_about(name, "rebooted or changed since the interruption: its baseline is remeasured")
            host.here = (facts["boot_id"], facts["network_namespace"]) == self._here
            self.hosts = {**self.hosts, name: host}
        return None

    def retry_baseline(self, name: str) -> bool:
        """Whether a failed baseline trial is run again: only once, in case the cause was temporary."""
        with self._changed:
            host = self.hosts[name]
            host.baseline_failures += 1
            if host.baseline_failures > 1:
                return False
            self._queue.add(Trial.pending(Phase.BASELINE, None, name))
            return True

    def send_next(self, line: Line, name: str) -> None:
        """Wait for the host's next trial or the result and send it, unless the worker sends a message first."""
        trial = self._next(line, name)
        if trial:
            line.send("trial", trial=to_json(trial))
        elif self.is_over:
            line.send("end", result=self._result)

    def _next(self, line: Line, name: str) -> Trial | None:
        """The host's next trial; None once the study has its result, or if the worker sends a message first."""
        with self._changed:
            host = self.hosts[name]
            while True:
                while self._notices:
                    line.send("notice", text=self._notices[0])
                    del self._notices[0]  # not before: if this worker has left, another one shows it
                if self._result is not None or line.is_readable():
                    return None
                must_wait = self._ended or (host.here and self._main_thread.is_working)
                if not must_wait and (trial := self._queue.start_next(host)):
                    self._set_activity(name, f"{phase_name(trial.phase)} {self._last_id + self._queue.running_count}")
                    return trial
                if not self._changed.wait(1.0):
                    self._set_activity(name, "waits")

    def finish_trial(self, line: Line, name: str, answer: Trial) -> Trial:
        """Score and record the trial that the host has run, and send its worker the progress; returns the trial.

        Raises KeyError or ValueError if the host was not running this trial.
        """
        progress: dict[str, Any] = {}
        with self._changed:
            host, running = self.hosts[name], self._queue.running_on(name)
            sent = running.phase, running.pair, running.benchmark, running.requested
            if (answer.phase, answer.pair, answer.benchmark, answer.requested) != sent:
                raise ValueError("not the trial that it was sent")
            trial = replace(answer, host=name, id=self._last_id + 1, finished=datetime.now(UTC))
            trial = host.add_trial(self._study, trial)
            self._last_id += 1
            with self._ends_if_store_fails():
                progress = self._listener.on_trial(trial)
                while host.notices:
                    self._notify_about(name, host.notices.pop(0))
            # Last, so that another host runs the trial if the answer was invalid.
            self._queue.finish(trial)
            self._changed.notify_all()
        if progress:
            line.send("progress", **progress)
        return trial

    @contextmanager
    def _ends_if_store_fails(self) -> Iterator[None]:
        """A run that cannot store its trials would measure for nothing."""
        try:
            yield
        except StoreError as error:
            self._end_with(Ended(str(error), stopped=False))

    def _notify_about(self, name: str, text: str) -> None:
        self._listener.on_notice(name, text)
        self.notify(f"{name}: {text}")

    def _set_activity(self, name: str, activity: str | None) -> None:
        host = self.hosts.get(name)
        if host and host.activity != activity:
            host.activity = activity
            with self._ends_if_store_fails():
                self._listener.on_activity(name, activity)

    def report_ending(self, name: str, ending: str, *, restored: bool) -> None:
        """The state in which the worker leaves its host; restored: the original values are back, verified."""
        with self._changed, self._ends_if_store_fails():
            self._listener.on_ending(name, str(ending), restored)

    def begin_leaving(self, name: str, reason: str) -> None:
        """The worker takes no more trials but still cleans up; only end() waits for that."""
        with self._changed:
            self._set_activity(name, "leaves")
            self._workers.begin_leaving(name)
            self._remove(name, reason)

    def disconnect(self, name: str, reason: str) -> None:
        """The connection to the worker has ended, with or without a farewell."""
        with self._changed, self._ends_if_store_fails():
            if self._workers.disconnect(name):
                self._changed.notify_all()
                self._listener.on_activity(name, None)
            else:
                self._set_activity(name, None)
                self._remove(name, reason)

    def _remove(self, name: str, reason: str) -> None:
        self.hosts = {other: host for other, host in self.hosts.items() if other != name}
        self._queue.remove_host(name, reason)
        if self._result is None:
            self._last_lost = f"{name}: {reason}"
            with self._ends_if_store_fails():
                self._listener.on_lost(name, reason)
        self._changed.notify_all()
