# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The fleet: every host that is idle gets a job, and whoever waits for jobs hears what came of them."""

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
from .._trial.trial import Phase, State, Trial, to_json
from .._wire import Disconnected, Line
from .host import Host, host_of, why_not_beside
from .jobs import Jobs, Ticket
from .listener import Listener
from .replay_log import ReplayLog
from .turns import Found, Turns

_LOG = logging.getLogger(__name__)


class Ended(Exception):
    """There will be no more evaluations: stopped by the user, no host is left, or the store takes no more."""

    def __init__(self, reason: str, *, stopped: bool) -> None:
        super().__init__(reason)
        self.stopped = stopped


class Fleet:
    """Evaluates jobs on the hosts that connect; measure() and wait_for_baselines() block, and raise Ended.

    past: what was done already, when the run goes on. here: boot ID and network namespace of the learner's own machine.
    A host there works while the main thread waits, and only then, so that learning does not disturb what it measures.

    `hosts` are those that are ready now. Any thread may go through them: with every host that comes or goes they are
    another mapping.
    """

    def __init__(
        self,
        study: Study,
        expected: Sequence[str],
        listener: Listener,
        *,
        past: ReplayLog | None = None,
        here: tuple[str, int] | None = None,
    ) -> None:
        self._study, self._listener, self._past, self._here = study, listener, past or ReplayLog(), here
        self._awaited = set(expected)
        self._lines: dict[str, Line] = {}
        self._changed = threading.Condition()
        self._turns = Turns(self._changed)
        self._connected: set[str] = set()
        self._leaving: set[str] = set()
        self._jobs = Jobs(self._past, study.control_interval)
        self._ended: Ended | None = None
        self._notices: list[str] = []
        self._result: dict[str, Any] | None = None
        self._last_id = self._past.last_id
        self._last_lost = ""
        self.hosts: Mapping[str, Host] = {}

    # For the phases, in the main thread

    def measure(self, jobs: Sequence[Trial]) -> list[Trial]:
        """Evaluate the jobs, as many at once as there are idle hosts; the answers are in the order of the jobs.

        A job that only one host could do, and which that host took with it, comes back as a failed evaluation.
        """
        tickets = self.hand_out(jobs)
        self._wait_until(lambda: all(ticket.has_ended for ticket in tickets))
        trials = [ticket.trial for ticket in tickets]
        if any(trial.state == State.LOST for trial in trials):
            with self._changed:
                self._raise_if_ended()  # with the last host all its trials are lost, and nothing is left to decide on
        return trials

    def hand_out(self, jobs: Sequence[Trial]) -> list[Ticket]:
        """The same without waiting: the tickets will have their evaluations."""
        with self._changed:
            tickets = [self._jobs.add(job) for job in jobs]
            self._changed.notify_all()
        return tickets

    def wait_for_any(self, tickets: Sequence[Ticket]) -> None:
        """Until at least one of these has its evaluation."""
        self._wait_until(lambda: any(ticket.has_ended for ticket in tickets))

    def _wait_until(self, condition: Callable[[], Found]) -> Found:
        """What the condition has found, once that is true and no host on this machine is at work."""
        return self._turns.wait(condition, self._is_busy_here, self._raise_if_ended)

    @property
    def seconds_waited(self) -> float:
        """How long the main thread has waited for the fleet."""
        return self._turns.seconds_waited

    def _is_busy_here(self) -> bool:
        return any(host.here and self._jobs.is_busy(name) for name, host in self.hosts.items())

    def wait_for_baselines(self) -> Mapping[str, Host]:
        """Until every host that is connected now has measured its baseline; returns these, one at least."""
        wanted = self._study.baseline_evaluations

        def measured() -> Mapping[str, Host]:
            known = {name: host for name, host in self.hosts.items() if len(host.baseline_metrics) >= wanted}
            return known if self._connected <= known.keys() else {}

        return self._wait_until(measured)

    def wait_for_hosts(self) -> Mapping[str, Host]:
        """Until there is one at least; returns all that there are."""
        return self._wait_until(lambda: self.hosts)

    @contextmanager
    def still(self) -> Iterator[None]:
        """Nothing comes in meanwhile: for looking at all that is known, as one picture."""
        with self._changed:
            yield

    def _raise_if_ended(self) -> None:
        if not self._connected and not self._awaited:
            raise self._ended or Ended(self._last_lost or "no host is left", stopped=False)
        if self._ended:
            raise self._ended

    def stop(self, reason: str) -> None:
        """measure() raises Ended; jobs that are under way are not waited for."""
        self._end_with(Ended(reason, stopped=True))

    def restore(self, reason: str) -> None:
        """The same, and every worker ends its benchmark and puts its host's own values back at once."""
        self.stop(reason)
        with self._changed:
            lines = list(self._lines.values())
        for line in lines:
            with suppress(Disconnected):  # then its worker sees that the trainer is gone, and does the same
                line.send("restore")

    def _end_with(self, end: Ended) -> None:
        _LOG.info("no more evaluations: %s", end)
        with self._changed:
            self._ended = self._ended or end
            self._changed.notify_all()

    def notify(self, *texts: str) -> None:
        """Lines for the user, shown in this order by the next worker that is spoken to."""
        for text in texts:
            _LOG.info("notice: %s", text)
        with self._changed:
            self._notices += texts
            self._changed.notify_all()

    def end(self, result: dict[str, Any], patience: float = 10.0) -> None:
        """Tell every worker that the study is over, and wait for them to leave, or for so many seconds."""
        with self._changed:
            self._result = result
            self._changed.notify_all()
            limit = time.monotonic() + patience
            while (self._connected or self._leaving) and time.monotonic() < limit:
                self._changed.wait(0.2)

    # For the conversations with the workers, a thread each (see conversation.py)

    @property
    def is_over(self) -> bool:
        """Whether the study has its result."""
        return self._result is not None

    def arrive(self, name: str, line: Line) -> None:
        """A worker is there, and getting ready."""
        with self._changed:
            self._awaited.discard(name)
            self._connected.add(name)
            self._lines[name] = line

    def admit(self, name: str, facts: dict[str, Any]) -> str | None:
        """Take the host into the fleet, or say why not."""
        host = host_of(name, facts, self._study)
        with self._changed:
            if clash := why_not_beside(host, self.hosts.values(), self._study):
                return clash
            known = self._past.hosts.get(name)
            if known and known.is_still(facts):
                host = known
            self._jobs.join(name)
            for dummy in range(self._study.baseline_evaluations - len(host.baseline_metrics)):
                self._jobs.add(Trial.pending(Phase.BASELINE, None, name))
            with self._recorded():
                self._listener.on_host(host)
                if known and host is not known:
                    why = "it was started again, or changed, since the run stopped: a new baseline"
                    self._listener.on_news(name, why)
            host.here = (facts["boot_id"], facts["network_namespace"]) == self._here
            self.hosts = {**self.hosts, name: host}
        return None

    def may_try_again(self, name: str) -> bool:
        """One failure may be an accident, such as a server that was busy; a second one in the baseline is not."""
        with self._changed:
            host = self.hosts[name]
            host.baseline_failures += 1
            if host.baseline_failures > 1:
                return False
            self._jobs.add(Trial.pending(Phase.BASELINE, None, name))
            return True

    def give_next(self, line: Line, name: str) -> None:
        """Send the host its next job, or the result if there will be none; nothing to a worker that speaks first."""
        trial = self._next(line, name)
        if trial:
            line.send("trial", trial=to_json(trial))
        elif self.is_over:
            line.send("end", result=self._result)

    def _next(self, line: Line, name: str) -> Trial | None:
        """The host's next job; None once the study has ended, or when the worker has something to say first."""
        with self._changed:
            host = self.hosts[name]
            while True:
                while self._notices:
                    line.send("notice", text=self._notices.pop(0))
                if self._result is not None or line.has_news():
                    return None
                rests = host.here and self._turns.is_main_threads()
                if not self._ended and not rests and (job := self._jobs.begin(host)):
                    self._tell(name, f"{job.phase} {self._last_id + self._jobs.under_way}")
                    return job
                if not self._changed.wait(1.0):
                    self._tell(name, "waits")

    def settle(self, line: Line, name: str, answer: Trial) -> Trial:
        """The trial that the host has run, scored and recorded; sends its worker the progress of the study.

        Raises KeyError or ValueError if the host was not running this trial.
        """
        progress: dict[str, Any] = {}
        with self._changed:
            host, running = self.hosts[name], self._jobs.of(name)
            if (answer.phase, answer.pair, answer.requested) != (running.phase, running.pair, running.requested):
                raise ValueError("an answer to another trial")
            trial = replace(answer, host=name, id=self._last_id + 1, finished=datetime.now(UTC))
            trial = host.judge(self._study, trial)
            self._last_id += 1
            with self._recorded():
                progress = self._listener.on_evaluation(trial)
                while host.news:
                    self._listener.on_news(name, host.news.pop(0))
            # Only now: a trial whose worker sends nonsense goes to another host.
            self._jobs.done(trial)
            self._changed.notify_all()
        if progress:
            line.send("progress", **progress)
        return trial

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        """A run that cannot record what it measures would measure for nothing: it ends."""
        try:
            yield
        except StoreError as error:
            self._end_with(Ended(str(error), stopped=False))

    def _tell(self, name: str, doing: str | None) -> None:
        host = self.hosts.get(name)
        if host and host.doing != doing:
            host.doing = doing
            with self._recorded():
                self._listener.on_doing(name, doing)

    def ended_on(self, name: str, ending: str, *, restored: bool) -> None:
        """What the host has now that the study is over for it, in its worker's words. restored: its own values."""
        with self._changed, self._recorded():
            self._listener.on_ending(name, str(ending), restored)

    def depart(self, name: str, reason: str) -> None:
        """The worker does no more, but still cleans up: end() waits for that, and nothing else does."""
        with self._changed:
            self._tell(name, "leaves")
            self._leaving.add(name)
            self._part_with(name, reason)

    def lose(self, name: str, reason: str) -> None:
        """The worker is gone, with or without a farewell."""
        with self._changed, self._recorded():
            if name in self._leaving:
                self._leaving.discard(name)
                self._changed.notify_all()
                self._listener.on_doing(name, None)
            else:
                self._tell(name, None)
                self._part_with(name, reason)

    def _part_with(self, name: str, reason: str) -> None:
        """Another host gets its job, unless the job was that host's own."""
        self._connected.discard(name)
        self._lines.pop(name, None)
        self.hosts = {other: host for other, host in self.hosts.items() if other != name}
        self._jobs.leave(name, reason)
        if self._result is None:
            self._last_lost = f"{name}: {reason}"
            with self._recorded():
                self._listener.on_lost(name, reason)
        self._changed.notify_all()
