# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Finds outlying hosts and unstable candidates, whose trials would mislead the learner.

After TUNA (Freischuetz et al., EuroSys 2025): many configurations that look best on one machine disappoint on others.
The trials of an outlying host get extra variance. A candidate whose trials differ by more than the noise explains is
scored by its worst trial.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from .._study.parameters import kernel_text
from .._trial.reward import percent
from .._trial.trial import Score, Trial
from .drift import Drift

_SIGNIFICANCE = 0.002  # probability of a false alarm, for an outlying host or an unstable candidate
_MIN_OFFSET = 0.05  # as a log ratio
_MIN_SPREAD = 0.1  # between the trials of a candidate, as a log ratio
_MAX_TRIALS = 300  # only the latest are used
_MIN_TRIALS = 5  # training trials that a host needs for an estimate

Notices = list[tuple[str, str]]


@dataclass(frozen=True)
class Offset:
    """By how much candidates do better on a host than on the other hosts, as a log ratio."""

    mean: float
    significant: bool


def offsets(trained: Sequence[Trial]) -> dict[str, Offset]:
    """Each host's offset from the other hosts, by name, for hosts with enough training trials.

    Mixed model, solved by generalised least squares: performance = host + candidate + noise, with candidates drawn from
    one population. Candidates measured on several hosts tell most, the others still something.
    """
    scored = [trial for trial in trained if trial.score.performance is not None][-_MAX_TRIALS:]
    names = [trial.host for trial in scored]
    hosts = sorted({name for name in names if names.count(name) >= _MIN_TRIALS})
    scored = [trial for trial in scored if trial.host in hosts]
    if len(hosts) < 2:
        return {}
    y = np.array([trial.score.performance for trial in scored], dtype=float)
    on_host = np.array([[trial.host == host for host in hosts] for trial in scored], dtype=float)
    candidates = [_candidate_key(trial) for trial in scored]
    same_candidate = np.array([[one == other for other in candidates] for one in candidates], dtype=float)
    noise = np.array([trial.score.noise or 0.02 for trial in scored]) ** 2
    residuals = y - on_host @ np.linalg.lstsq(on_host, y, rcond=None)[0]
    population = max(float(residuals.var()) - float(np.median(noise)), 1e-6)
    inverse = np.linalg.inv(population * same_candidate + np.diag(noise))
    covariance = np.linalg.inv(on_host.T @ inverse @ on_host)
    effects = covariance @ on_host.T @ inverse @ y
    limit = float(stats.norm.isf(_SIGNIFICANCE / 2 / len(hosts)))
    found = {}
    for at, host in enumerate(hosts):
        contrast = np.full(len(hosts), -1 / (len(hosts) - 1))
        contrast[at] = 1.0
        mean, error = float(contrast @ effects), float(np.sqrt(contrast @ covariance @ contrast))
        found[host] = Offset(mean, abs(mean) > max(limit * error, _MIN_OFFSET))
    return found


def noisy_hosts(drifts: Mapping[str, Drift]) -> dict[str, float]:
    """The hosts whose baseline is significantly noisier than the others', at least twice: how many times as noisy."""
    known = {
        host: (drift.scatter, drift.degrees_of_freedom)
        for host, drift in drifts.items()
        if drift.known and drift.degrees_of_freedom > 1
    }
    found = {}
    for host, (scatter, freedom) in known.items():
        others = [(other or 0.0, count) for name, (other, count) in known.items() if name != host]
        total = sum(count for dummy, count in others)
        pooled = (sum(other**2 * count for other, count in others) / total) ** 0.5 if total else 0.0
        ratio = scatter / pooled if scatter and pooled else 0.0
        if ratio > 2 and stats.f.sf(ratio**2, freedom, total) < _SIGNIFICANCE:
            found[host] = ratio
    return found


class OutlierDetector:
    """Checks the hosts during the training and reports each reason once per host. outliers: the latest by host."""

    def __init__(self) -> None:
        self._reported: set[tuple[str, str]] = set()
        self.outliers: dict[str, str] = {}

    def update(self, trained: Sequence[Trial], drifts: Mapping[str, Drift]) -> tuple[Notices, dict[str, float]]:
        """New notices as (host, text), and the extra standard deviation of each outlying host's trials.

        trained: as scored in hindsight, without the penalties of unstable candidates.
        """
        notices: Notices = []
        extra_deviations: dict[str, float] = {}
        for host, ratio in noisy_hosts(drifts).items():
            notices += self._report(host, "noise", f"its baseline is {ratio:.1f} times as noisy as the others'")
        found = offsets(trained)
        significant = {host: offset for host, offset in found.items() if offset.significant}
        if len(found) == 2 and significant:  # nothing tells which of the two is the outlier; report the worse one
            worse = min(significant, key=lambda host: significant[host].mean)
            notices += self._report(worse, "offset", _describe(significant[worse].mean))
        elif significant:
            furthest = max(significant, key=lambda host: abs(significant[host].mean))
            mean = significant[furthest].mean
            extra_deviations[furthest] = abs(mean)
            notices += self._report(furthest, "offset", f"{_describe(mean)}; its results weigh less")
        return notices, extra_deviations

    def _report(self, host: str, kind: str, text: str) -> Notices:
        self.outliers[host] = text
        if (host, kind) in self._reported:
            return []
        self._reported.add((host, kind))
        return [(host, text)]


def _describe(mean: float) -> str:
    return f"candidates do {abs(percent(mean)):.0f} % {'better' if mean > 0 else 'worse'} on it than on the other hosts"


def penalised(trained: Sequence[Trial], extra_deviations: Mapping[str, float]) -> list[Trial]:
    """The trials, with those of an unstable candidate all scored like the worst. extra_deviations: from update()."""
    groups: dict[tuple[str, ...], list[Trial]] = {}
    for trial in trained:
        groups.setdefault(_candidate_key(trial), []).append(trial)
    worst = {key: _worst(group) for key, group in groups.items() if is_unstable(group, extra_deviations)}
    return [
        replace(trial, score=_limited(trial.score, worst[key])) if (key := _candidate_key(trial)) in worst else trial
        for trial in trained
    ]


def is_unstable(repeated: Sequence[Trial], extra_deviations: Mapping[str, float]) -> bool:
    """Whether trials of one candidate differ by more than noise and hosts explain (chi-squared test)."""
    scored = [trial for trial in repeated if trial.score.performance is not None and trial.score.noise]
    if len(scored) < 2:
        return False
    values = np.array([trial.score.performance for trial in scored], dtype=float)
    deviations = [math.hypot(trial.score.noise or 0.0, extra_deviations.get(trial.host, 0.0)) for trial in scored]
    weights = 1 / np.array(deviations) ** 2
    mean = float(weights @ values / weights.sum())
    spread = float(weights @ (values - mean) ** 2)
    return bool(np.ptp(values) > _MIN_SPREAD and stats.chi2.sf(spread, len(scored) - 1) < _SIGNIFICANCE)


def _candidate_key(trial: Trial) -> tuple[str, ...]:
    """Equal for two trials of the same candidate."""
    return tuple(kernel_text(value) for value in trial.requested.values())


def _worst(group: Sequence[Trial]) -> Score:
    scores = (trial.score for trial in group if trial.score.performance is not None)
    return min(scores, key=lambda score: score.performance or 0.0)


def _limited(score: Score, worst: Score) -> Score:
    if score.performance is None:
        return score
    return replace(score, performance=worst.performance, reward=min(score.reward, worst.reward))
