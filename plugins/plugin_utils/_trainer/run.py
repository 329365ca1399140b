# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The phases of a run, in order: baseline, training, race, proof; and the result they come to."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import fmean, geometric_mean, median, stdev
from typing import Any, Literal

import numpy as np

from .._outcome import result as outcome
from .._store.store import StoreError
from .._study.parameters import kernel_text
from .._study.space import Candidate, Value
from .._study.study import Study
from .caution import TrustRegion, cautiously
from .environment import Observer
from .evaluation import Evaluation, Job
from .fleet import Ended, Fleet
from .learner import search
from .recommendation import recommend
from .record import Record
from .verification import Pair, Proof, judge, race, run_pairs

Verdict = Literal["improved", "no_improvement", "failed", "stopped"]


@dataclass(frozen=True)
class Conclusion:
    """What a run came to. Without a winner there are no pairs, and without enough pairs no proof."""

    verdict: Verdict
    reason: str
    winner: Candidate | None = None
    pairs: Sequence[Pair] = ()
    proof: Proof | None = None
    tuned: Sequence[Evaluation] = ()


class Clock:
    """The learner's own seconds: what passes in the main thread while no evaluation is waited for."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.waited = 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.waited += time.monotonic() - began


def conduct(study: Study, fleet: Fleet, record: Record, clock: Clock, seed: int) -> Conclusion:
    """Run the study to its end, whatever that is."""
    try:
        return _phases(study, fleet, record, clock, seed)
    except Ended as end:
        return Conclusion("stopped" if end.stopped else "failed", str(end))
    except StoreError as error:
        return Conclusion("failed", str(error))


def _phases(study: Study, fleet: Fleet, record: Record, clock: Clock, seed: int) -> Conclusion:
    def tell(text: str) -> None:
        record.note(text)
        fleet.notify(text)

    def measure(jobs: Sequence[Job]) -> list[Evaluation]:
        with clock.waiting():
            return fleet.measure(jobs)

    record.enter("baseline")
    with clock.waiting():
        fleet.wait_for_baselines()

    record.enter("train")
    metrics = [state.metric for state in study.state_space]
    host = next(iter(fleet.hosts.values()))
    baseline = next(e for e in record.evaluations if e.host == host.name)
    start = Observer(study.space, metrics).at_baseline(host.baseline_values, baseline.measurement.observations)
    region = TrustRegion(study.space, host.baseline_values, study.caution)

    def train(candidates: Sequence[Candidate]) -> list[Evaluation]:
        return measure([Job("train", candidate) for candidate in candidates])

    search(
        study.space,
        cautiously(region, train, lambda: len(fleet.hosts)) if study.exploration == "cautious" else train,
        study.training_config,
        seed=seed,
        metrics=metrics,
        start=start,
        tell=tell,
    )

    record.enter("race")
    trained = record.trained()
    if study.exploration == "cautious":
        trained = [evaluation for evaluation in trained if not region.harmful(evaluation)]
    candidates = recommend(study.space, trained, study.verification.candidates)
    winner = race(candidates, measure) if candidates else None
    if winner is None:
        return Conclusion("no_improvement", "no candidate ran without failing")

    record.enter("verify")
    generator = np.random.default_rng(seed)
    pairs, tuned = run_pairs(winner, list(fleet.hosts), study.verification.rounds(len(fleet.hosts)), measure, generator)
    proof = judge(
        pairs,
        study.direction,
        confidence=study.verification.confidence,
        min_improvement=study.verification.min_improvement,
        seed=seed,
    )
    # Of a host that went away nothing is known; that its job failed is not the candidate's fault.
    failures = [evaluation.measurement.error for evaluation in tuned if evaluation.failed and evaluation.took_place]
    if proof is None:
        why = f" ({failures[0]})" if failures else ""
        return Conclusion(
            "no_improvement", f"only {len(pairs)} pairs succeeded, too few to judge by{why}", winner, pairs
        )
    if failures and proof.improved:
        reason = f"the best candidate failed {len(failures)} times while it was verified: {failures[0]}"
        return Conclusion("no_improvement", reason, winner, pairs, proof, tuned)
    return Conclusion("improved" if proof.improved else "no_improvement", proof.reason, winner, pairs, proof, tuned)


def result_of(
    study: Study, conclusion: Conclusion, record: Record, clock: Clock, *, seed: int, about: dict[str, Any]
) -> outcome.Result:
    """The result as result.json has it. `about` holds started, store, study_id and versions."""
    own, proof = record.hosts, conclusion.proof
    baselines = {name: host.baseline_metrics for name, host in own.items() if host.baseline_metrics}
    winner = _as_kept(conclusion) if conclusion.winner else None
    rewards = [evaluation.score.reward for evaluation in conclusion.tuned if not evaluation.failed]
    return outcome.Result(
        workload_name=study.workload_name,
        verdict=conclusion.verdict,
        reason=conclusion.reason,
        metric=study.reward_metric,
        direction=study.direction,
        best_config=winner,
        best_reward=fmean(rewards) if rewards else None,
        improvement=proof.improvement if proof else None,
        interval=proof.interval if proof else None,
        p_value=proof.p_value if proof else None,
        confidence=study.verification.confidence,
        pairs=len(conclusion.pairs),
        baseline=_baseline(record, baselines, conclusion.pairs) if baselines else None,
        best=outcome.Best(metric=_candidate_metric(conclusion.pairs), stability=_stability(conclusion.tuned))
        if conclusion.pairs
        else None,
        per_host={name: _host_result(study, name, record, conclusion) for name in own},
        evidence=tuple(outcome.Pair(**vars(pair)) for pair in conclusion.pairs),
        evaluations=_counts(record.evaluations),
        seconds=_seconds(record, clock),
        parameters=tuple(
            outcome.Change(
                param=parameter.param,
                description=parameter.description,
                **{"from": {name: host.baseline_values[parameter.param] for name, host in own.items()}},
                to=winner[parameter.param],
            )
            for parameter in study.action_space
        )
        if winner
        else (),
        seed=seed,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        study=study.model_dump(mode="json", exclude_none=True),
        **about,
    )


def _as_kept(conclusion: Conclusion) -> dict[str, Value]:
    """The winner with the values that the kernel kept, where it rounded or clamped what was asked."""
    kept = next((e.measurement.actual for e in conclusion.tuned if e.measurement.actual), {})
    return {
        parameter: value if kernel_text(value) == kept.get(parameter, kernel_text(value)) else kept[parameter]
        for parameter, value in (conclusion.winner or {}).items()
    }


def _baseline(record: Record, baselines: dict[str, list[float]], pairs: Sequence[Pair]) -> outcome.Baseline:
    spreads = [stdev(metrics) / fmean(metrics) * 100 for metrics in baselines.values() if len(metrics) > 1]
    return outcome.Baseline(
        metric=_baseline_metric(pairs, [metric for metrics in baselines.values() for metric in metrics]),
        stability=_stability([evaluation for evaluation in record.evaluations if evaluation.job.values is None]),
        values=record.hosts[next(iter(baselines))].baseline_values,
        cv_percent=median(spreads) if spreads else None,
    )


def _stability(evaluations: Sequence[Evaluation]) -> outcome.Stability | None:
    """The mean over the evaluations, of the score and of each part."""
    scores = [evaluation.score for evaluation in evaluations if evaluation.score.stability is not None]
    if not scores:
        return None
    names = [name for name in scores[0].stability_parts if all(name in score.stability_parts for score in scores)]
    return outcome.Stability(
        score=fmean(score.stability for score in scores if score.stability is not None),
        parts={name: fmean(score.stability_parts[name] for score in scores) for name in names},
    )


def _baseline_metric(pairs: Sequence[Pair], otherwise: Sequence[float]) -> float:
    """Geometric means over the pairs, for their ratio is the improvement; or over what there is without pairs."""
    return geometric_mean([pair.baseline for pair in pairs] or otherwise)


def _candidate_metric(pairs: Sequence[Pair]) -> float:
    return geometric_mean([pair.candidate for pair in pairs])


def _host_result(study: Study, name: str, record: Record, conclusion: Conclusion) -> outcome.HostResult:
    host = record.hosts[name]
    evaluations = [evaluation for evaluation in record.evaluations if evaluation.host == name]
    pairs = [pair for pair in conclusion.pairs if pair.host == name]
    proof = judge(pairs, study.direction, confidence=study.verification.confidence, min_improvement=0, seed=0)
    return outcome.HostResult(
        baseline_values=host.baseline_values,
        baseline_metric=_baseline_metric(pairs, host.baseline_metrics) if host.baseline_metrics else None,
        best_metric=_candidate_metric(pairs) if pairs else None,
        improvement=proof.improvement if proof else None,
        pairs=len(pairs),
        evaluations=len(evaluations),
        failures=sum(evaluation.failed for evaluation in evaluations),
        kernel=str(host.facts["kernel"]),
    )


def _counts(evaluations: Sequence[Evaluation]) -> dict[str, int]:
    phases = Counter(evaluation.job.phase for evaluation in evaluations)
    named: dict[str, int] = {phase: phases[phase] for phase in ("baseline", "control", "train", "race", "verify")}
    return named | {"failed": sum(evaluation.failed for evaluation in evaluations), "total": len(evaluations)}


def _seconds(record: Record, clock: Clock) -> dict[str, float]:
    """By stage, summed over all hosts; `total` and `learn` are the trainer's own."""
    stages: Counter[str] = Counter()
    for evaluation in record.evaluations:
        stages.update(evaluation.measurement.seconds)
    total = time.monotonic() - clock.started
    own = {"total": total, "learn": total - clock.waited - record.store_seconds, "store": record.store_seconds}
    return {name: round(seconds, 3) for name, seconds in {**own, **stages}.items()}
