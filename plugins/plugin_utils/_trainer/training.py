# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The train phase: the learner searches, and the fleet evaluates meanwhile."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import median

from .._study.space import Candidate, Value
from .._study.study import Study
from .asking import Evaluator
from .caution import Cautiously, TrustRegion
from .conclusion import Clock
from .design import starting_candidates
from .evaluation import Evaluation, Job
from .fleet import Fleet
from .host import Host, Ticket
from .learner import search
from .memory import Memory
from .record import Record

Tell = Callable[[str], None]


class FleetEvaluator:
    """The fleet, for the learner. Some candidates wait in a queue, so that no host ever waits for the learner."""

    def __init__(self, fleet: Fleet, clock: Clock) -> None:
        self._fleet, self._clock = fleet, clock
        self._open: list[Ticket] = []

    @property
    def slots(self) -> int:
        hosts = len(self._fleet.hosts)
        return max(hosts, 1) + max(hosts // 4, 1)

    def submit(self, candidates: Sequence[Candidate]) -> None:
        self._open += self._fleet.hand_out([Job("train", candidate) for candidate in candidates])

    def collect(self) -> list[Evaluation]:
        with self._clock.waiting():
            self._fleet.wait_for_any(self._open)
        found = [ticket.evaluation for ticket in self._open if ticket.evaluation]
        self._open = [ticket for ticket in self._open if not ticket.evaluation]
        return sorted(found, key=lambda evaluation: evaluation.number)


def train(
    study: Study, fleet: Fleet, record: Record, clock: Clock, memory: Memory, region: TrustRegion, tell: Tell, seed: int
) -> None:
    """Spend the study's training evaluations; the record has them then."""
    hosts = list(fleet.hosts.values())
    evaluator: Evaluator = FleetEvaluator(fleet, clock)
    if study.exploration == "cautious":
        evaluator = Cautiously(region, evaluator, lambda: len(fleet.hosts))
    own: Mapping[str, Value] = hosts[0].baseline_values
    search(
        study.space,
        evaluator,
        budget=study.training_config.total_timesteps,
        seed=seed,
        algorithm=study.algorithm,
        config=study.training_config,
        own=own,
        starts=[] if study.exploration == "cautious" else starting_candidates(study.space, own),
        metrics=[state.metric for state in study.state_space],
        contexts={host.name: _features(host) for host in hosts},
        known=[*memory.known(own, tell), *_baselines(study, record)],
        news=memory.news,
        history=memory.history,
        snapshot=memory.snapshot(tell),
        on_round=lambda snapshot, dummy: memory.keep(snapshot, tell),
    )


def _baselines(study: Study, record: Record) -> list[Evaluation]:
    """Of the baselines, those whose values a candidate could have: anything else lies elsewhere in the space."""
    found = []
    for evaluation in record.evaluations:
        own = record.hosts[evaluation.host].baseline_values
        if evaluation.job.phase == "baseline" and not evaluation.failed and not study.space.lacks(own):
            found.append(replace(evaluation, job=replace(evaluation.job, values=own)))
    return found


def _features(host: Host) -> list[float]:
    """What tells hosts apart, on a scale on which a fifth makes a difference (see Contexts)."""
    facts = host.facts
    return [math.log(facts["cpus"]), math.log(facts["memory_bytes"]), math.log(median(host.baseline_metrics))]
