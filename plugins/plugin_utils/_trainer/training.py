# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The train phase: the learner searches, and the fleet evaluates meanwhile."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from statistics import median

from .._fleet.fleet import Fleet
from .._fleet.host import Host
from .._fleet.jobs import Ticket
from .._learner.asking import slots_for
from .._learner.caution import TrustRegion
from .._learner.design import starting_candidates
from .._learner.learner import IsEnough, search
from .._learner.stopping import Stopping
from .._memory.memory import Memory
from .._study.space import Candidate, Value
from .._study.study import Study
from .._trial.trial import Phase, State, Trial
from .conclusion import Clock
from .history import RunHistory
from .priority import at_idle_priority

_LOG = logging.getLogger(__name__)
Tell = Callable[[str], None]


class FleetEvaluator:
    """The fleet, for the learner. ahead: whether candidates may wait for a host, so that none waits for the learner."""

    def __init__(self, fleet: Fleet, clock: Clock, *, ahead: bool) -> None:
        self._fleet, self._clock, self._ahead = fleet, clock, ahead
        self._open: list[Ticket] = []

    @property
    def slots(self) -> int:
        hosts = len(self._fleet.hosts)
        return slots_for(hosts) if self._ahead else max(hosts, 1)

    def submit(self, candidates: Sequence[Candidate]) -> None:
        for candidate in candidates:
            _LOG.debug("the learner asks for %s", dict(candidate))
        self._open += self._fleet.hand_out([Trial.pending(Phase.TRAIN, candidate) for candidate in candidates])

    def collect(self) -> list[Trial]:
        with self._clock.waiting():
            self._fleet.wait_for_any(self._open)
        found = [ticket.trial for ticket in self._open if ticket.has_ended]
        self._open = [ticket for ticket in self._open if not ticket.has_ended]
        return sorted(found, key=lambda trial: trial.id or 0)


def train(
    study: Study,
    fleet: Fleet,
    hosts: Mapping[str, Host],
    record: RunHistory,
    clock: Clock,
    memory: Memory,
    region: TrustRegion,
    tell: Tell,
    seed: int,
) -> dict[str, list[float]]:
    """Spend the study's training evaluations; the record has them then. Returns what told the hosts apart.

    hosts: those whose baseline is known; the fleet may have others, which came later.
    """
    baselines = _baselines_before_training(record)
    own: Mapping[str, Value] = record.hosts[min(baselines)].baseline_values
    contexts = {name: _features(record.hosts[name], measured) for name, measured in sorted(baselines.items())}
    cautious = study.exploration == "cautious"
    with at_idle_priority() if any(host.here for host in hosts.values()) else nullcontext():
        search(
            study.space,
            # Where harm can be done, it is to be known before more is tried.
            FleetEvaluator(fleet, clock, ahead=not cautious),
            budget=len(memory.history) if memory.past.training_is_over else study.training_config.total_timesteps,
            seed=seed,
            algorithm=study.algorithm,
            config=study.training_config,
            own=own,
            starts=[] if cautious else starting_candidates(study.space, own),
            metrics=[state.metric for state in study.state_space],
            contexts=contexts,
            known=_as_candidates(study, record, baselines),
            earlier=memory.earlier(own, tell),
            news=lambda: memory.news(tell),
            history=memory.history,
            is_enough=_rule(study, record, tell),
            region=region if cautious else None,
        )
    return contexts


def _rule(study: Study, record: RunHistory, tell: Tell) -> IsEnough:
    """Whether training may end early; what is told then is kept in the record."""
    wanted = study.verification
    stopping = Stopping(
        study.training_config.total_timesteps, study.space.size, math.log1p(wanted.min_improvement / 100)
    )

    def is_enough(told: int, under_way: int, promise: float | None) -> bool:
        saved = stopping.budget - told - under_way
        if not study.early_stopping.run or record.training_ended or saved <= 0:
            return False
        performances = [evaluation.score.performance for evaluation in record.trained()[:told]]
        reason = stopping.reason(performances, None if promise is None else promise / study.reward.performance_share)
        if reason:
            record.training_ended = reason
            tell(f"training ends {saved} of {stopping.budget} evaluations early: {reason}")
        return bool(reason)

    return is_enough


def _baselines_before_training(record: RunHistory) -> dict[str, list[Trial]]:
    """The successful baseline evaluations that ended before the first training evaluation, by host.

    A resumed study replays its training, so the learner must start from what it knew at first: not from the baselines
    of hosts that joined later or were rebooted, and also from those of hosts that are absent now.
    """
    found: dict[str, list[Trial]] = {}
    for evaluation in record.evaluations:
        if evaluation.phase == Phase.TRAIN:
            break
        if evaluation.phase == Phase.BASELINE and evaluation.state == State.COMPLETE:
            found.setdefault(evaluation.host, []).append(evaluation)
    return found


def _as_candidates(study: Study, record: RunHistory, baselines: Mapping[str, Sequence[Trial]]) -> list[Trial]:
    """The baselines as evaluations of candidates, where the search space contains the host's original values."""
    found: list[Trial] = []
    for host, evaluations in baselines.items():
        if not study.space.unreachable(record.hosts[host].baseline_values):
            found += evaluations
    return sorted(found, key=lambda trial: trial.id or 0)


def _features(host: Host, baselines: Sequence[Trial]) -> list[float]:
    """What distinguishes hosts, on a log scale, as `Contexts` expects it."""
    metric = median(evaluation.metric or 1.0 for evaluation in baselines)
    return [math.log(host.facts["cpus"]), math.log(host.facts["memory_bytes"]), math.log(metric)]
