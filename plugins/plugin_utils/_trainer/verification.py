# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The proof: a race among the best candidates, then the winner against the baseline in interleaved pairs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import numpy as np
from scipy import stats

from .._study.parameters import kernel_text
from .._study.space import Candidate, Value
from .._study.study import RACE_ROUNDS
from .evaluation import Evaluation, Job
from .reward import log_ratio

Measure = Callable[[Sequence[Job]], list[Evaluation]]


@dataclass(frozen=True)
class Pair:
    """The baseline and the candidate, one after the other on the same host."""

    host: str
    pair: int
    first: Literal["baseline", "candidate"]
    baseline: float
    candidate: float


@dataclass(frozen=True)
class Proof:
    """What the pairs say. improvement and interval are in per cent, above 0 is better; p_value is two-sided."""

    improved: bool
    reason: str
    improvement: float
    interval: tuple[float, float]
    p_value: float


def best_candidates(trained: Sequence[Evaluation], count: int) -> list[Candidate]:
    """The candidates with the best mean reward among those that never failed, best first, no two alike."""
    rewards: dict[tuple[str, ...], list[Evaluation]] = {}
    for evaluation in trained:
        key = tuple(kernel_text(value) for value in (evaluation.job.values or {}).values())
        rewards.setdefault(key, []).append(evaluation)
    sound = [group for group in rewards.values() if not any(evaluation.failed for evaluation in group)]
    sound.sort(key=lambda group: fmean(evaluation.score.reward for evaluation in group), reverse=True)
    return [dict(group[0].job.values or {}) for group in sound[:count]]


def race(candidates: Sequence[Candidate], measure: Measure) -> Candidate | None:
    """The candidate with the best mean performance in fresh evaluations; None if every one of them failed.

    Fresh ones, because the best of many noisy training results is mostly the luckiest.
    """
    if len(candidates) == 1:
        return candidates[0]
    raced = measure([Job("race", candidate) for dummy in range(RACE_ROUNDS) for candidate in candidates])
    means = []
    for at, candidate in enumerate(candidates):
        own = [evaluation.score.performance for evaluation in raced[at :: len(candidates)]]
        if None not in own:
            means.append((fmean(value for value in own if value is not None), at, candidate))
    return max(means)[2] if means else None


def run_pairs(
    candidate: Candidate, hosts: Sequence[str], count: int, measure: Measure, generator: np.random.Generator
) -> tuple[list[Pair], list[Evaluation]]:
    """`count` pairs on every host, in random order within each pair so that drift favours neither side.

    Returns the pairs of which both sides succeeded, and the candidate's evaluations.
    """
    jobs = []
    for number in range(1, count + 1):
        for host in hosts:
            sides: list[Mapping[str, Value] | None] = [None, candidate]
            if generator.random() < 0.5:
                sides.reverse()
            jobs += [Job("verify", values, host, number) for values in sides]
    evaluations = measure(jobs)
    pairs = []
    for one, other in zip(evaluations[::2], evaluations[1::2], strict=True):
        first: Literal["baseline", "candidate"] = "baseline" if one.job.values is None else "candidate"
        own, tuned = (one, other) if first == "baseline" else (other, one)
        if own.measurement.metric is not None and tuned.measurement.metric is not None:
            pairs.append(Pair(one.host, one.job.pair or 0, first, own.measurement.metric, tuned.measurement.metric))
    return pairs, [evaluation for evaluation in evaluations if evaluation.job.values is not None]


def judge(
    pairs: Sequence[Pair],
    direction: Literal["maximise", "minimise"],
    *,
    confidence: float,
    min_improvement: float,
    seed: int,
) -> Proof | None:
    """Is the candidate better than the baseline? None where fewer than four pairs leave nothing to judge by.

    Improved means: a paired t test on the log ratios rejects equality, the bootstrap interval (BCa) lies above zero,
    the gain is at least `min_improvement` per cent, and no single host got significantly worse.
    """
    ratios = np.array([log_ratio(pair.candidate, pair.baseline, direction) for pair in pairs])
    if len(ratios) < 4:
        return None
    p_value = _p_value(ratios)
    low, high = _interval(ratios, confidence, seed)
    gain = _percent(float(ratios.mean()))
    worse = _significantly_worse(pairs, ratios, confidence)
    if worse:
        verdict = False, f"{', '.join(worse)} got significantly worse"
    elif p_value > 1 - confidence or low <= 0:
        verdict = False, f"the difference is within the noise (p = {p_value:.3g})"
    elif gain < min_improvement:
        verdict = False, f"the gain of {gain:.2g} % is below the {min_improvement:g} % that matter"
    else:
        verdict = True, f"better in {int((ratios > 0).sum())} of {len(ratios)} pairs (p = {p_value:.2g})"
    return Proof(*verdict, improvement=gain, interval=(_percent(low), _percent(high)), p_value=p_value)


def _significantly_worse(pairs: Sequence[Pair], ratios: np.ndarray, confidence: float) -> list[str]:
    hosts = sorted({pair.host for pair in pairs})
    own = {host: ratios[[pair.host == host for pair in pairs]] for host in hosts}
    return [host for host, values in own.items() if values.mean() < 0 and _p_value(values) <= 1 - confidence]


def _p_value(ratios: np.ndarray) -> float:
    if len(ratios) < 2:
        return 1.0
    if np.ptp(ratios) == 0:  # a benchmark without noise: the t statistic is 0/0 or infinite
        return 1.0 if ratios[0] == 0 else 0.0
    return float(stats.ttest_1samp(ratios, 0.0).pvalue)


def _interval(ratios: np.ndarray, confidence: float, seed: int) -> tuple[float, float]:
    if np.ptp(ratios) == 0:
        return float(ratios[0]), float(ratios[0])
    found = stats.bootstrap((ratios,), np.mean, confidence_level=confidence, n_resamples=9999, rng=seed, method="BCa")
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _percent(ratio: float) -> float:
    return math.expm1(ratio) * 100
