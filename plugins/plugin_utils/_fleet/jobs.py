# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The jobs of a fleet: those that wait, those under way, and what becomes of them when a host goes away."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass

from .._evaluation.evaluation import Evaluation, Job, Measurement, Score
from .host import Host
from .past import Past

_LOG = logging.getLogger(__name__)


@dataclass
class Ticket:
    """A job on its way: `evaluation` once it is done."""

    job: Job
    evaluation: Evaluation | None = None

    def fail(self, host: str, reason: str) -> None:
        """It did not take place, and will not."""
        self.evaluation = Evaluation(0, self.job, host, Measurement(error=reason), Score(None, None, 0.0))


class Jobs:
    """For one thread at a time. past: what was done already, when the run goes on."""

    def __init__(self, past: Past, control_interval: int) -> None:
        self._past, self._control_interval = past, control_interval
        self._anybodys: deque[Ticket] = deque()
        self._own: dict[str, deque[Ticket]] = {}
        self._under_way: dict[str, Ticket] = {}

    @property
    def under_way(self) -> int:
        return len(self._under_way)

    def join(self, name: str) -> None:
        """A host is there that can be given jobs of its own."""
        self._own[name] = deque()

    def leave(self, name: str, reason: str) -> None:
        """The host goes away: another one gets its job, unless that was the host's own; those fail."""
        own = self._own.pop(name, deque())
        if ticket := self._under_way.pop(name, None):
            (self._anybodys if ticket.job.host is None else own).appendleft(ticket)
        for ticket in own:
            ticket.fail(name, reason)

    def add(self, job: Job) -> Ticket:
        """A job for its host, or for any; the past may have its evaluation."""
        ticket = Ticket(job, self._past.answer(job))
        if ticket.evaluation:
            return ticket
        if job.host is None:
            self._anybodys.append(ticket)
        elif job.host in self._own:
            self._own[job.host].append(ticket)
        else:
            ticket.fail(job.host, "the host is gone")
        return ticket

    def begin(self, host: Host) -> Job | None:
        """The host's next job, which is under way from now on: its own come first, and controls when they are due."""
        if self._own[host.name]:
            ticket = self._own[host.name].popleft()
        elif not self._anybodys:
            return None
        elif host.control_is_due(self._control_interval):
            _LOG.debug("%s measures a control after %d candidates", host.name, host.since_control)
            host.since_control = 0
            ticket = Ticket(Job("control", None, host.name))
        else:
            host.since_control += 1
            ticket = self._anybodys.popleft()
        self._under_way[host.name] = ticket
        return ticket.job

    def is_busy(self, name: str) -> bool:
        return name in self._under_way

    def of(self, name: str) -> Job:
        """What the host is doing; raises KeyError if that is nothing."""
        return self._under_way[name].job

    def done(self, evaluation: Evaluation) -> None:
        """The host's job has come to this."""
        self._under_way.pop(evaluation.host).evaluation = evaluation
