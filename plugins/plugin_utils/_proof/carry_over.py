# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Carry-over: whether a run of the proof depends on what ran before it.

A candidate may leave caches, queues or remembered routes behind that change the next run (Senn, Cross-over Trials in
Clinical Research, 2002). As the order is reversed in every other pair, such a leftover hardly shows in the difference
between pairs AB and pairs BA: what matters is which values ran before each run, whether in its own pair or in the one
before. So the runs themselves are compared, within blocks of two pairs, which takes out drift: log metric = block +
candidate + second of its pair + after the candidate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean

import numpy as np
from scipy.stats import norm, t

from .._study.study import Study
from .._trial.reward import objective, percent
from .._trial.trial import Trial
from .estimate import Estimate, percents
from .evidence import CarryOver
from .pairing import pairs_of

# Probabilities of a false alarm, of the effect (two-sided) and of the correlation; and of missing what is `detectable`.
_ALPHA, _CORRELATION_ALPHA, _BETA = 0.01, 0.005, 0.02
_REMAINS = 0.5
_BLOCK = 4  # runs: ABBA or BAAB
_FEWEST = 8  # pairs for a correlation
_MIN_NOISE = 1e-6  # as a log ratio


def carry_over(study: Study, trials: Sequence[Trial], earlier: CarryOver | None = None) -> CarryOver | None:
    """From a proof's trials, those of each host in the order in which they ran; None if there are too few.

    It counts if it is significant and at least `min_improvement`, or if successive pairs are correlated. earlier: what
    was found without a pause; more than half of it is still there even if it is not significant now.
    """
    runs = {host: [trial for trial in trials if trial.host == host] for host in sorted({t.host for t in trials})}
    effect = _effect(study, runs)
    if effect is None:
        return None
    pairs = pairs_of(study, trials)
    correlation, surprise = _correlation([[pair.log_ratio for pair in pairs if pair.host == host] for host in runs])
    z = effect.z()
    material = abs(effect.mean) >= math.log1p(study.verification.min_improvement / 100)
    remains = False
    if earlier and earlier.p_value < _ALPHA:
        remains = effect.mean / math.log1p(earlier.change / 100) > _REMAINS
    by_effect = bool(material and (remains or abs(z) >= norm.isf(_ALPHA / 2)))
    return CarryOver(
        found=by_effect or surprise >= norm.isf(_CORRELATION_ALPHA),
        by_effect=by_effect,
        change=percent(effect.mean),
        interval=percents(effect.interval(float(norm.isf((1 - study.verification.confidence) / 2)))),
        p_value=float(2 * norm.sf(abs(z))),
        detectable=percent(effect.error * float(t.isf(_ALPHA / 2, effect.freedom) + t.isf(_BETA, effect.freedom))),
        correlation=correlation,
        pause=max(trial.seconds.get("pause", 0.0) for trial in trials),
    )


def described(found: CarryOver) -> str:
    """What was found, as one clause."""
    if found.by_effect:
        low, high = found.interval
        change = f"{abs(found.change):.1f} % {'worse' if found.change < 0 else 'better'}"
        return f"a run right after one of the candidate is {change} ({low:+.1f} to {high:+.1f} %)"
    return f"successive pairs on a host are correlated ({found.correlation:+.2f})"


def _effect(study: Study, runs: Mapping[str, Sequence[Trial]]) -> Estimate | None:
    """The log ratio of a run that follows one of the candidate to one that follows one of the original values."""
    rows, blocks = [], []
    for number, own in enumerate(runs.values()):
        for at, (before, trial) in enumerate(pairwise(own), 1):  # what ran before the first run is unknown
            value = objective(study, trial)
            if value is not None:
                rows.append((value, not before.original, not trial.original, at % 2))
                blocks.append((number, at // _BLOCK))
    if not rows:
        return None
    table, (dummy, of_row) = np.array(rows, float), np.unique(blocks, axis=0, return_inverse=True)
    of_row = of_row.ravel()
    counts = np.bincount(of_row)
    table -= np.column_stack([np.bincount(of_row, column) / counts for column in table.T])[of_row]
    values, design = table[:, 0], table[:, 1:]
    freedom = len(rows) - len(counts) - design.shape[1]
    if freedom < 1 or np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    inverse = np.linalg.inv(design.T @ design)
    effects = inverse @ design.T @ values
    variance = max(float(((values - design @ effects) ** 2).sum()) / freedom, _MIN_NOISE**2)
    return Estimate(float(effects[0]), math.sqrt(variance * float(inverse[0, 0])), freedom)


def _correlation(hosts: Sequence[Sequence[float]]) -> tuple[float, float]:
    """The lag-1 correlation of the pairs' log ratios within hosts, and as a standard normal deviate; 0 of too few."""
    deviations = [np.array(own) - fmean(own) for own in hosts if len(own) > 2]
    # In units of each host's own, or a noisy host would decide alone, and count for all pairs.
    deviations = [own / own.std() for own in deviations if own.std() > _MIN_NOISE]
    count = sum(map(len, deviations))
    if count < _FEWEST:
        return 0.0, 0.0
    found = sum(float(own[1:] @ own[:-1]) for own in deviations) / count
    # Deviations from a mean are correlated by -1/n.
    return found, (found + len(deviations) / count) * math.sqrt(count)
