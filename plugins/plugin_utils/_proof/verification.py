# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The proof: the candidate against the baseline in interleaved pairs, until it is decided.

The order within a pair is drawn, and turned round in the host's next pair: so drift that goes one way cancels within
two pairs (ABBA, BAAB) and only makes the test more cautious. A paired t test on the log ratios is looked at again and
again (sequential.py), hosts are strata (evidence.py). What is decided at a look:

| | when |
|---|---|
| no | the candidate failed; a host, a guard metric or the whole got significantly worse |
| yes | the gain is significant and at least `min_improvement`, the bootstrap interval agrees, all guard metrics hold |
| no | a gain that matters is excluded, or has become so unlikely that going on would be a waste |

Every host is watched with the error shared out among all of them (Bonferroni), and an early yes takes that each looks
better by itself: what is huge on one host must not hide for long what is a loss on another. Guard metrics must all be
shown not to have worsened by more than they may, and so need no correction.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from scipy.stats import norm

from .._evaluation.evaluation import Evaluation, Job, Phase
from .._evaluation.reward import percent
from .._study.space import Value
from .._study.study import Study
from .._study.verification import GuardMetric
from .evidence import Estimate, Pair, bootstrapped, by_host, of_host, over_hosts, percents
from .pairing import in_order, orders, pairs_of, still_to_begin
from .sequential import Boundary, boundaries, p_value, planned_looks, shares_of

_LOG = logging.getLogger(__name__)
Measure = Callable[[Sequence[Job]], list[Evaluation]]
_FEWEST = 4  # pairs to judge by
# The chance that a host looks better by luck.
_DOUBT = 0.1


@dataclass(frozen=True)
class Look:
    """What was seen after so many pairs. gain and interval (repeated confidence interval) are in per cent."""

    pairs: int
    gain: float
    interval: tuple[float, float]
    score: float
    proved_at: float
    hopeless_at: float


@dataclass(frozen=True)
class Guarded:
    """What became of a guard metric, in per cent, above 0 is better; None where it is not known."""

    metric: str
    direction: Literal["maximise", "minimise"]
    may_worsen: float
    change: float | None
    interval: tuple[float, float] | None
    holds: bool


@dataclass(frozen=True)
class Proof:
    """What the pairs say. All changes are in per cent, above 0 is better.

    interval: the last look's repeated confidence interval, which holds however the test stopped. bootstrap: BCa at the
    study's confidence, as if the number of pairs had been fixed. p_value: two-sided, stage-wise. hosts: the change and
    its interval on each. own, tuned: the evaluations of the hosts' own values and of the candidate that all this rests
    on. Without enough pairs there is only a reason.
    """

    improved: bool
    reason: str
    pairs: Sequence[Pair] = ()
    tuned: Sequence[Evaluation] = ()
    improvement: float | None = None
    interval: tuple[float, float] | None = None
    bootstrap: tuple[float, float] | None = None
    p_value: float | None = None
    looks: Sequence[Look] = ()
    guards: Sequence[Guarded] = ()
    hosts: Mapping[str, tuple[float, tuple[float, float]]] | None = None
    own: Sequence[Evaluation] = ()

    @property
    def counted(self) -> list[Pair]:
        """The pairs that the figures are made of: a host's only pair tells nothing of its noise and is left out."""
        hosts = by_host(self.pairs)
        return [pair for pair in self.pairs if pair.host in hosts]


def prove(
    candidate: Mapping[str, Value],
    hosts: Sequence[str],
    measure: Measure,
    study: Study,
    *,
    seed: int,
    phase: Phase = "verify",
    rounds: int | None = None,
    own: Mapping[str, Mapping[str, Value]] | None = None,
    first: int = 0,
) -> Proof:
    """Measure pairs on every host until the candidate is known to be better, or not.

    rounds: pairs of each host at most, otherwise what the study says. own: the hosts' own values of what the candidate
    leaves alone, if it does. first: the number before the first pair's. What is asked for depends only on the arguments
    and on what was measured. Hosts that go away meanwhile are done without.
    """
    rounds = rounds or study.verification.rounds(len(hosts))
    looks, most = planned_looks(rounds, len(hosts)), rounds * len(hosts)
    test = _Test(study, tuple(at / rounds for at in looks), most, seed)
    baseline_first = orders(hosts, most, seed)
    values_on = {host: {**(own or {}).get(host, {}), **candidate} for host in hosts}
    pairs: list[Pair] = []
    own_values: list[Evaluation] = []
    tuned: list[Evaluation] = []
    present, begun = list(hosts), dict.fromkeys(hosts, 0)
    for at in looks:
        # Those that are left do the share of those that are gone.
        while present and (more := still_to_begin(at * len(hosts), present, begun, pairs)):
            jobs = [
                Job(phase, values, host, first + begun[host] + number + 1)
                for number in range(more)
                for host in present
                for values in in_order(baseline_first[host][begun[host] + number], values_on[host])
            ]
            evaluations = measure(jobs)
            begun |= {host: begun[host] + more for host in present}
            pairs += pairs_of(study, evaluations)
            own_values += [evaluation for evaluation in evaluations if evaluation.job.values is None]
            tuned += [evaluation for evaluation in evaluations if evaluation.job.values is not None]
            present = [host for host in present if all(e.took_place for e in evaluations if e.host == host)]
        proof = test.look(pairs, tuned, last=at == rounds or not present)
        if proof:
            return replace(proof, own=tuple(own_values))
    raise AssertionError("the last look decides")


class _Test:
    """The test, look by look. planned: the shares of all pairs at which looks were planned; most: all pairs."""

    def __init__(self, study: Study, planned: tuple[float, ...], most: int, seed: int) -> None:
        self._study, self._rules = study, study.verification
        self._planned, self._most, self._seed = planned, most, seed
        self._counts: list[int] = []
        self._looks: list[Look] = []

    def look(self, pairs: Sequence[Pair], tuned: Sequence[Evaluation], *, last: bool) -> Proof | None:
        """The proof if it is decided by now, as it has to be at the last look."""
        failure = _failure(tuned)
        ratios = by_host(pairs)
        estimate = over_hosts(ratios)
        decided = last or failure is not None
        if estimate is None or len(pairs) < _FEWEST:
            reason = failure or f"only {len(pairs)} pairs succeeded, too few to judge by"
            return Proof(False, reason, tuple(pairs), tuple(tuned)) if decided else None
        if self._counts and len(pairs) <= self._counts[-1]:
            if not decided:
                return None
            self._counts.pop()  # nothing has come since the look before: this one takes its place
            self._looks.pop()
        self._counts.append(len(pairs))
        shares = shares_of(self._counts, self._most, last=last)
        error = 1 - self._rules.confidence
        boundary = boundaries(shares, self._planned, error, self._rules.power)[-1]
        host_bound = boundaries(shares, self._planned, error / len(ratios), self._rules.power)[-1].proved
        gain, interval = percent(estimate.mean), percents(estimate.interval(boundary.proved))
        score = max(min(estimate.score(), 99.0), -99.0)
        self._looks.append(Look(len(pairs), gain, interval, score, boundary.proved, boundary.hopeless))
        _LOG.debug("interim analysis: %s", self._looks[-1])
        verdict = self._decided(pairs, estimate, boundary, host_bound, last=last)
        if failure:
            verdict = False, failure
        if verdict is None:
            return None
        each = {host: of_host(host, ratios) for host in ratios}
        return Proof(
            *verdict,
            pairs=tuple(pairs),
            tuned=tuple(tuned),
            improvement=gain,
            interval=interval,
            bootstrap=percents(bootstrapped(ratios, self._rules.confidence, self._seed)),
            p_value=p_value(shares, score, error),
            looks=tuple(self._looks),
            guards=tuple(self._guarded(guard, pairs, boundary) for guard in self._study.guard_metrics),
            hosts={host: (percent(own.mean), percents(own.interval(host_bound))) for host, own in each.items()},
        )

    def _decided(
        self, pairs: Sequence[Pair], estimate: Estimate, boundary: Boundary, host_bound: float, *, last: bool
    ) -> tuple[bool, str] | None:
        score, gain, least = estimate.score(), percent(estimate.mean), self._rules.min_improvement
        guards = {guard: over_hosts(by_host(pairs, guard.metric)) for guard in self._study.guard_metrics}
        worse = _worse_hosts(by_host(pairs), 0.0, host_bound)
        if worse:
            return False, f"{', '.join(worse)} got significantly worse"
        if score <= -boundary.proved:
            return False, f"the best candidate is worse than the baseline, by {-gain:.1f} %"
        for guard, own in guards.items():
            allowed = -math.log1p(guard.may_worsen / 100)
            if own and own.score(allowed) <= -boundary.proved:
                return False, f"{guard.metric} got worse by more than {guard.may_worsen:g} %"
            if worse := _worse_hosts(by_host(pairs, guard.metric), allowed, host_bound):
                return False, f"{guard.metric} got worse by more than {guard.may_worsen:g} % on {', '.join(worse)}"
        proved = score >= boundary.proved and self._bootstrap_agrees(pairs)
        open_guards = [guard for guard in self._study.guard_metrics if not self._guarded(guard, pairs, boundary).holds]
        if proved and gain >= least and not open_guards and (last or self._every_host_looks_better(pairs)):
            better = sum(pair.ratio > 0 for pair in pairs)
            return True, f"better in {better} of {len(pairs)} pairs"
        if percent(estimate.interval(boundary.proved)[1]) < least or (last and proved and gain < least):
            return False, f"the gain of {gain:.1f} % is below the {least:g} % that matter"
        if last and not proved:
            return False, f"the difference of {gain:+.1f} % is within the noise"
        if score < boundary.hopeless:
            return False, f"a gain that could still be proved has become unlikely ({gain:+.1f} % so far)"
        for guard in open_guards:
            own = guards[guard]
            if last or (own and own.score(-math.log1p(guard.may_worsen / 100)) < boundary.hopeless):
                return False, f"{guard.metric} may have got worse by more than {guard.may_worsen:g} %"
        return None

    def _every_host_looks_better(self, pairs: Sequence[Pair]) -> bool:
        """In the reward metric, and in every guard metric than it may become."""
        guards = [(guard.metric, -math.log1p(guard.may_worsen / 100)) for guard in self._study.guard_metrics]
        found = [(by_host(pairs, metric), than) for metric, than in [(None, 0.0), *guards]]
        return all(of_host(host, ratios).score(than) >= norm.isf(_DOUBT) for ratios, than in found for host in ratios)

    def _bootstrap_agrees(self, pairs: Sequence[Pair]) -> bool:
        return bootstrapped(by_host(pairs), self._rules.confidence, self._seed)[0] > 0

    def _guarded(self, guard: GuardMetric, pairs: Sequence[Pair], boundary: Boundary) -> Guarded:
        estimate = over_hosts(by_host(pairs, guard.metric))
        if estimate is None:
            return Guarded(**dict(guard), change=None, interval=None, holds=False)
        holds = estimate.score(-math.log1p(guard.may_worsen / 100)) >= boundary.proved
        interval = percents(estimate.interval(boundary.proved))
        return Guarded(**dict(guard), change=percent(estimate.mean), interval=interval, holds=holds)


def _failure(tuned: Sequence[Evaluation]) -> str | None:
    """How often the candidate failed and why, if it did. That a host went away is not its fault."""
    errors = [evaluation.measurement.error for evaluation in tuned if evaluation.failed and evaluation.took_place]
    if not errors:
        return None
    times = f"{len(errors)} times" if len(errors) > 1 else "once"
    return f"the best candidate failed {times} while it was verified: {errors[0]}"


def _worse_hosts(ratios: Mapping[str, Sequence[float]], than: float, bound: float) -> list[str]:
    return [host for host in ratios if of_host(host, ratios).score(than) <= -bound]
