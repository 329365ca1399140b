# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The phases of a run, in order: baseline, training, race, proof, ablation, guard benchmarks, recovery."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from .._fleet.fleet import Ended, Fleet
from .._fleet.replay_log import ReplayLog
from .._learner.trust_region import TrustRegion
from .._memory.warm_start import OtherStudies
from .._outcome.verdict import unrecovered
from .._proof.ablation import ablate, without
from .._proof.coupled import changes
from .._proof.evidence import Proof
from .._proof.harm import without_harm
from .._proof.pairing import Measure
from .._proof.race import race
from .._proof.recovery import measure_recovery
from .._proof.verification import paused, verify
from .._study.risks import risks_tried
from .._study.study import Study
from .._trial.trial import Phase, Trial
from .agent import Agent
from .conclusion import Conclusion, Verdict
from .contenders import contenders
from .history import RunHistory
from .training import train


def run_study(
    study: Study,
    fleet: Fleet,
    history: RunHistory,
    replay: ReplayLog,
    others: OtherStudies,
    notify: Callable[..., None],
    seed: int,
    agent: Agent | None = None,
) -> Conclusion:
    """Run all phases of the study; one that is resumed repeats them, with the answers that `replay` has.

    notify: shows lines to the user and stores them. agent: chooses the candidates of the training in place of the
    study's algorithm. Raises Ended and StoreError.
    """
    conclusion = _find(study, fleet, history, replay, others, notify, seed, agent)
    if not conclusion.is_complete:
        return conclusion
    history.enter(Phase.RECOVERY)
    try:
        found = measure_recovery(study, fleet.wait_for_hosts(), history.trials, fleet.measure)
    except Ended:
        return conclusion  # it does not depend on the recovery
    hosts = {name: {"recovery": vars(each)} for name, each in found.items()}
    for text in unrecovered({"per_host": hosts}, "{:+.1f} %".format):
        notify(text)
    return replace(conclusion, recovery=found)


def _find(
    study: Study,
    fleet: Fleet,
    history: RunHistory,
    replay: ReplayLog,
    others: OtherStudies,
    notify: Callable[..., None],
    seed: int,
    agent: Agent | None,
) -> Conclusion:
    """The best values, and their proof."""

    def hosts_for(phase: Phase) -> list[str]:
        """The hosts of a phase: all that are ready, or those with which it was interrupted.

        With others beside these, runs that are stored would be taken for those of another order, and another plan.
        """
        ready, before = set(fleet.wait_for_hosts()), replay.hosts_in(phase)
        return sorted(before if before & ready else before | ready)

    def originals_of(hosts: Sequence[str]) -> dict[str, dict[str, str]]:
        return {host: history.hosts[host].original_values for host in hosts}

    history.enter(Phase.BASELINE)
    originals = next(iter(fleet.wait_for_baselines().values())).original_values
    own_values = {name: host.original_values for name, host in history.hosts.items()}
    notify(*risks_tried(study.action_space, own_values), *history.forecast_power())

    history.enter(Phase.TRAIN)
    region = TrustRegion(study.space, originals, study.caution, study.direction)
    contexts = train(study, fleet, history, replay, others, region, notify, seed, agent)

    history.enter(Phase.RACE)
    history.check_hosts()  # now, so that a run that is resumed later knows the same
    with fleet.paused():
        trained, baselines = history.in_hindsight(), history.baselines_in_hindsight()
    reason = "all candidates failed" if trained else "no candidate was tried"
    if study.exploration == "cautious":
        trained = [trial for trial in trained if not region.is_harmful(trial)]
        reason = reason if trained or not region.harmed else "all candidates failed or did harm"
    hosts = hosts_for(Phase.RACE)
    candidates = contenders(study, trained, baselines, contexts, originals_of(hosts))
    winner, standings = (
        race(candidates, hosts, fleet.measure, seed=seed, originals=originals_of(hosts)) if candidates else (None, [])
    )
    if winner is None:
        return Conclusion("no_improvement", reason, standings=standings)
    if not changes(winner, originals_of(hosts)):
        return Conclusion("no_improvement", "the best candidate changes nothing on any host", standings=standings)

    history.enter(Phase.VERIFY)
    hosts, pairs = hosts_for(Phase.VERIFY), list[Trial]()

    def measure_pairs(pending: Sequence[Trial]) -> list[Trial]:
        pairs.extend(ended := fleet.measure(pending))
        return ended

    def prove(measure: Measure, begun: Sequence[Trial], *, precise: bool) -> Proof:
        own = originals_of(hosts)
        return verify(
            winner, hosts, measure, study, seed=seed, originals=own, precise=precise, begun=begun, notify=notify
        )

    proof = prove(measure_pairs, (), precise=False)
    if not proof.improved:
        return Conclusion("no_improvement", proof.reason, winner, standings, proof)

    history.enter(Phase.ABLATE)
    present = hosts_for(Phase.ABLATE)
    try:
        own, measure = originals_of(present), paused(fleet.measure, proof)
        ablation = ablate(winner, proof, present, own, measure, study, seed=seed, notify=notify)
        if ablation.proof is ablation.all_values:
            # No smaller set replaces the winner, so the role rests on its own proof, which therefore goes on.
            proof = prove(fleet.measure, pairs, precise=True)
            if not proof.improved:
                return Conclusion("no_improvement", proof.reason, winner, standings, proof)
            if ablation.reason:  # it measured something
                ablation = ablation.model_copy(update={"all_values": proof})
            else:
                ablation = ablate(winner, proof, present, own, fleet.measure, study, seed=seed)
    except Ended as end:
        # A role with values that nobody has tested is none; the study can be resumed.
        verdict: Verdict = "stopped" if end.stopped else "failed"
        return Conclusion(verdict, f"{end}; the winner as a whole had been proved", winner, standings, proof)
    reason = ". ".join(filter(None, [ablation.proof.reason, ablation.reason]))
    kept = {param: winner[param] for param in winner if param in ablation.parameters("kept")}
    conclusion = Conclusion("improved", reason, kept, standings, ablation.proof, ablation)
    if not study.guard_benchmarks:
        return conclusion

    history.enter(Phase.GUARD)
    try:
        hosts = hosts_for(Phase.GUARD)
        measure = paused(fleet.measure, conclusion.proof)
        guarded = without_harm(kept, hosts, originals_of(hosts), measure, study, seed=seed, notify=notify)
    except Ended as end:
        verdict = "stopped" if end.stopped else "failed"
        return replace(conclusion, verdict=verdict, reason=f"{reason}. The guard benchmarks were not completed: {end}")
    conclusion = replace(
        conclusion,
        learned_values=guarded.values,
        proof=guarded.proof or conclusion.proof,
        ablation=without(ablation, {*kept} - {*guarded.values}),
        guarded=guarded,
    )
    if guarded.reason:
        return replace(conclusion, verdict="no_improvement", reason=f"{reason}, but {guarded.reason}")
    return replace(conclusion, reason=". ".join(filter(None, [reason, guarded.removed])))
