# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The phases of a run, in order: baseline, training, race, proof, ablation."""

from __future__ import annotations

from collections.abc import Sequence

from .._fleet.fleet import Ended, Fleet
from .._learner.caution import TrustRegion
from .._learner.recommendation import recommend
from .._memory.memory import Memory
from .._proof.ablation import ablate
from .._proof.race import race
from .._proof.sequential_test import prove
from .._store.store import StoreError
from .._study.study import Study
from .._trial.trial import Phase, Trial
from .conclusion import Clock, Conclusion
from .history import RunHistory
from .training import train


def run_study(study: Study, fleet: Fleet, record: RunHistory, clock: Clock, memory: Memory, seed: int) -> Conclusion:
    """Run the study to its end, whatever that is; one that was interrupted goes the same way up to where it was."""
    try:
        return _phases(study, fleet, record, clock, memory, seed)
    except Ended as end:
        return Conclusion("stopped" if end.stopped else "failed", str(end))
    except StoreError as error:
        return Conclusion("failed", str(error))


def _phases(study: Study, fleet: Fleet, record: RunHistory, clock: Clock, memory: Memory, seed: int) -> Conclusion:
    def tell(*texts: str) -> None:
        for text in texts:
            record.note(text)
        fleet.notify(*texts)  # together, or several workers show them in any order

    def measure(jobs: Sequence[Trial]) -> list[Trial]:
        with clock.waiting():
            return fleet.measure(jobs)

    def hosts_for(phase: Phase) -> list[str]:
        # Those that have done a part of it before it was interrupted belong to it, wherever they are now.
        # Without any, nobody would fail, and nothing would have been measured.
        with clock.waiting():
            return sorted({*fleet.wait_for_hosts(), *memory.past.hosts_in(phase)})

    record.enter(Phase.BASELINE)
    with clock.waiting():
        hosts = fleet.wait_for_baselines()
    tell(*record.foretell())

    record.enter(Phase.TRAIN)
    region = TrustRegion(study.space, next(iter(hosts.values())).baseline_values, study.caution)
    contexts = train(study, fleet, hosts, record, clock, memory, region, tell, seed)

    record.enter(Phase.RACE)
    with fleet.still():
        trained = record.in_hindsight()
    if study.exploration == "cautious":
        trained = [evaluation for evaluation in trained if not region.harmful(evaluation)]
    candidates = recommend(study.space, trained, study.verification.candidates, contexts)
    winner, standings = race(candidates, hosts_for(Phase.RACE), measure, seed=seed) if candidates else (None, [])
    if winner is None:
        return Conclusion("no_improvement", "no candidate ran without failing", standings=standings)

    record.enter(Phase.VERIFY)
    proof = prove(winner, hosts_for(Phase.VERIFY), measure, study, seed=seed)
    if not proof.improved:
        return Conclusion("no_improvement", proof.reason, winner, standings, proof)

    record.enter(Phase.ABLATE)
    left = hosts_for(Phase.ABLATE)
    own = {host: record.hosts[host].baseline_values for host in left}
    try:
        ablation = ablate(winner, proof, left, own, measure, study, seed=seed)
    except Ended as end:
        if end.stopped:
            return Conclusion("stopped", f"{end}; all values together were proved before", winner, standings, proof)
        reason = f"{proof.reason}. The ablation was not completed: {end}"
        return Conclusion("improved", reason, winner, standings, proof)
    reason = ". ".join(filter(None, [ablation.proof.reason, ablation.reason]))
    kept = {param: winner[param] for param in winner if param in ablation.parameters("kept")}
    return Conclusion("improved", reason, kept, standings, ablation.proof, ablation)
