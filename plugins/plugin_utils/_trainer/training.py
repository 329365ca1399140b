# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The train phase: the learner searches, and the fleet evaluates meanwhile."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from statistics import median
from typing import Any

from .._evaluation.evaluation import Evaluation, Job
from .._fleet.fleet import Fleet
from .._fleet.host import Host
from .._fleet.jobs import Ticket
from .._learner.asking import slots_for
from .._learner.caution import TrustRegion
from .._learner.design import starting_candidates
from .._learner.learner import IsEnough, search
from .._learner.snapshot import Snapshot
from .._learner.stopping import Stopping
from .._memory.memory import Memory
from .._study.space import Candidate, Value
from .._study.study import Study
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
        self._open += self._fleet.hand_out([Job("train", candidate) for candidate in candidates])

    def collect(self) -> list[Evaluation]:
        with self._clock.waiting():
            self._fleet.wait_for_any(self._open)
        found = [ticket.evaluation for ticket in self._open if ticket.evaluation]
        self._open = [ticket for ticket in self._open if not ticket.evaluation]
        return sorted(found, key=lambda evaluation: evaluation.number)


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
    snapshot = memory.snapshot(tell)
    # A learner that goes on must see its hosts as it saw them, though some may be away now, and others drift.
    seen: dict[str, Any] = snapshot.state["fleet"] if snapshot else _as_seen(hosts)
    own: Mapping[str, Value] = seen["own"]

    def on_round(found: Snapshot, dummy: int) -> None:
        memory.keep(Snapshot(found.tensors, {**found.state, "fleet": seen}), tell)

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
            contexts=seen["contexts"],
            known=_baselines(study, record),
            earlier=memory.earlier(own, tell),
            news=lambda: memory.news(tell),
            history=memory.history,
            snapshot=snapshot,
            on_round=on_round,
            is_enough=_rule(study, record, tell),
            region=region if cautious else None,
        )
    return seen["contexts"]  # type: ignore[no-any-return]


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
        reason = stopping.reason(performances, None if promise is None else promise / study.reward.share)
        if reason:
            record.training_ended = reason
            tell(f"training ends {saved} of {stopping.budget} evaluations early: {reason}")
        return bool(reason)

    return is_enough


def _baselines(study: Study, record: RunHistory) -> list[Evaluation]:
    """Of the baselines, those whose values a candidate could have: anything else lies elsewhere in the space."""
    found = []
    for evaluation in record.evaluations:
        own = record.hosts[evaluation.host].baseline_values
        if evaluation.job.phase == "baseline" and not evaluation.failed and not study.space.lacks(own):
            found.append(replace(evaluation, job=replace(evaluation.job, values=own)))
    return found


def _as_seen(hosts: Mapping[str, Host]) -> dict[str, Any]:
    """As JSON: a host's own values, and what tells the hosts apart."""
    first = hosts[min(hosts)]
    return {"own": first.baseline_values, "contexts": {name: _features(hosts[name]) for name in sorted(hosts)}}


def _features(host: Host) -> list[float]:
    """What tells hosts apart, on a scale on which a fifth makes a difference (see Contexts)."""
    facts = host.facts
    return [math.log(facts["cpus"]), math.log(facts["memory_bytes"]), math.log(median(host.baseline_metrics))]
