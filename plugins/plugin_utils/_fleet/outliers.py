# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Hosts that are off, candidates that are unstable: what would mislead the learner, found in the evaluations so far.

After TUNA (Freischuetz et al., EuroSys 2025): of the configurations that look best on one machine many disappoint on
others. A host's result weighs less the odder the host is, and a candidate whose repeated measurements differ by more
than noise explains counts as its worst one.
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

_CHANCE = 0.002  # that a host is called off, or a candidate unstable, and is not
_SMALLEST_OFFSET = 0.05  # as a log ratio
_SMALLEST_SPREAD = 0.1  # between the measurements of a candidate
_LATEST = 300  # evaluations that are looked at
_LEAST = 5  # training evaluations of a host that say something of it


@dataclass(frozen=True)
class Offset:
    """By how much candidates do better on a host than on the others, as a log ratio, and whether that is no chance."""

    mean: float
    sure: bool


def offsets(trained: Sequence[Trial]) -> dict[str, Offset]:
    """How far each host is off the others, by name; those are left out of which too little is known.

    performance = host + candidate + noise, the candidates being drawn from one population (a mixed model, solved by
    generalised least squares): those that several hosts have measured tell most, the others still something.
    """
    known = [e for e in trained if e.score.performance is not None][-_LATEST:]
    names = [e.host for e in known]
    hosts = sorted({name for name in names if names.count(name) >= _LEAST})
    known = [e for e in known if e.host in hosts]
    if len(hosts) < 2:
        return {}
    y = np.array([e.score.performance for e in known], dtype=float)
    of_host = np.array([[e.host == host for host in hosts] for e in known], dtype=float)
    candidates = [candidate_of(e) for e in known]
    alike = np.array([[one == other for other in candidates] for one in candidates], dtype=float)
    noise = np.array([e.score.noise or 0.02 for e in known]) ** 2
    residuals = y - of_host @ np.linalg.lstsq(of_host, y, rcond=None)[0]
    population = max(float(residuals.var()) - float(np.median(noise)), 1e-6)
    inverse = np.linalg.inv(population * alike + np.diag(noise))
    covariance = np.linalg.inv(of_host.T @ inverse @ of_host)
    effects = covariance @ of_host.T @ inverse @ y
    limit = float(stats.norm.isf(_CHANCE / 2 / len(hosts)))
    found = {}
    for at, host in enumerate(hosts):
        contrast = np.full(len(hosts), -1 / (len(hosts) - 1))
        contrast[at] = 1.0
        mean, error = float(contrast @ effects), float(np.sqrt(contrast @ covariance @ contrast))
        found[host] = Offset(mean, abs(mean) > max(limit * error, _SMALLEST_OFFSET))
    return found


def noisier(drifts: Mapping[str, Drift]) -> dict[str, float]:
    """The hosts whose baseline is at least twice as noisy as the others', surely so: how many times as noisy."""
    known = {
        host: (drift.scatter, drift.degrees_of_freedom)
        for host, drift in drifts.items()
        if drift.known and drift.degrees_of_freedom > 1
    }
    found = {}
    for host, (scatter, freedom) in known.items():
        others = [(own or 0.0, count) for name, (own, count) in known.items() if name != host]
        total = sum(count for dummy, count in others)
        common = (sum(own**2 * count for own, count in others) / total) ** 0.5 if total else 0.0
        times = scatter / common if scatter and common else 0.0
        if times > 2 and stats.f.sf(times**2, freedom, total) < _CHANCE:
            found[host] = times
    return found


News = list[tuple[str, str]]


class Watcher:
    """Looks at the hosts as their evaluations come in; every host is told of once for each reason."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()
        self.odd: dict[str, str] = {}

    def look(self, trained: Sequence[Trial], drifts: Mapping[str, Drift]) -> tuple[News, dict[str, float]]:
        """What is new, as (host, text), and by how much each host's results are to be doubted.

        trained: in hindsight, with nothing in it that was told by an earlier look.
        """
        news: News = []
        doubts: dict[str, float] = {}
        for host, times in noisier(drifts).items():
            news += self._once(host, "noise", f"its baseline is {times:.1f} times as noisy as the others'")
        found = offsets(trained)
        off = {host: offset for host, offset in found.items() if offset.sure}
        if len(found) == 2 and off:  # which of the two is odd, nobody knows: the worse one counts in the proof
            worse = min(off, key=lambda host: off[host].mean)
            news += self._once(worse, "offset", _how_far(off[worse].mean))
        elif off:
            furthest = max(off, key=lambda host: abs(off[host].mean))
            doubts[furthest] = abs(off[furthest].mean)
            news += self._once(furthest, "offset", f"{_how_far(off[furthest].mean)}; its results weigh less")
        return news, doubts

    def _once(self, host: str, kind: str, text: str) -> News:
        self.odd[host] = text
        if (host, kind) in self._told:
            return []
        self._told.add((host, kind))
        return [(host, text)]


def _how_far(mean: float) -> str:
    return f"candidates do {abs(percent(mean)):.0f} % {'better' if mean > 0 else 'worse'} on it than on the other hosts"


def penalised(trained: Sequence[Trial], doubts: Mapping[str, float]) -> list[Trial]:
    """The evaluations, where those of an unstable candidate all count as the worst of them. doubts: as of look()."""
    groups: dict[tuple[str, ...], list[Trial]] = {}
    for evaluation in trained:
        groups.setdefault(candidate_of(evaluation), []).append(evaluation)
    worst = {candidate: _worst(group) for candidate, group in groups.items() if unstable(group, doubts)}
    return [
        replace(e, score=_as_bad_as(e.score, worst[candidate_of(e)])) if candidate_of(e) in worst else e
        for e in trained
    ]


def unstable(repeated: Sequence[Trial], doubts: Mapping[str, float]) -> bool:
    """Whether measurements of one candidate differ by more than their hosts explain (chi squared)."""
    known = [e for e in repeated if e.score.performance is not None and e.score.noise]
    if len(known) < 2:
        return False
    values = np.array([e.score.performance for e in known], dtype=float)
    weights = 1 / np.array([math.hypot(e.score.noise or 0.0, doubts.get(e.host, 0.0)) for e in known]) ** 2
    mean = float(weights @ values / weights.sum())
    spread = float(weights @ (values - mean) ** 2)
    return bool(np.ptp(values) > _SMALLEST_SPREAD and stats.chi2.sf(spread, len(known) - 1) < _CHANCE)


def candidate_of(evaluation: Trial) -> tuple[str, ...]:
    """What two evaluations of one candidate have in common."""
    return tuple(kernel_text(value) for value in evaluation.requested.values())


def _worst(group: Sequence[Trial]) -> Score:
    return min((e.score for e in group if e.score.performance is not None), key=lambda score: score.performance or 0.0)


def _as_bad_as(own: Score, worst: Score) -> Score:
    if own.performance is None:
        return own
    return replace(own, performance=worst.performance, reward=min(own.reward, worst.reward))
