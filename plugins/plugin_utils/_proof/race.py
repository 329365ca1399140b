# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The race: the best candidates of training are measured again until one leads on its worst host.

The best of many noisy results is usually a lucky one, so training's results do not count here. In a round every
remaining candidate runs once on every host, in random order. From the second round on, those that are behind by more
than noise explains are eliminated (successive elimination; Even-Dar, Mannor and Mansour, JMLR 7, 2006). As in TUNA
(EuroSys 2025), candidates are ranked by their worst host, and an unstable one, which differs widely between hosts, is
penalised, because its effect on the next host cannot be predicted. At the end, the leader gives way to a candidate
that changes only a part of what it changes, and is within one standard error of it (Breiman et al., Classification and
Regression Trees, 1984).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from scipy import stats

from .._study.sections import race_rounds
from .._study.space import Candidate, Value
from .._trial.reward import percent
from .._trial.trial import Phase, State, Trial
from .coupled import changes
from .estimate import pooled_variance
from .evidence import Standing
from .pairing import Measure, still_present

_LOG = logging.getLogger(__name__)
_ERROR = 0.1  # probability of eliminating the best candidate
# TUNA's limit for the range over hosts, relative to the mean.
_UNSTABLE_RANGE = 0.30
_PENALTY = math.log(2)
_TIE = float(stats.norm.sf(1.0))  # probability that noise alone exceeds one standard error

Originals = Mapping[str, Mapping[str, Value]]


@dataclass
class _Runner:
    values: Candidate
    results: dict[str, list[float]]
    failed: bool = False
    eliminated_after: int | None = None

    @property
    def by_host(self) -> dict[str, float]:
        return {host: fmean(values) for host, values in self.results.items() if values}

    @property
    def runs_per_host(self) -> int:
        return min((len(values) for values in self.results.values() if values), default=0)

    def add(self, trial: Trial, number: int) -> None:
        if trial.score.performance is not None:
            self.results[trial.host].append(trial.score.performance)
        elif trial.state != State.LOST:
            self.failed, self.eliminated_after = True, number


class _Noise:
    """The standard deviation of one run of a candidate on a host, pooled over all candidates and hosts."""

    def __init__(self, runners: Sequence[_Runner]) -> None:
        variance, self.freedom = pooled_variance(values for runner in runners for values in runner.results.values())
        self._deviation = math.sqrt(variance)

    def limit(self, error: float, *runs: int) -> float:
        """The difference between two means of so many runs that noise exceeds with probability `error`."""
        return float(stats.t.isf(error, self.freedom)) * self._deviation * math.sqrt(sum(1 / count for count in runs))


def race(
    candidates: Sequence[Candidate],
    hosts: Sequence[str],
    measure: Measure,
    *,
    seed: int,
    originals: Originals | None = None,
) -> tuple[Candidate | None, list[Standing]]:
    """The winner, None if every candidate failed, and the final standings, best first.

    A single candidate wins without being measured. originals: each host's values for parameters that a candidate leaves
    alone.
    """
    own = originals or {}
    if len(candidates) == 1:
        return candidates[0], []
    runners = [_Runner(candidate, {host: [] for host in hosts}) for candidate in candidates]
    generator = np.random.default_rng(seed)
    present = list(hosts)
    for number in range(1, race_rounds(len(hosts)) + 1):
        remaining = _remaining(runners)
        order = [(host, remaining[at]) for host in present for at in generator.permutation(len(remaining))]
        trials = measure(
            [Trial.pending(Phase.RACE, {**own.get(host, {}), **runner.values}, host) for host, runner in order]
        )
        for (dummy, runner), trial in zip(order, trials, strict=True):
            runner.add(trial, number)
        stayed = still_present(present, trials)
        _forget_partial(runners, set(present) - set(stayed))
        present = stayed
        if number > 1:
            _eliminate(runners, number)
        if len(_remaining(runners)) < 2 or not present:
            break
    noise = _Noise(runners)

    def rank(runner: _Runner) -> tuple[bool, float, float]:
        return not runner.failed, runner.eliminated_after or math.inf, _worst_case(runner, noise)

    ranked = _simpler_first(sorted(runners, key=rank, reverse=True), noise, own)
    winner = ranked[0].values if not ranked[0].failed and ranked[0].by_host else None
    return winner, [_standing(runner, noise) for runner in ranked]


def _forget_partial(runners: Sequence[_Runner], lost: Iterable[str]) -> None:
    """Of hosts that were lost in a round: what only some candidates were measured on speaks for or against none."""
    for host in lost:
        if len({len(runner.results[host]) for runner in _remaining(runners)}) > 1:
            for runner in runners:
                runner.results[host].clear()


def _simpler_first(ranked: list[_Runner], noise: _Noise, originals: Originals) -> list[_Runner]:
    """The same runners, but the leader after the best one that ties with it and changes only a part of the same."""
    leader = ranked[0]
    more = set(changes(leader.values, originals))
    for runner in _remaining(ranked):
        if (
            set(changes(runner.values, originals)) < more
            and runner.by_host
            and not _is_behind(runner, leader, noise, _TIE)
        ):
            return [runner, *(each for each in ranked if each is not runner)]
    return ranked


def _is_behind(runner: _Runner, leader: _Runner, noise: _Noise, error: float) -> bool:
    """Whether it is behind by more than noise explains; `error` is the probability that noise exceeds that."""
    runs = leader.runs_per_host, runner.runs_per_host
    if runner is leader or 0 in runs or noise.freedom < 1:
        return False
    return _worst_case(leader, noise) - _worst_case(runner, noise) > noise.limit(error, *runs)


def _remaining(runners: Sequence[_Runner]) -> list[_Runner]:
    return [runner for runner in runners if runner.eliminated_after is None]


def _eliminate(runners: Sequence[_Runner], number: int) -> None:
    """Eliminate those that are significantly behind the leader, with a Bonferroni correction."""
    noise, remaining = _Noise(runners), _remaining(runners)
    if len(remaining) < 2 or noise.freedom < 1:
        return
    leader = max(remaining, key=lambda runner: _worst_case(runner, noise))
    for runner in remaining:
        if _is_behind(runner, leader, noise, _ERROR / (len(remaining) - 1)):
            _LOG.debug("round %d: %s is eliminated", number, dict(runner.values))
            runner.eliminated_after = number


def _worst_case(runner: _Runner, noise: _Noise) -> float:
    worst = min(runner.by_host.values(), default=-math.inf)
    return min(worst, 0.0) - _PENALTY if _is_unstable(runner, noise) else worst


def _is_unstable(runner: _Runner, noise: _Noise) -> bool:
    """Whether the range over hosts exceeds TUNA's limit, and what noise explains."""
    means = list(runner.by_host.values())
    if len(means) < 2 or noise.freedom < 1:
        return False
    factors = [math.exp(mean) for mean in means]
    # Bonferroni, over all ordered pairs of hosts.
    explained = noise.limit(_ERROR / (len(means) * (len(means) - 1)), runner.runs_per_host, runner.runs_per_host)
    return (max(factors) - min(factors)) / fmean(factors) >= _UNSTABLE_RANGE and max(means) - min(means) > explained


def _standing(runner: _Runner, noise: _Noise) -> Standing:
    by_host = runner.by_host
    return Standing(
        values=runner.values,
        worst_case=percent(_worst_case(runner, noise)) if by_host else None,
        by_host={host: percent(mean) for host, mean in by_host.items()},
        trials=sum(map(len, runner.results.values())),
        unstable=_is_unstable(runner, noise),
        failed=runner.failed,
        eliminated_after=runner.eliminated_after,
    )
