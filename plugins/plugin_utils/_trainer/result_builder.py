# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The content of result.json, from the history of a run and its conclusion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from statistics import fmean, geometric_mean
from typing import Any

from .._outcome import result as outcome
from .._outcome.variation import variation_percent
from .._proof.evidence import Contribution, Pair, Proof
from .._study.parameters import kernel_text
from .._study.risks import risks_of
from .._study.space import Candidate, Value
from .._study.study import Study
from .._trial.reward import log_ratio, percent
from .._trial.trial import Phase, State, Trial
from .conclusion import Conclusion, Runs
from .history import RunHistory
from .proposers import proposed_by
from .range_ends import range_ends


def build_result(
    study: Study,
    conclusion: Conclusion,
    history: RunHistory,
    *,
    seconds_waited: float,
    seed: int,
    about: dict[str, Any],
) -> outcome.Result:
    """seconds_waited: for trials, in the main thread. about: the fields started, store, study_id and versions."""
    proof = conclusion.proof
    original, tuned = conclusion.runs(history.trials)
    counted = [(pair.host, pair.pair) for pair in conclusion.counted]
    learned = _as_applied(conclusion.learned_values, tuned) if conclusion.learned_values else None
    return outcome.Result(
        workload_name=study.workload_name,
        verdict=conclusion.verdict,
        proved=conclusion.is_proved(study),
        reason=conclusion.reason,
        metric=study.reward_metric,
        direction=study.direction,
        best_config=learned,
        best_reward=fmean(run.score.reward for run in tuned.values()) if tuned else None,
        improvement=proof.improvement,
        interval=proof.interval,
        p_value=proof.p_value,
        bootstrap=proof.bootstrap,
        confidence=study.verification.confidence,
        pairs=len(proof.evidence),
        baseline=_baseline(history, conclusion.counted, original),
        best=_best(conclusion.counted, tuned),
        per_host={name: _host_result(name, history, conclusion) for name in history.hosts},
        evidence=proof.evidence,
        interim_analyses=proof.interim_analyses,
        decided_after=proof.decided_after,
        carry_over=proof.carry_over,
        guard_metrics=proof.guard_metrics,
        guard_benchmarks=conclusion.guarded.outcomes if conclusion.guarded else (),
        guard_tests=conclusion.guarded.tests if conclusion.guarded else (),
        race=tuple(conclusion.standings),
        ablation=conclusion.ablation,
        noise=noise_of(history),
        early_stopping=early_stopping_of(study, history),
        objectives=objectives_of(study, [(original[key], tuned[key]) for key in counted]),
        trials=_counts(history.trials),
        not_needed=history.at_most - len(history.trials) if conclusion.is_complete else 0,
        seconds=_seconds(history, seconds_waited),
        parameters=_changes(study, learned, history, conclusion) if learned else (),
        seed=seed,
        finished=_now(),
        study=study.model_dump(mode="json", exclude_none=True),
        **about,
    )


def result_without_numbers(study: Study, conclusion: Conclusion, *, seed: int, about: dict[str, Any]) -> outcome.Result:
    """Verdict and reason alone, of a run whose numbers cannot be put into a result."""
    return outcome.Result(
        workload_name=study.workload_name,
        verdict=conclusion.verdict,
        reason=conclusion.reason,
        metric=study.reward_metric,
        direction=study.direction,
        seed=seed,
        finished=_now(),
        **about,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _as_applied(learned: Candidate, tuned: Runs) -> dict[str, Value]:
    """The learned values as the kernel kept them, where it rounded or clamped the requested ones."""
    applied = next((run.applied for run in tuned.values() if run.applied), {})
    return {
        parameter: value if kernel_text(value) == applied.get(parameter, kernel_text(value)) else applied[parameter]
        for parameter, value in learned.items()
    }


def _changes(
    study: Study, learned: Mapping[str, Value], history: RunHistory, conclusion: Conclusion
) -> tuple[outcome.Change, ...]:
    contributions = {each.param: each for each in conclusion.ablation.contributions} if conclusion.ablation else {}
    ends = range_ends(study, learned, history.in_hindsight(), history.hosts)
    originals = {host: each.original_values for host, each in history.hosts.items()}
    changes = []
    for parameter in study.action_space:
        if (name := parameter.param) in learned:
            found = _of_what_is_left(contributions.get(name), learned, conclusion.proof)
            changes.append(
                outcome.Change(
                    param=name,
                    description=parameter.description,
                    original={host: own[name] for host, own in originals.items()},
                    learned=learned[name],
                    contribution=found.contribution if found else None,
                    interval=found.interval if found else None,
                    basis=found.basis if found else None,
                    together_with=found.confounded_with if found else (),
                    proposed_by=proposed_by(name, learned[name], history.trained()),
                    restart=parameter.restart,
                    range_ends=ends.get(name, ()),
                    risks=tuple(
                        outcome.KnownRisk(warning=risk.warning, quote=risk.quote, source=risk.source)
                        for risk in risks_of(name, learned[name], originals)
                    ),
                )
            )
    return tuple(changes)


def _of_what_is_left(found: Contribution | None, learned: Mapping[str, Value], proof: Proof) -> Contribution | None:
    """A contribution together with values that were left out for a guard benchmark says nothing of those that are left.

    Their own proof does if they are all that is learned.
    """
    if found is None or learned.keys() >= set(found.confounded_with):
        return found
    others = tuple(param for param in found.confounded_with if param in learned)
    if learned.keys() != {found.param, *others}:
        return None
    return Contribution(
        param=found.param,
        decision=found.decision,
        basis="jointly" if others else "alone",
        contribution=proof.improvement,
        interval=proof.interval,
        confounded_with=others,
    )


def _baseline(history: RunHistory, pairs: Sequence[Pair], original: Runs) -> outcome.Baseline | None:
    """As measured by the proof, to be comparable with the best values; without a proof, from all baseline trials."""
    measured = {name: host.baseline_metrics for name, host in history.hosts.items() if host.baseline_metrics}
    if not measured:
        return None
    original_values = history.hosts[next(iter(measured))].original_values
    if pairs:
        measured = {
            host: [p.baseline for p in pairs if p.host == host] for host in dict.fromkeys(p.host for p in pairs)
        }
    return outcome.Baseline(
        metric=geometric_mean([metric for metrics in measured.values() for metric in metrics]),
        stability=_stability(
            original.values() or [trial for trial in history.trials if trial.original and not trial.benchmark]
        ),
        original_values=original_values,
        cv_percent=variation_percent(measured.values()),
    )


def _best(pairs: Sequence[Pair], tuned: Runs) -> outcome.Best | None:
    # Geometric means, as in the baseline, because their ratio is the improvement.
    if not pairs:
        return None
    return outcome.Best(metric=geometric_mean([pair.candidate for pair in pairs]), stability=_stability(tuned.values()))


def _stability(trials: Iterable[Trial]) -> outcome.Stability | None:
    """The mean over the trials, of the score and of each part."""
    scores = [trial.score for trial in trials if trial.score.stability is not None]
    if not scores:
        return None
    names = [name for name in scores[0].stability_parts if all(name in score.stability_parts for score in scores)]
    return outcome.Stability(
        score=fmean(score.stability or 0.0 for score in scores),
        parts={name: fmean(score.stability_parts[name] for score in scores) for name in names},
    )


def _host_result(name: str, history: RunHistory, conclusion: Conclusion) -> outcome.HostResult:
    host, change = history.hosts[name], conclusion.proof.by_host.get(name)
    trials = [trial for trial in history.trials if trial.host == name]
    pairs = [pair for pair in conclusion.proof.evidence if pair.host == name]
    baselines = [pair.baseline for pair in pairs] or host.baseline_metrics
    return outcome.HostResult(
        original_values=host.original_values,
        baseline_metric=geometric_mean(baselines) if baselines else None,
        best_metric=geometric_mean([pair.candidate for pair in pairs]) if pairs else None,
        improvement=change.improvement if change else None,
        interval=change.interval if change else None,
        pairs=len(pairs),
        trials=len(trials),
        failures=sum(trial.state == State.FAILED for trial in trials),
        kernel=str(host.facts["kernel"]),
        recovery=conclusion.recovery.get(name),
    )


def noise_of(history: RunHistory) -> outcome.Noise | None:
    forecast = history.forecast
    drifts = {name: host.drift for name, host in history.hosts.items() if host.drift.known}
    if not drifts:
        return None
    return outcome.Noise(
        cv_percent=forecast.cv if forecast else None,
        detectable_percent=forecast.detectable if forecast else None,
        notices=forecast.lines if forecast else (),
        per_host={
            name: outcome.HostNoise(
                cv_percent=forecast.per_host.get(name) if forecast else None,
                noise_percent=percent(drift.noise),
                drift_percent=percent(drift.change),
                baseline_shifts=tuple((shift.after, shift.until, percent(shift.change)) for shift in drift.shifts),
                outlier=history.outlier_detector.outliers.get(name),
            )
            for name, drift in drifts.items()
        },
    )


def early_stopping_of(study: Study, history: RunHistory) -> outcome.EarlyStopping:
    trained = history.trained()
    saved = max(study.training_config.total_timesteps - len(trained), 0) if history.training_ended else 0
    return outcome.EarlyStopping(training=history.training_ended if saved else None, trials_saved=saved)


def objectives_of(study: Study, runs: Sequence[tuple[Trial, Trial]]) -> tuple[outcome.Objective, ...]:
    """The change of each metric over the proof's pairs (original, tuned); empty for a study with one metric."""
    if not study.objectives:
        return ()
    metrics = [(study.reward_metric, study.direction, 1.0)]
    metrics += [(objective.metric, objective.direction, objective.weight) for objective in study.objectives]
    found = []
    for metric, direction, weight in metrics:
        ratios = [log_ratio(tuned.metrics[metric], original.metrics[metric], direction) for original, tuned in runs]
        change = percent(fmean(ratios)) if ratios else None
        found.append(outcome.Objective(metric=metric, direction=direction, weight=weight, change=change))
    return tuple(found)


def _counts(trials: Sequence[Trial]) -> dict[str, int]:
    phases = Counter(trial.phase for trial in trials)
    counts: dict[str, int] = {phase: phases[phase] for phase in Phase}
    return counts | {"failed": sum(trial.state == State.FAILED for trial in trials), "total": len(trials)}


def _seconds(history: RunHistory, waited: float) -> dict[str, float]:
    """By stage, summed over all hosts; `total`, `learn` and `store` are the trainer's own."""
    stages: Counter[str] = Counter()
    for trial in history.trials:
        stages.update(trial.seconds)
    total = history.seconds
    learn = total - history.earlier_seconds - waited - history.store_seconds
    own = {"total": total, "learn": learn, "store": history.store_seconds}
    return {name: round(seconds, 3) for name, seconds in {**own, **stages}.items()}
