# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The pending and running trials of a fleet, and what happens to them when a host leaves."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, replace

from .._trial.trial import ANY_HOST, Phase, State, Trial
from .host import Host
from .replay_log import ReplayLog

_LOG = logging.getLogger(__name__)


@dataclass
class Ticket:
    """A requested trial: `trial` is pending, then running, and finally complete, failed or lost.

    for_any: whether any host could have run it.
    """

    trial: Trial
    for_any: bool = False

    @property
    def has_ended(self) -> bool:
        return self.trial.state not in (State.PENDING, State.RUNNING)


class TrialQueue:
    """Not thread-safe. replay: the trials of an interrupted run, which answer the same requests again."""

    def __init__(self, replay: ReplayLog, control_interval: int) -> None:
        self._replay, self._control_interval = replay, control_interval
        self._for_any: deque[Ticket] = deque()
        self._for_host: dict[str, deque[Ticket]] = {}
        self._running: dict[str, Ticket] = {}

    @property
    def running_count(self) -> int:
        return len(self._running)

    def add_host(self, name: str) -> None:
        self._for_host[name] = deque()

    def remove_host(self, name: str, reason: str) -> None:
        """Trials that only this host can run are lost; a running one that any host can run is pending again."""
        lost = self._for_host.pop(name, deque())
        if ticket := self._running.pop(name, None):
            if ticket.for_any:
                ticket.trial = replace(ticket.trial, host=ANY_HOST, state=State.PENDING)
                self._for_any.appendleft(ticket)
            else:
                lost.append(ticket)
        for ticket in lost:
            ticket.trial = ticket.trial.lose(name, reason)

    def add(self, trial: Trial) -> Ticket:
        """Queue a pending trial, unless the interrupted run has already completed it."""
        if done := self._replay.answer(trial):
            return Ticket(done)
        ticket = Ticket(trial, for_any=trial.host == ANY_HOST)
        if ticket.for_any:
            self._for_any.append(ticket)
        elif trial.host in self._for_host:
            self._for_host[trial.host].append(ticket)
        else:
            ticket.trial = trial.lose(trial.host, "the host is gone")
        return ticket

    def start_next(self, host: Host) -> Trial | None:
        """Start the host's next trial: one for this host only, a control trial if it is due, or one for any host."""
        queue = self._for_host[host.name] or self._for_any
        if not queue:
            return None
        if queue[0].trial.phase != Phase.TRAIN:
            ticket = queue.popleft()
        elif host.control_is_due(self._control_interval):
            _LOG.debug("%s runs a control trial after %d candidates", host.name, host.since_control)
            host.since_control = 0
            ticket = Ticket(Trial.pending(Phase.CONTROL, None, host.name))
        else:
            host.since_control += 1
            ticket = queue.popleft()
        requested = host.original_values if ticket.trial.original else ticket.trial.requested
        ticket.trial = replace(ticket.trial, host=host.name, requested=requested, state=State.RUNNING)
        self._running[host.name] = ticket
        return ticket.trial

    def is_busy(self, name: str) -> bool:
        return name in self._running

    def running_on(self, name: str) -> Trial:
        """The trial that the host is running; raises KeyError if there is none."""
        return self._running[name].trial

    def finish(self, trial: Trial) -> None:
        self._running.pop(trial.host).trial = trial
