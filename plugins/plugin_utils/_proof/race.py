# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The race: the best candidates of training are measured anew until one is ahead, worst host first.

Anew, because the best of many noisy results is mostly the luckiest. A round is every candidate that is still in it,
once on every host, in random order; after two rounds those drop out that are behind by more than noise explains
(successive elimination; Even-Dar, Mannor and Mansour, JMLR 7, 2006). As in TUNA (EuroSys 2025) a candidate is worth
what it does on its worst host, and one that does very different things on different hosts is worth half of the worse
of that and the baseline: what it would do on the next host nobody knows.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

import numpy as np
from scipy import stats

from .._evaluation.evaluation import Evaluation, Job
from .._evaluation.reward import percent
from .._study.space import Candidate
from .._study.verification import race_rounds
from .verification import Measure

# The chance to drop the best candidate for being behind by luck alone.
_LOG = logging.getLogger(__name__)
_ERROR = 0.1
# TUNA's relative range over hosts (largest - smallest, over the mean) from which on a candidate is unstable.
_UNSTABLE = 0.30
_PENALTY = math.log(2)


@dataclass(frozen=True)
class Standing:
    """What came of a candidate. Changes are in per cent against the baseline, None where nothing was measured.

    worth: what it was ranked by, that of its worst host unless unstable. left_after: the round in which it dropped out,
    None if it stayed to the end.
    """

    values: Candidate
    worth: float | None
    by_host: Mapping[str, float]
    evaluations: int
    unstable: bool = False
    failed: bool = False
    left_after: int | None = None


@dataclass
class _Runner:
    values: Candidate
    results: dict[str, list[float]]
    failed: bool = False
    left_after: int | None = None

    @property
    def hosts(self) -> dict[str, float]:
        return {host: fmean(values) for host, values in self.results.items() if values}

    @property
    def runs_on_a_host(self) -> int:
        return min((len(values) for values in self.results.values() if values), default=0)


def race(
    candidates: Sequence[Candidate], hosts: Sequence[str], measure: Measure, *, seed: int
) -> tuple[Candidate | None, list[Standing]]:
    """The winner, None if every candidate failed; and how they all stand, best first. One candidate need not race."""
    runners = [_Runner(candidate, {host: [] for host in hosts}) for candidate in candidates]
    if len(candidates) == 1:
        return candidates[0], []
    generator = np.random.default_rng(seed)
    present = list(hosts)
    for number in range(1, race_rounds(len(hosts)) + 1):
        jobs: list[Job] = []
        running: list[_Runner] = []
        for host in present:
            inside = _still_in(runners)
            for at in generator.permutation(len(inside)):
                jobs.append(Job("race", inside[at].values, host))
                running.append(inside[at])
        evaluations = measure(jobs)
        for runner, evaluation in zip(running, evaluations, strict=True):
            _note(runner, evaluation, number)
        present = [host for host in present if all(e.took_place for e in evaluations if e.host == host)]
        if number > 1:
            _eliminate(runners, number)
        if len(_still_in(runners)) < 2 or not present:
            break
    noise, freedom = _noise(runners)
    ranked = sorted(runners, key=lambda runner: _rank(runner, noise, freedom), reverse=True)
    winner = ranked[0].values if not ranked[0].failed and ranked[0].hosts else None
    return winner, [_standing(runner, noise, freedom) for runner in ranked]


def _still_in(runners: Sequence[_Runner]) -> list[_Runner]:
    return [runner for runner in runners if runner.left_after is None]


def _note(runner: _Runner, evaluation: Evaluation, number: int) -> None:
    if evaluation.score.performance is not None:
        runner.results[evaluation.host].append(evaluation.score.performance)
    elif evaluation.took_place:
        runner.failed, runner.left_after = True, number


def _eliminate(runners: Sequence[_Runner], number: int) -> None:
    """Those drop out that are behind the leader by more than chance allows, however many they are."""
    noise, freedom = _noise(runners)
    inside = _still_in(runners)
    if len(inside) < 2 or freedom < 1:
        return
    leader = max(inside, key=lambda runner: _worth(runner, noise, freedom))
    limit = float(stats.t.isf(_ERROR / (len(inside) - 1), freedom))
    for runner in inside:
        counts = leader.runs_on_a_host, runner.runs_on_a_host
        if runner is leader or 0 in counts:
            continue
        behind = _worth(leader, noise, freedom) - _worth(runner, noise, freedom)
        if behind > limit * noise * math.sqrt(sum(1 / count for count in counts)):
            _LOG.debug("round %d: %s is eliminated, %.2f behind the leader", number, dict(runner.values), behind)
            runner.left_after = number


def _noise(runners: Sequence[_Runner]) -> tuple[float, int]:
    """Standard deviation of one measurement of a candidate on a host, over all of them; its degrees of freedom."""
    groups = [values for runner in runners for values in runner.results.values() if len(values) > 1]
    freedom = sum(len(values) - 1 for values in groups)
    if not freedom:
        return 0.0, 0
    return math.sqrt(sum(variance(values) * (len(values) - 1) for values in groups) / freedom), freedom


def _worth(runner: _Runner, noise: float, freedom: int) -> float:
    worst = min(runner.hosts.values(), default=-math.inf)
    return min(worst, 0.0) - _PENALTY if _unstable(runner, noise, freedom) else worst


def _unstable(runner: _Runner, noise: float, freedom: int) -> bool:
    """Whether its hosts differ as much as TUNA would not have it, and by more than noise explains."""
    means = list(runner.hosts.values())
    if len(means) < 2 or freedom < 1:
        return False
    factors = [math.exp(mean) for mean in means]
    # As many differences as there are two hosts among these, either of which may be the larger.
    limit = float(stats.t.isf(_ERROR / (len(means) * (len(means) - 1)), freedom))
    by_noise = limit * noise * math.sqrt(2 / runner.runs_on_a_host)
    return (max(factors) - min(factors)) / fmean(factors) >= _UNSTABLE and max(means) - min(means) > by_noise


def _rank(runner: _Runner, noise: float, freedom: int) -> tuple[bool, float, float]:
    """Who stayed longer is better than who dropped out, whatever chance did to their worths since."""
    return not runner.failed, runner.left_after or math.inf, _worth(runner, noise, freedom)


def _standing(runner: _Runner, noise: float, freedom: int) -> Standing:
    hosts = runner.hosts
    return Standing(
        values=runner.values,
        worth=percent(_worth(runner, noise, freedom)) if hosts else None,
        by_host={host: percent(mean) for host, mean in hosts.items()},
        evaluations=sum(map(len, runner.results.values())),
        unstable=_unstable(runner, noise, freedom),
        failed=runner.failed,
        left_after=runner.left_after,
    )
