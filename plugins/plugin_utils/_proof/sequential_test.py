# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The proof: a group-sequential paired t test of the candidate against the baseline.

The order within a pair is random, and reversed in the host's next pair (ABBA or BAAB), so that linear drift cancels
and any other drift only makes the test more conservative. Log ratios are stratified by host (estimate.py) and analysed
at interim analyses (bounds.py). At each analysis the first of these decides:

| decision | condition |
|---|---|
| no improvement | the candidate failed; a host, a guard metric or the whole is significantly worse |
| improved | significant, at least `min_improvement`, confirmed by the bootstrap, all guard metrics non-inferior |
| no improvement | `min_improvement` is excluded, or the futility bound is crossed |

Hosts are tested with a Bonferroni correction. Before the last analysis `improved` also requires every host to look
better by itself, so that a large gain on one host cannot hide a loss on another. Guard metrics need no correction,
because all of them must be non-inferior.

The same test, of the pairs of a guard benchmark, shows that a candidate does not worsen that by more than its limit
(non-inferiority, one-sided): the objective is the guard benchmark's, the null hypothesis a loss of `may_worsen`, and
every host must look acceptable by itself at the last analysis, too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from .._study.guard_benchmarks import GuardBenchmark
from .._study.sections import GuardMetric
from .._study.space import Value
from .._study.study import Study
from .._trial.reward import percent
from .._trial.trial import Phase, State, Trial
from .bounds import Bounds, information_fractions, p_value, planned_analyses, stopping_bounds
from .difference import Difference, guard_harm, guard_outcome, harm_of, limit_of
from .estimate import Ratios, bootstrap_interval, of_host, percents
from .evidence import HostChange, InterimAnalysis, Interval, Pair, Proof
from .pairing import Measure, in_order, orders, pairs_of, pairs_per_host, still_present

_LOG = logging.getLogger(__name__)
_MIN_PAIRS = 4
_MAX_Z = 99.0  # in the result, which cannot store infinity


def prove(
    candidate: Mapping[str, Value],
    hosts: Sequence[str],
    measure: Measure,
    study: Study,
    *,
    seed: int,
    phase: Phase = Phase.VERIFY,
    rounds: int | None = None,
    originals: Mapping[str, Mapping[str, Value]] | None = None,
    pairs_before: int = 0,
    guard: GuardBenchmark | None = None,
    goes_on: Callable[[Proof], bool] = lambda proof: False,
) -> Proof:
    """Measure pairs on all hosts until the test has decided.

    rounds: pairs per host at most, by default what the study says. originals: each host's values for parameters that
    the candidate leaves alone. pairs_before: how many pairs of this phase were measured before. guard: measure and
    judge this guard benchmark in place of the study's; `improved` then means that it is not worsened. goes_on: whether
    an improvement needs more pairs all the same; the verdict is then that of the last analysis. Hosts that are lost
    during the proof are replaced by more pairs on the others. Which trials are run depends only on the arguments
    and on earlier measurements, so an interrupted proof can be replayed.
    """
    rounds = rounds or study.verification.rounds(len(hosts))
    name = guard.name if guard else None
    analyses, most = planned_analyses(rounds, len(hosts)), rounds * len(hosts)
    test = _SequentialTest(study, tuple(at / rounds for at in analyses), most, seed, guard)
    baseline_first = orders(hosts, most, seed)
    values_on = {host: {**(originals or {}).get(host, {}), **candidate} for host in hosts}
    pairs: list[Pair] = []
    failures: list[str] = []
    present, begun = list(hosts), dict.fromkeys(hosts, 0)
    for at in analyses:
        while present and (more := pairs_per_host(at * len(hosts), present, begun, pairs)):
            pending = [
                Trial.pending(phase, values, host, pairs_before + begun[host] + number + 1, name)
                for number in range(more)
                for host in present
                for values in in_order(baseline_first[host][begun[host] + number], values_on[host])
            ]
            trials = measure(pending)
            begun |= {host: begun[host] + more for host in present}
            pairs += pairs_of(study, trials)
            failures += [trial.error or "" for trial in trials if _has_failed(trial)]
            present = still_present(present, trials)
        last = at == rounds or not present
        proof = test.analyse(pairs, failures, last=last)
        if proof and (last or not proof.improved or not goes_on(proof)):
            return proof
    raise AssertionError("the last analysis decides")


def _has_failed(trial: Trial) -> bool:
    """Whether the candidate failed; a lost host is not its fault."""
    return not trial.original and trial.state == State.FAILED


class _SequentialTest:
    """The interim analyses. planned: their information fractions as planned; most: the largest number of pairs.

    guard: the guard benchmark whose pairs they are.
    """

    def __init__(
        self, study: Study, planned: tuple[float, ...], most: int, seed: int, guard: GuardBenchmark | None = None
    ) -> None:
        self._study, self._rules, self._guard = study, study.verification, guard
        self._planned, self._most, self._seed = planned, most, seed
        self._analyses: list[InterimAnalysis] = []
        self._bootstrapped: tuple[Ratios, Interval] | None = None
        self._decided: tuple[int, float] | None = None  # pairs and p-value when the improvement was proved

    def analyse(self, pairs: Sequence[Pair], failures: Sequence[str], *, last: bool) -> Proof | None:
        """The proof if this analysis decides, as the last one always does. failures: the candidate's errors."""
        guard = self._guard
        failure = _failure(failures, _called(guard) if guard else "the proof")
        difference = Difference(pairs, limit_of(guard) if guard else 0.0)
        ratios, estimate = difference.ratios, difference.estimate
        must_decide = last or failure is not None
        if estimate is None or len(pairs) < _MIN_PAIRS:
            reason = failure or f"Only {len(pairs)} pairs succeeded, too few to judge by"
            return Proof(improved=False, reason=reason, evidence=tuple(pairs)) if must_decide else None
        if self._analyses and len(pairs) <= self._analyses[-1].pairs:
            if not must_decide:
                return None
            self._analyses.pop()  # without new pairs this analysis replaces the one before
        counts = [*(analysis.pairs for analysis in self._analyses), len(pairs)]
        fractions = information_fractions(counts, self._most, last=last)
        alpha = 1 - self._rules.confidence
        at = stopping_bounds(fractions, self._planned, alpha, self._rules.power)[-1]
        host_bound = stopping_bounds(fractions, self._planned, alpha / len(ratios), self._rules.power)[-1].efficacy
        analysis = InterimAnalysis(
            pairs=len(pairs),
            improvement=percent(estimate.mean),
            interval=percents(estimate.interval(at.efficacy)),
            z=max(min(estimate.z(difference.limit), _MAX_Z), -_MAX_Z),
            efficacy_bound=at.efficacy,
            futility_bound=at.futility,
        )
        self._analyses.append(analysis)
        _LOG.debug("interim analysis: %r", analysis)
        guards = {each: Difference(pairs, limit_of(each), each.metric) for each in self._guard_metrics}
        if guard:
            harm = failure or guard_harm(_called(guard), guard.may_worsen, difference, at, host_bound)
        else:
            harm = failure or harm_of(difference, guards, at, host_bound)
        if harm:
            decision: tuple[bool, str] | None = (False, harm)
        elif guard:
            decision = self._guard_decision(guard, difference, at, last=last)
        else:
            decision = self._decision(pairs, difference, guards, at, last=last)
        if decision is None:
            return None
        hosts = {host: of_host(host, ratios) for host in ratios}
        own_p_value = p_value(fractions, analysis.z, alpha)
        if decision[0] and not self._decided:
            self._decided = len(pairs), own_p_value
        decided_after, found_p_value = self._decided if decision[0] and self._decided else (None, own_p_value)
        return Proof(
            improved=decision[0],
            reason=decision[1],
            evidence=tuple(pairs),
            improvement=analysis.improvement,
            interval=analysis.interval,
            bootstrap=percents(self._bootstrap(ratios)),
            p_value=found_p_value,
            decided_after=decided_after,
            interim_analyses=tuple(self._analyses),
            guard_metrics=tuple(guard_outcome(each, found, at) for each, found in guards.items()),
            by_host={
                host: HostChange(improvement=percent(each.mean), interval=percents(each.interval(host_bound)))
                for host, each in hosts.items()
            },
        )

    @property
    def _guard_metrics(self) -> Sequence[GuardMetric]:
        return () if self._guard else self._study.guard_metrics

    def _guard_decision(
        self, guard: GuardBenchmark, difference: Difference, at: Bounds, *, last: bool
    ) -> tuple[bool, str] | None:
        """Whether the guard benchmark is shown not to be worsened, and why; None while undecided."""
        change = f"estimate {percent(difference.estimate.mean):+.1f} %, " if difference.estimate else ""
        limit = f"{change}limit {percent(difference.limit):+.1f} %"
        if (
            difference.holds(at.efficacy)
            and difference.looks_good_everywhere()
            and self._bootstrap(difference.ratios)[0] > difference.limit
        ):
            return True, f"{_called(guard)} was shown to be non-inferior ({limit})"
        if last or (difference.z is not None and difference.z < at.futility):
            return False, f"{_called(guard)} was not shown to be non-inferior ({limit})"
        return None

    def _bootstrap(self, ratios: Ratios) -> Interval:
        if self._bootstrapped is None or self._bootstrapped[0] != ratios:  # it takes most of an analysis' time
            self._bootstrapped = ratios, bootstrap_interval(ratios, self._rules.confidence, self._seed)
        return self._bootstrapped[1]

    def _decision(
        self,
        pairs: Sequence[Pair],
        difference: Difference,
        guards: Mapping[GuardMetric, Difference],
        at: Bounds,
        *,
        last: bool,
    ) -> tuple[bool, str] | None:
        """Whether it is an improvement, and why; None while undecided."""
        estimate, least = difference.estimate, self._rules.min_improvement
        if estimate is None:
            return None
        z, gain = estimate.z(), percent(estimate.mean)
        significant = z >= at.efficacy and self._bootstrap(difference.ratios)[0] > 0
        undecided = {guard: found for guard, found in guards.items() if not found.holds(at.efficacy)}
        good_everywhere = all(each.looks_good_everywhere() for each in (difference, *guards.values()))
        if significant and gain >= least and not undecided and (last or good_everywhere):
            return True, f"Better in {sum(pair.log_ratio > 0 for pair in pairs)} of {len(pairs)} pairs"
        if percent(estimate.interval(at.efficacy)[1]) < least or (last and significant and gain < least):
            return False, f"The improvement of {gain:.1f} % is below min_improvement ({least:g} %)"
        if last and not significant:
            return False, f"The difference of {gain:+.1f} % is within the noise"
        if z < at.futility:
            return False, f"Stopped for futility (estimate {gain:+.1f} %)"
        for guard, found in undecided.items():
            if last or (found.z is not None and found.z < at.futility):
                return False, f"{guard.metric} was not shown to be non-inferior (limit {percent(found.limit):+.1f} %)"
        return None


def _called(guard: GuardBenchmark) -> str:
    return f"guard benchmark {guard.name}"


def _failure(errors: Sequence[str], during: str) -> str | None:
    if not errors:
        return None
    times = "once" if len(errors) == 1 else f"{len(errors)} times"
    return f"The candidate failed {times} during {during}: {errors[0]}"
