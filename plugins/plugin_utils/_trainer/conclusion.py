# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a run came to, and how result.json says it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import fmean, geometric_mean, median, stdev
from typing import Any, Literal, get_args

from .._evaluation.evaluation import Evaluation, Phase
from .._evaluation.reward import percent
from .._outcome import evidence
from .._outcome import result as outcome
from .._proof.ablation import Ablation
from .._proof.evidence import Pair
from .._proof.race import Standing
from .._proof.verification import Proof
from .._study.parameters import kernel_text
from .._study.space import Candidate, Value
from .._study.study import Study
from .history import RunHistory
from .result_sections import early_stopping_of, noise_of, objectives_of

Verdict = Literal["improved", "no_improvement", "failed", "stopped"]


@dataclass(frozen=True)
class Conclusion:
    """What a run came to. Without a winner there is no proof; with an ablation they are what it has left."""

    verdict: Verdict
    reason: str
    winner: Candidate | None = None
    standings: Sequence[Standing] = ()
    proof: Proof | None = None
    ablation: Ablation | None = None

    @property
    def is_complete(self) -> bool:
        """It came to an end by itself, and needs no more evaluations."""
        return self.verdict in ("improved", "no_improvement")

    @property
    def pairs(self) -> Sequence[Pair]:
        return self.proof.pairs if self.proof else ()

    @property
    def counted(self) -> Sequence[Pair]:
        """The pairs that the proof's figures are made of; without figures, all there are."""
        return (self.proof.counted or self.proof.pairs) if self.proof else ()

    @property
    def tuned(self) -> Sequence[Evaluation]:
        return self.proof.tuned if self.proof else ()


class Clock:
    """The learner's own seconds: what passes in the main thread while no evaluation is waited for."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.waited = 0.0

    def began_before(self, seconds: float) -> None:
        """An interrupted run has gone on for so long before; what of that was the learner's is not known."""
        self.started -= seconds
        self.waited += seconds

    @contextmanager
    def waiting(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.waited += time.monotonic() - began


def result_of(
    study: Study, conclusion: Conclusion, record: RunHistory, clock: Clock, *, seed: int, about: dict[str, Any]
) -> outcome.Result:
    """The result as result.json has it. `about` holds started, store, study_id and versions."""
    own, proof = record.hosts, conclusion.proof
    baselines = {name: host.baseline_metrics for name, host in own.items() if host.baseline_metrics}
    winner = _as_kept(conclusion) if conclusion.winner else None
    rewards = [evaluation.score.reward for evaluation in conclusion.tuned if not evaluation.failed]
    return outcome.Result(
        workload_name=study.workload_name,
        verdict=conclusion.verdict,
        proved=bool(proof and proof.improved),
        reason=conclusion.reason,
        metric=study.reward_metric,
        direction=study.direction,
        best_config=winner,
        best_reward=fmean(rewards) if rewards else None,
        improvement=proof.improvement if proof else None,
        interval=proof.interval if proof else None,
        p_value=proof.p_value if proof else None,
        bootstrap=proof.bootstrap if proof else None,
        confidence=study.verification.confidence,
        pairs=len(conclusion.pairs),
        baseline=_baseline(record, baselines, conclusion) if baselines else None,
        best=outcome.Best(metric=_candidate_metric(conclusion.counted), stability=_stability(conclusion.tuned))
        if conclusion.pairs
        else None,
        per_host={name: _host_result(study, name, record, conclusion) for name in own},
        evidence=tuple(_evidence(pair) for pair in conclusion.pairs),
        looks=tuple(evidence.Look(**vars(look)) for look in proof.looks) if proof else (),
        guard_metrics=tuple(evidence.GuardMetric(**vars(guard)) for guard in proof.guards) if proof else (),
        race=tuple(evidence.Racer(**vars(standing)) for standing in conclusion.standings),
        ablation=_ablation(conclusion.ablation) if conclusion.ablation else None,
        noise=noise_of(record),
        early_stopping=early_stopping_of(study, record),
        objectives=objectives_of(study, proof),
        evaluations=_counts(record.evaluations),
        not_needed=record.at_most - len(record.evaluations) if conclusion.is_complete else 0,
        seconds=_seconds(record, clock),
        parameters=_changes(study, winner, record, conclusion.ablation) if winner else (),
        seed=seed,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        study=study.model_dump(mode="json", exclude_none=True),
        **about,
    )


def _evidence(pair: Pair) -> evidence.Pair:
    guards = {metric: percent(ratio) for metric, ratio in pair.guards.items()}
    return evidence.Pair(**{**vars(pair), "guards": guards}, change=percent(pair.ratio))


def _changes(
    study: Study, winner: dict[str, Value], record: RunHistory, ablation: Ablation | None
) -> tuple[outcome.Change, ...]:
    shares = {share.param: share for share in ablation.shares} if ablation else {}
    changes = []
    for parameter in study.action_space:
        if (name := parameter.param) in winner:
            own = {host: each.baseline_values[name] for host, each in record.hosts.items()}
            change: dict[str, Any] = {"param": name, "description": parameter.description}
            change |= {"from": own, "to": winner[name]}
            if share := shares.get(name):
                change |= {"share": share.share, "interval": share.interval}
            changes.append(outcome.Change.model_validate(change))
    return tuple(changes)


def _ablation(ablation: Ablation) -> evidence.Ablation:
    return evidence.Ablation(
        reason=ablation.reason,
        shares=tuple(evidence.Share(**vars(share)) for share in ablation.shares),
        swaps=tuple(
            evidence.Swap(
                host=swap.host, pair=swap.pair, these=swap.these, others=swap.others, change=percent(swap.ratio)
            )
            for swap in ablation.swaps
        ),
        all_values=_proved(ablation.before),
        fewer_values=_proved(ablation.again) if ablation.again else None,
    )


def _proved(proof: Proof) -> evidence.Proved:
    return evidence.Proved(
        improved=proof.improved,
        reason=proof.reason,
        improvement=proof.improvement,
        interval=proof.interval,
        p_value=proof.p_value,
        evidence=tuple(map(_evidence, proof.pairs)),
        looks=tuple(evidence.Look(**vars(look)) for look in proof.looks),
    )


def _as_kept(conclusion: Conclusion) -> dict[str, Value]:
    """The winner with the values that the kernel kept, where it rounded or clamped what was asked."""
    kept = next((e.measurement.actual for e in conclusion.tuned if e.measurement.actual), {})
    return {
        parameter: value if kernel_text(value) == kept.get(parameter, kernel_text(value)) else kept[parameter]
        for parameter, value in (conclusion.winner or {}).items()
    }


def _baseline(record: RunHistory, baselines: dict[str, list[float]], conclusion: Conclusion) -> outcome.Baseline:
    """As the proof measured it, for it is compared to what the proof measured of the best values; or else as ever."""
    pairs = conclusion.counted
    own = [evaluation for evaluation in record.evaluations if evaluation.job.values is None]
    measured = [[pair.baseline for pair in pairs if pair.host == host] for host in {pair.host for pair in pairs}]
    spreads = [stdev(metrics) / fmean(metrics) * 100 for metrics in measured or baselines.values() if len(metrics) > 1]
    return outcome.Baseline(
        metric=_baseline_metric(pairs, [metric for metrics in baselines.values() for metric in metrics]),
        stability=_stability(conclusion.proof.own if conclusion.proof and pairs else own),
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


def _host_result(study: Study, name: str, record: RunHistory, conclusion: Conclusion) -> outcome.HostResult:
    host = record.hosts[name]
    evaluations = [evaluation for evaluation in record.evaluations if evaluation.host == name]
    pairs = [pair for pair in conclusion.pairs if pair.host == name]
    change, interval = ((conclusion.proof.hosts or {}) if conclusion.proof else {}).get(name, (None, None))
    return outcome.HostResult(
        baseline_values=host.baseline_values,
        baseline_metric=_baseline_metric(pairs, host.baseline_metrics) if host.baseline_metrics else None,
        best_metric=_candidate_metric(pairs) if pairs else None,
        improvement=change,
        interval=interval,
        pairs=len(pairs),
        evaluations=len(evaluations),
        failures=sum(evaluation.failed for evaluation in evaluations),
        kernel=str(host.facts["kernel"]),
    )


def _counts(evaluations: Sequence[Evaluation]) -> dict[str, int]:
    phases = Counter(evaluation.job.phase for evaluation in evaluations)
    named: dict[str, int] = {phase: phases[phase] for phase in get_args(Phase)}
    return named | {"failed": sum(evaluation.failed for evaluation in evaluations), "total": len(evaluations)}


def _seconds(record: RunHistory, clock: Clock) -> dict[str, float]:
    """By stage, summed over all hosts; `total` and `learn` are the trainer's own."""
    stages: Counter[str] = Counter()
    for evaluation in record.evaluations:
        stages.update(evaluation.measurement.seconds)
    total = time.monotonic() - clock.started
    own = {"total": total, "learn": total - clock.waited - record.store_seconds, "store": record.store_seconds}
    return {name: round(seconds, 3) for name, seconds in {**own, **stages}.items()}
