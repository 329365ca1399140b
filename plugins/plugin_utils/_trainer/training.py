# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The training phase: the learner searches while the fleet evaluates its candidates."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from statistics import median

from .._fleet.fleet import Fleet
from .._fleet.host import Host
from .._fleet.replay_log import ReplayLog
from .._fleet.trial_queue import Ticket
from .._learner.early_stopping import EarlyStopping
from .._learner.initial_design import starting_candidates
from .._learner.learner import ShouldStop, search
from .._learner.protocols import Proposal, WholeSpace, slots_for
from .._learner.trust_region import TrustRegion
from .._memory.warm_start import Notify, OtherStudies
from .._study.study import Study
from .._trial.trial import Phase, State, Trial
from .agent import Agent
from .history import RunHistory
from .priority import at_idle_priority

_LOG = logging.getLogger(__name__)


class FleetEvaluator:
    """The fleet as the learner's Evaluator. ahead: let candidates queue, so that no host waits for the learner."""

    def __init__(self, fleet: Fleet, *, ahead: bool) -> None:
        self._fleet, self._ahead = fleet, ahead
        self._open: list[Ticket] = []

    @property
    def slots(self) -> int:
        hosts = len(self._fleet.hosts)
        return slots_for(hosts) if self._ahead else max(hosts, 1)

    def submit(self, proposals: Sequence[Proposal]) -> None:
        for proposal in proposals:
            _LOG.debug("the learner asks for %s, proposed by %s", dict(proposal.candidate), proposal.by)
        self._open += self._fleet.submit(
            [Trial.pending(Phase.TRAIN, proposal.candidate, proposed_by=proposal.by) for proposal in proposals]
        )

    def collect(self) -> list[Trial]:
        self._fleet.wait_for_any(self._open)
        found = [ticket.trial for ticket in self._open if ticket.has_ended]
        self._open = [ticket for ticket in self._open if not ticket.has_ended]
        return sorted(found, key=lambda trial: trial.id or 0)


def train(
    study: Study,
    fleet: Fleet,
    history: RunHistory,
    replay: ReplayLog,
    others: OtherStudies,
    region: TrustRegion,
    notify: Notify,
    seed: int,
    agent: Agent | None,
) -> dict[str, list[float]]:
    """Run the training, whose trials are added to `history`; returns the features by which hosts are told apart.

    agent: chooses the candidates, in place of the study's algorithm.
    """
    baselines = baselines_before_training(history.trials, study.baseline_trials)
    originals = baselines[min(baselines)][0].requested
    contexts = {name: _features(history.hosts[name], measured) for name, measured in sorted(baselines.items())}
    cautious = study.exploration == "cautious"
    if agent:
        measured = [trial for trials in baselines.values() for trial in trials]
        if left := agent.train(study, fleet, region if cautious else WholeSpace(), measured):
            history.training_ended = "the agent ended it"
            notify(f"the agent ended the training with {left} trials left")
        return contexts
    with at_idle_priority() if any(host.here for host in fleet.hosts.values()) else nullcontext():
        search(
            study.space,
            # A cautious study must know the harm that a candidate did before it chooses the next one.
            FleetEvaluator(fleet, ahead=not cautious),
            budget=len(replay.trained) if replay.training_is_over else study.training_config.total_timesteps,
            seed=seed,
            algorithm=study.algorithm,
            config=study.training_config,
            original=originals,
            starting_candidates=[] if cautious else starting_candidates(study.space, originals),
            metrics=[state.metric for state in study.state_space],
            contexts=contexts,
            known=_as_candidates(study, baselines),
            earlier=others.warm_start(originals, notify),
            poll_trials=lambda: others.shared(notify),
            replay=replay.trained,
            should_stop=_stopping_rule(study, history, notify),
            region=region if cautious else None,
        )
    return contexts


def _stopping_rule(study: Study, history: RunHistory, notify: Notify) -> ShouldStop:
    """Whether to stop training early; the reason goes to the user and into `history`."""
    margin = math.log1p(study.verification.min_improvement / 100)
    rule = EarlyStopping(study.training_config.total_timesteps, study.space.size, margin)

    def should_stop(observed: int, pending: int, expected_gain: float | None) -> bool:
        left = rule.budget - observed - pending
        if not study.early_stopping or history.training_ended or left <= 0:
            return False
        performances = [trial.score.performance for trial in history.trained()[:observed]]
        gain = None if expected_gain is None else expected_gain / study.reward.performance_share
        reason = rule.reason(performances, gain)
        if reason:
            history.training_ended = reason
            notify(f"training stopped early, with {left} of {rule.budget} trials left: {reason}")
        return bool(reason)

    return should_stop


def baselines_before_training(trials: Sequence[Trial], needed: int) -> dict[str, list[Trial]]:
    """The successful baseline trials from before the training, by host, of the hosts that had all they need.

    A resumed study replays its training, so the learner must start from what it knew at first: not from the baselines
    of hosts that joined later or were rebooted, and also from those of hosts that are absent now.
    """
    found: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.phase == Phase.TRAIN:
            break
        if trial.phase == Phase.BASELINE and trial.state == State.COMPLETE:
            found.setdefault(trial.host, []).append(trial)
    return {host: measured for host, measured in found.items() if len(measured) >= needed}


def _as_candidates(study: Study, baselines: Mapping[str, Sequence[Trial]]) -> list[Trial]:
    """The baselines as trials of candidates, if the search space contains the host's original values."""
    found: list[Trial] = []
    for trials in baselines.values():
        if not study.space.unreachable(trials[0].requested):
            found += trials
    return sorted(found, key=lambda trial: trial.id or 0)


def _features(host: Host, baselines: Sequence[Trial]) -> list[float]:
    """What distinguishes hosts, on a log scale, as `HostContexts` expects it."""
    metric = median(trial.metric or 1.0 for trial in baselines)
    return [math.log(host.facts["cpus"]), math.log(host.facts["memory_bytes"]), math.log(metric)]
