# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The conclusion of a run, and the result that is made from it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import fmean, geometric_mean, median, stdev
from typing import Any, Literal

from .._outcome import result as outcome
from .._proof.evidence import Ablation, Pair, Proof, Standing
from .._study.parameters import kernel_text
from .._study.space import Candidate, Value
from .._study.study import Study
from .._trial.trial import Phase, State, Trial
from .history import RunHistory
from .result_sections import early_stopping_of, noise_of, objectives_of

Verdict = Literal["improved", "no_improvement", "failed", "stopped"]
_Runs = dict[tuple[str, int], Trial]


@dataclass(frozen=True)
class Conclusion:
    """How a run ended. proof: of the winner's values, as far as the ablation has kept them."""

    verdict: Verdict
    reason: str
    winner: Candidate | None = None
    standings: Sequence[Standing] = ()
    proof: Proof | None = None
    ablation: Ablation | None = None

    @property
    def is_complete(self) -> bool:
        """Whether it ended by itself and needs no more evaluations."""
        return self.verdict in ("improved", "no_improvement")

    @property
    def pairs(self) -> Sequence[Pair]:
        return self.proof.evidence if self.proof else ()

    @property
    def counted(self) -> Sequence[Pair]:
        """The pairs that the proof's estimates are based on; without estimates, all pairs."""
        return [pair for pair in self.pairs if self.proof and pair.host in self.proof.by_host] or self.pairs

    def runs(self, evaluations: Iterable[Trial]) -> tuple[_Runs, _Runs]:
        """The proof's runs with the original values, and those with the winner's, by host and number of the pair."""
        reduced = self.ablation is not None and self.proof == self.ablation.fewer_values
        pairs = {(pair.host, pair.pair) for pair in self.pairs}
        runs = [e for e in evaluations if e.phase == ("ablate" if reduced else "verify")]
        found = {(e.host, e.pair or 0, e.original): e for e in runs if (e.host, e.pair) in pairs}
        original, tuned = ({key[:2]: e for key, e in found.items() if key[2] is side} for side in (True, False))
        return original, tuned


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
    proof = conclusion.proof
    baselines = {name: host.baseline_metrics for name, host in record.hosts.items() if host.baseline_metrics}
    original, tuned = conclusion.runs(record.evaluations)
    winner = _as_kept(conclusion.winner, tuned) if conclusion.winner else None
    both = [(original[key], tuned[key]) for key in ((pair.host, pair.pair) for pair in conclusion.counted)]
    return outcome.Result(
        workload_name=study.workload_name,
        verdict=conclusion.verdict,
        proved=bool(proof and proof.improved),
        reason=conclusion.reason,
        metric=study.reward_metric,
        direction=study.direction,
        best_config=winner,
        best_reward=fmean(run.score.reward for run in tuned.values()) if tuned else None,
        improvement=proof.improvement if proof else None,
        interval=proof.interval if proof else None,
        p_value=proof.p_value if proof else None,
        bootstrap=proof.bootstrap if proof else None,
        confidence=study.verification.confidence,
        pairs=len(conclusion.pairs),
        baseline=_baseline(record, baselines, conclusion, original) if baselines else None,
        best=outcome.Best(metric=_candidate_metric(conclusion.counted), stability=_stability(tuned.values()))
        if conclusion.pairs
        else None,
        per_host={name: _host_result(name, record, conclusion) for name in record.hosts},
        evidence=tuple(conclusion.pairs),
        interim_analyses=proof.interim_analyses if proof else (),
        guard_metrics=proof.guard_metrics if proof else (),
        race=tuple(conclusion.standings),
        ablation=conclusion.ablation,
        noise=noise_of(record),
        early_stopping=early_stopping_of(study, record),
        objectives=objectives_of(study, both),
        evaluations=_counts(record.evaluations),
        not_needed=record.at_most - len(record.evaluations) if conclusion.is_complete else 0,
        seconds=_seconds(record, clock),
        parameters=_changes(study, winner, record, conclusion.ablation) if winner else (),
        seed=seed,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        study=study.model_dump(mode="json", exclude_none=True),
        **about,
    )


def _changes(
    study: Study, winner: dict[str, Value], record: RunHistory, ablation: Ablation | None
) -> tuple[outcome.Change, ...]:
    contributions = {each.param: each for each in ablation.contributions} if ablation else {}
    changes = []
    for parameter in study.action_space:
        if (name := parameter.param) in winner:
            contribution = contributions.get(name)
            changes.append(
                outcome.Change(
                    param=name,
                    description=parameter.description,
                    original={host: each.baseline_values[name] for host, each in record.hosts.items()},
                    learned=winner[name],
                    contribution=contribution.contribution if contribution else None,
                    interval=contribution.interval if contribution else None,
                )
            )
    return tuple(changes)


def _as_kept(winner: Candidate, tuned: _Runs) -> dict[str, Value]:
    """The winner with the values that the kernel kept, where it rounded or clamped the requested ones."""
    kept = next((run.applied for run in tuned.values() if run.applied), {})
    return {
        parameter: value if kernel_text(value) == kept.get(parameter, kernel_text(value)) else kept[parameter]
        for parameter, value in winner.items()
    }


def _baseline(
    record: RunHistory, baselines: dict[str, list[float]], conclusion: Conclusion, original: _Runs
) -> outcome.Baseline:
    """As the proof measured it, to be comparable to the best values; without a proof, from all of the baseline runs."""
    pairs = conclusion.counted
    runs = original.values() or [evaluation for evaluation in record.evaluations if evaluation.original]
    measured = [[pair.baseline for pair in pairs if pair.host == host] for host in {pair.host for pair in pairs}]
    spreads = [stdev(metrics) / fmean(metrics) * 100 for metrics in measured or baselines.values() if len(metrics) > 1]
    return outcome.Baseline(
        metric=_baseline_metric(pairs, [metric for metrics in baselines.values() for metric in metrics]),
        stability=_stability(runs),
        original_values=record.hosts[next(iter(baselines))].baseline_values,
        cv_percent=median(spreads) if spreads else None,
    )


def _stability(evaluations: Iterable[Trial]) -> outcome.Stability | None:
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


def _host_result(name: str, record: RunHistory, conclusion: Conclusion) -> outcome.HostResult:
    host = record.hosts[name]
    evaluations = [evaluation for evaluation in record.evaluations if evaluation.host == name]
    pairs = [pair for pair in conclusion.pairs if pair.host == name]
    change = conclusion.proof.by_host.get(name) if conclusion.proof else None
    return outcome.HostResult(
        original_values=host.baseline_values,
        baseline_metric=_baseline_metric(pairs, host.baseline_metrics) if host.baseline_metrics else None,
        best_metric=_candidate_metric(pairs) if pairs else None,
        improvement=change.improvement if change else None,
        interval=change.interval if change else None,
        pairs=len(pairs),
        evaluations=len(evaluations),
        failures=sum(evaluation.state == State.FAILED for evaluation in evaluations),
        kernel=str(host.facts["kernel"]),
    )


def _counts(evaluations: Sequence[Trial]) -> dict[str, int]:
    phases = Counter(evaluation.phase for evaluation in evaluations)
    named: dict[str, int] = {phase: phases[phase] for phase in Phase}
    return named | {
        "failed": sum(evaluation.state == State.FAILED for evaluation in evaluations),
        "total": len(evaluations),
    }


def _seconds(record: RunHistory, clock: Clock) -> dict[str, float]:
    """By stage, summed over all hosts; `total` and `learn` are the trainer's own."""
    stages: Counter[str] = Counter()
    for evaluation in record.evaluations:
        stages.update(evaluation.seconds)
    total = time.monotonic() - clock.started
    own = {"total": total, "learn": total - clock.waited - record.store_seconds, "store": record.store_seconds}
    return {name: round(seconds, 3) for name, seconds in {**own, **stages}.items()}
