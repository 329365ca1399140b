# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a run that was interrupted has left in the store, so that it goes on where it stopped.

A run that goes on begins again with the same seed and meets its own past: jobs that were done are answered from it,
hosts that are as they were keep their baseline, the learner starts from its evaluations. So every phase continues
where it was, whatever it is, and nothing is measured twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from .._evaluation.evaluation import Evaluation, Job, Measurement, Score
from .._study.parameters import kernel_text
from .._study.space import Value
from .._study.study import Study
from .host import Host

_AFTER_TRAINING = ("race", "verify", "ablate")


class HostInStore(Protocol):
    """A row of the store's hosts."""

    id: Any
    name: Any
    facts: Any
    baseline_values: Any
    changed_after: Any


@dataclass
class Past:
    """Nothing, for a run that begins; the callers need not know.

    evaluations: all of them, in the order in which they ended. hosts: those that took part, as they were at the end of
    training. `answerable` are the evaluations after that, each of which answers one job, with the host that is told of
    it then: so that whatever is asked meanwhile gets the answer it got then.
    """

    study: Study | None = None
    evaluations: Sequence[Evaluation] = ()
    hosts: Mapping[str, Host] = field(default_factory=dict)
    answerable: list[tuple[Evaluation, Host | None]] = field(default_factory=list)

    @classmethod
    def of(cls, study: Study, hosts: Sequence[HostInStore], rows: Iterable[Any], *, more_training: bool) -> Past:
        """From the rows of the store. more_training: the budget has grown, so that what came after training is void."""
        by_id = {row.id: Host(row.name, row.facts, row.baseline_values) for row in hosts}
        became = {row.id: row.changed_after or 0 for row in hosts}
        places: Counter[str] = Counter()
        evaluations: list[Evaluation] = []
        answerable: list[tuple[Evaluation, Host | None]] = []
        for row in rows:
            host = by_id[row.host_id]
            # What a host told before it was started again is of another host.
            own = row.number > became[row.host_id]
            places[host.name] += own
            evaluations.append(replace(evaluation_of(row, host.name), place=places[host.name] if own else 0))
            if row.phase in _AFTER_TRAINING and not more_training:
                answerable.append((evaluations[-1], host if own else None))
            elif own:
                host.recall(study, evaluations[-1])
        return cls(study, evaluations, {host.name: host for host in by_id.values()}, answerable)

    @property
    def number(self) -> int:
        """Of the last evaluation."""
        return max((evaluation.number for evaluation in self.evaluations), default=0)

    @property
    def trained(self) -> list[Evaluation]:
        return [evaluation for evaluation in self.evaluations if evaluation.job.phase == "train"]

    @property
    def training_is_over(self) -> bool:
        return bool(self.answerable)

    def hosts_in(self, phase: str) -> set[str]:
        """The hosts of evaluations that may answer a job of this phase: also those which are away now."""
        return {evaluation.host for evaluation, dummy in self.answerable if evaluation.job.phase == phase}

    def answer(self, job: Job) -> Evaluation | None:
        """The evaluation in which this very job was done, if it was; its host knows of it from now on."""
        for at, (evaluation, host) in enumerate(self.answerable):
            if _is_done_in(job, evaluation):
                del self.answerable[at]
                if host and self.study:
                    host.recall(self.study, evaluation)
                return evaluation
        return None


def evaluation_of(row: Any, host: str) -> Evaluation:
    """An evaluation as it was before it was a row of the store."""
    own = row.own_values if row.own_values is not None else row.phase in ("baseline", "control")
    job = Job(row.phase, None if own else row.asked, None if row.phase == "train" else host, row.pair)
    measurement = Measurement(
        actual=row.actual,
        metric=row.metric,
        streamed=row.streamed,
        metrics=row.metrics,
        observations=row.observations,
        strain=row.strain or {},
        seconds=row.seconds,
        error=row.error,
        ended_early=bool(row.ended_early),
    )
    score = Score(
        row.performance,
        row.stability,
        row.reward,
        row.stability_parts or {},
        row.noise,
        row.level,
        row.uncertainty or 0.0,
    )
    return Evaluation(row.number, job, host, measurement, score)


def _is_done_in(job: Job, evaluation: Evaluation) -> bool:
    done = evaluation.job
    return (
        (job.phase, job.pair) == (done.phase, done.pair)
        and job.host in (None, evaluation.host)
        and _texts(job.values) == _texts(done.values)
    )


def _texts(values: Mapping[str, Value] | None) -> dict[str, str] | None:
    return None if values is None else {name: kernel_text(value) for name, value in values.items()}
