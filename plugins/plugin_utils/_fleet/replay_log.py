# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a run that was interrupted has left in the store, so that it goes on where it stopped.

A run that goes on begins again with the same seed and meets its own past: jobs that were done are answered from it,
hosts that are as they were keep their baseline, the learner starts from its evaluations. So every phase continues
where it was, whatever it is, and nothing is measured twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from .._store.store import trial_of
from .._study.parameters import kernel_text
from .._study.space import Value
from .._study.study import Study
from .._trial.trial import ANY_HOST, Phase, Trial
from .host import Host

_AFTER_TRAINING = (Phase.RACE, Phase.VERIFY, Phase.ABLATE)


class HostInStore(Protocol):
    """A row of the store's hosts."""

    id: Any
    name: Any
    facts: Any
    baseline_values: Any
    changed_after: Any


@dataclass
class ReplayLog:
    """Nothing, for a run that begins; the callers need not know.

    evaluations: all of them, in the order in which they ended. hosts: those that took part, as they were at the end of
    training. `answerable` are the evaluations after that, each of which answers one job, with the host that is told of
    it then: so that whatever is asked meanwhile gets the answer it got then.
    """

    study: Study | None = None
    evaluations: Sequence[Trial] = ()
    hosts: Mapping[str, Host] = field(default_factory=dict)
    answerable: list[tuple[Trial, Host | None]] = field(default_factory=list)

    @classmethod
    def of(cls, study: Study, hosts: Sequence[HostInStore], rows: Iterable[Any], *, more_training: bool) -> ReplayLog:
        """From the rows of the store. more_training: the budget has grown, so that what came after training is void."""
        by_id = {row.id: Host(row.name, row.facts, row.baseline_values) for row in hosts}
        became = {row.id: row.changed_after or 0 for row in hosts}
        evaluations: list[Trial] = []
        answerable: list[tuple[Trial, Host | None]] = []
        for row in rows:
            host = by_id[row.host_id]
            # A host that was restarted meanwhile is another host, without the earlier baseline.
            same = row.id > became[row.host_id]
            evaluations.append(trial_of(row, host.name))
            if row.phase in _AFTER_TRAINING and not more_training:
                answerable.append((evaluations[-1], host if same else None))
            elif same:
                host.recall(study, evaluations[-1])
        return cls(study, evaluations, {host.name: host for host in by_id.values()}, answerable)

    @property
    def last_id(self) -> int:
        return max((trial.id or 0 for trial in self.evaluations), default=0)

    @property
    def trained(self) -> list[Trial]:
        return [evaluation for evaluation in self.evaluations if evaluation.phase == Phase.TRAIN]

    @property
    def training_is_over(self) -> bool:
        return bool(self.answerable)

    def hosts_in(self, phase: str) -> set[str]:
        """The hosts of evaluations that may answer a job of this phase: also those which are away now."""
        return {evaluation.host for evaluation, dummy in self.answerable if evaluation.phase == phase}

    def answer(self, job: Trial) -> Trial | None:
        """The evaluation in which this very job was done, if it was; its host knows of it from now on."""
        for at, (evaluation, host) in enumerate(self.answerable):
            if _is_done_in(job, evaluation):
                del self.answerable[at]
                if host and self.study:
                    host.recall(self.study, evaluation)
                return evaluation
        return None


def _is_done_in(pending: Trial, done: Trial) -> bool:
    return (
        (pending.phase, pending.pair, pending.original) == (done.phase, done.pair, done.original)
        and pending.host in (ANY_HOST, done.host)
        and (pending.original or _texts(pending.requested) == _texts(done.requested))
    )


def _texts(values: Mapping[str, Value]) -> dict[str, str]:
    return {name: kernel_text(value) for name, value in values.items()}
