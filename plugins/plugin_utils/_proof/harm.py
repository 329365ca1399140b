# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The guard phase: shows that the values to be learned do not worsen the study's guard benchmarks.

Each guard benchmark is measured in pairs against the hosts' original values (sequential_test.py). If one is worsened by
several values together, bisection finds those that it tolerates; what is left is proved again, for the study's own
benchmark and then for every guard benchmark. Nothing is learned unless the very values that are learned passed all.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from scipy.stats import norm

from .._study.guard_benchmarks import GuardBenchmark
from .._study.space import Candidate, Value
from .._study.study import Study
from .._trial.trial import Phase, Trial
from .coupled import Unit, units
from .difference import limit_of
from .estimate import by_host, pooled_variance
from .evidence import GuardBenchmarkOutcome, GuardTest, Proof
from .pairing import Measure
from .sequential_test import prove
from .verification import verify


@dataclass(frozen=True)
class Guarded:
    """The outcome of the guard phase.

    values: those that are left. reason: why they must not be learned, None if they may be. proof: theirs for the
    study's own benchmark, None if nothing was left out. tests: all tests of the phase, in order.
    """

    values: Candidate
    reason: str | None
    outcomes: tuple[GuardBenchmarkOutcome, ...]
    tests: tuple[GuardTest, ...]
    proof: Proof | None = None

    @property
    def removed(self) -> str:
        """What was removed for which guard benchmark, as one sentence; empty if nothing was."""
        causes = [f"{', '.join(each.dropped)}, which worsens {each.name}" for each in self.outcomes if each.dropped]
        return f"Removed: {'; '.join(causes)}" if causes else ""


def without_harm(
    values: Candidate,
    hosts: Sequence[str],
    originals: Mapping[str, Mapping[str, Value]],
    measure: Measure,
    study: Study,
    *,
    seed: int,
    notify: Callable[[str], object] = lambda text: None,
) -> Guarded:
    """Show that the values do no harm, or find those that do and leave them out. originals: each host's.

    notify: is told of pauses between runs, as by `verify`. Raises as `measure`. Which trials are run depends only on
    the arguments and on earlier measurements.
    """
    phase = _GuardPhase(values, hosts, originals, measure, study, seed, notify)
    left = units(values, originals, study.space.constraints)
    dropped: dict[str, list[str]] = {}
    own: Proof | None = None
    reason: str | None = None
    while guard := next((each for each in study.guard_benchmarks if not phase.test(each, left).improved), None):
        reason = phase.test(guard, left).reason
        needed = phase.pairs_needed(guard, left)
        if needed:  # no part of the values could pass
            reason += f"; it is too noisy to test this limit: raise its pairs to {needed}"
            break
        tolerated = phase.tolerated(guard, left) if len(left) > 1 else []
        if not tolerated:
            break
        if len(tolerated) == len(left):
            reason += ", though no part of the values worsens it on its own"
            break
        dropped.setdefault(guard.name, []).extend(param for unit in left if unit not in tolerated for param in unit)
        left = tolerated
        own = phase.prove_own(left)
        if not own.improved:
            reason += f"; without {', '.join(dropped[guard.name])}, no improvement was proved ({own.reason})"
            break
        reason = None
    return Guarded(
        values={param: values[param] for unit in left for param in unit},
        reason=reason,
        outcomes=tuple(phase.outcome(each, left, dropped.get(each.name, ())) for each in study.guard_benchmarks),
        tests=tuple(phase.tests),
        proof=own,
    )


@dataclass
class _GuardPhase:
    """Measures and remembers the tests: no set of values is tested twice on a guard benchmark."""

    values: Candidate
    hosts: Sequence[str]
    originals: Mapping[str, Mapping[str, Value]]
    measure: Measure
    study: Study
    seed: int
    notify: Callable[[str], object]

    def __post_init__(self) -> None:
        self._pairs: Counter[str | None] = Counter()  # of each benchmark, measured so far
        self._found: dict[tuple[str, frozenset[Unit]], Proof] = {}
        self.tests: list[GuardTest] = []

    def test(self, guard: GuardBenchmark, some: Sequence[Unit]) -> Proof:
        """Whether these values leave the guard benchmark alone; measured at the first call."""
        key = guard.name, frozenset(some)
        if key not in self._found:
            proof = self._found[key] = self._prove(some, guard, self.study.guard_rounds(guard, len(self.hosts)))
            self.tests.append(
                GuardTest(
                    benchmark=guard.name,
                    params=tuple(param for unit in some for param in unit),
                    holds=proof.improved,
                    change=proof.improvement,
                    interval=proof.interval,
                    pairs=len(proof.evidence),
                )
            )
        return self._found[key]

    def pairs_needed(self, guard: GuardBenchmark, some: Sequence[Unit]) -> int | None:
        """How many pairs would show that values without any effect do no harm, if that is more than there may be."""
        rules = self.study.verification
        variance, dummy = pooled_variance(by_host(self.test(guard, some).evidence).values())
        by_one_error = variance / limit_of(guard) ** 2  # pairs, until the error is as large as that
        significance = float(norm.isf((1 - rules.confidence) / 2))
        hosts = len(self.hosts)
        if by_one_error * significance**2 <= self.study.guard_rounds(guard, hosts) * hosts:
            return None
        needed = by_one_error * (significance + float(norm.ppf(rules.power))) ** 2
        return hosts * math.ceil(needed / hosts)  # a study's pairs are divided evenly, and the rest is not measured

    def tolerated(self, guard: GuardBenchmark, some: Sequence[Unit]) -> list[Unit]:
        """Of several units that fail together, those that pass: a half that fails is split."""
        middle = len(some) // 2
        found: list[Unit] = []
        for half in (some[:middle], some[middle:]):
            if self.test(guard, half).improved:
                found += half
            elif len(half) > 1:
                found += self.tolerated(guard, half)
        return found

    def prove_own(self, some: Sequence[Unit]) -> Proof:
        """Prove these values for the study's own benchmark."""
        return self._prove(some, None, self.study.verification.rounds(len(self.hosts)))

    def _prove(self, some: Sequence[Unit], guard: GuardBenchmark | None, rounds: int) -> Proof:
        name = guard.name if guard else None
        before = self._pairs[name]

        def measure(pending: Sequence[Trial]) -> list[Trial]:
            self._pairs[name] = max(trial.pair or 0 for trial in pending)
            return self.measure(pending)

        test = partial(prove, guard=guard) if guard else partial(verify, notify=self.notify)
        return test(
            {param: self.values[param] for unit in some for param in unit},
            self.hosts,
            measure,
            self.study,
            seed=self.seed + 2 + sum(self._pairs.values()),
            phase=Phase.GUARD,
            rounds=rounds,
            originals=self.originals,
            pairs_before=before,
        )

    def outcome(self, guard: GuardBenchmark, left: Sequence[Unit], dropped: Sequence[str]) -> GuardBenchmarkOutcome:
        """What is known of the values that are left; nothing, if the phase ended before their test."""
        found = self._found.get((guard.name, frozenset(left)))
        proof = found or Proof(improved=False, reason="it was not measured")
        return GuardBenchmarkOutcome(
            name=guard.name,
            metric=guard.metric,
            direction=guard.direction,
            may_worsen=guard.may_worsen,
            holds=proof.improved,
            measured=found is not None,
            reason=proof.reason,
            change=proof.improvement,
            interval=proof.interval,
            by_host=proof.by_host,
            evidence=proof.evidence,
            interim_analyses=proof.interim_analyses,
            dropped=tuple(dropped),
        )
