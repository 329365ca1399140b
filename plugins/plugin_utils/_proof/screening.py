# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What each parameter of a candidate is worth, told from few evaluations.

Pairs of evaluations on one host: one half of the parameters has the candidate's values and the other half the host's
own, then the other way round. So every evaluation says something of every parameter, drift and host cancel, and each
share is known as well as if all pairs had been spent on it alone (a two-level design of Hadamard's, folded over:
Plackett and Burman, Biometrika 33, 1946; what two parameters do only together is shared between them). Where there are
more parameters than pairs, groups of them change together, and those that matter are split (sequential bifurcation:
Bettonvil and Kleijnen, EJOR 96, 1997).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.linalg import hadamard

from .._evaluation.evaluation import Evaluation, Job
from .._study.space import Value
from .linked import Unit
from .missed import PAIRS
from .verification import Measure

# The chance that any parameter which does nothing is kept for luck; and that one worth it is known not to be.
_ERROR = 0.1
_FURTHEST = 5.0

Group = tuple[Unit, ...]


@dataclass(frozen=True)
class Swap:
    """Evidence: a pair of evaluations, one with the winner's values of `these`, one with those of `others` instead.

    ratio: how much better the first one was, as a log ratio.
    """

    host: str
    pair: int
    these: tuple[str, ...]
    others: tuple[str, ...]
    ratio: float


class Screening:
    """Swaps, and what they say of each unit of parameters.

    values_on: the values of a host that keeps these parameters and has its own of the others. figure: see reward.py.
    noise: variance of a swap's ratio and its degrees of freedom, as far as is known before. worth: the log ratio that
    all units together must bring to be worth keeping.
    """

    def __init__(
        self,
        values_on: Callable[[str, Sequence[str]], Mapping[str, Value]],
        figure: Callable[[Evaluation], float | None],
        *,
        noise: tuple[float, int],
        worth: float,
        seed: int,
    ) -> None:
        self._values_on, self._figure, self._worth = values_on, figure, worth
        self._variance, self._freedom = noise
        self._generator = np.random.default_rng([seed, 1])
        self._units = 1
        self._present: list[str] = []
        self.pairs = 0
        self.swaps: list[Swap] = []

    def run(self, changed: Sequence[Unit], hosts: Sequence[str], measure: Measure, budget: int) -> list[Unit]:
        """Those that are worth keeping: swaps until all is decided, or `budget` pairs are used up."""
        self._units = len(changed)
        most = 1 << (budget.bit_length() - 1)
        most = min(most if len(changed) <= most else most // 2, len(changed))
        groups: list[Group] = [tuple(changed[at::most]) for at in range(most)]
        kept: list[Unit] = []
        self._present = list(hosts)
        while groups and self._present and self.pairs + _size(groups) <= budget:
            self._swap(groups, kept, measure)
            undecided: list[Group] = []
            for group in groups:
                needed = self._is_needed(group)
                if needed and len(group) > 1:
                    undecided += [group[: len(group) // 2], group[len(group) // 2 :]]
                elif needed:
                    kept += group
                elif needed is None:
                    undecided.append(group)
            groups = undecided
        return kept + [unit for group in groups for unit in group if self._is_needed(group)]

    def with_and_without(self, units: Sequence[Unit], kept: Sequence[Unit], measure: Measure) -> list[float]:
        """PAIRS swaps of all these at once, beside what is kept: log ratios, above 0 where they are missed."""
        if not self._present:
            return []
        before = len(self.swaps)
        self._swap([tuple(units)], kept, measure)
        return [swap.ratio if swap.these else -swap.ratio for swap in self.swaps[before:]]

    def share(self, unit: Unit) -> float:
        """What the unit brings, as a log ratio."""
        return self._estimate(unit)[0]

    def estimate(self, parameters: Sequence[str], confidence: float) -> tuple[float, tuple[float, float]]:
        """What these bring, as a log ratio, with its interval; the equal part, where they only changed with others.

        Least squares with the smallest norm: a swap's ratio is the sum of all that changed one way, less the rest.
        """
        value, error, freedom = self._estimate(parameters)
        reach = error * float(stats.t.isf((1 - confidence) / 2, freedom))
        return value, (max(value - reach, -_FURTHEST), min(value + reach, _FURTHEST))

    def _is_needed(self, group: Group) -> bool | None:
        """None if that is not known yet."""
        value, error, freedom = self._estimate([parameter for unit in group for parameter in unit])
        worth = self._worth / self._units
        if value > worth and value > error * float(stats.t.isf(_ERROR / self._units, freedom)):
            return True
        return False if value + error * float(stats.t.isf(_ERROR, freedom)) < worth else None

    def _swap(self, groups: Sequence[Group], kept: Sequence[Unit], measure: Measure) -> None:
        """One row of the design after the other, on one host after the other."""
        size = _size(groups)
        columns = 1 + self._generator.permutation(size - 1)[: len(groups)] if len(groups) < size else np.arange(size)
        signs = hadamard(size)[:, columns] * self._generator.choice([-1, 1], len(groups))
        always = [parameter for unit in kept for parameter in unit]
        jobs: list[Job] = []
        sides: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
        for row in signs:
            self.pairs += 1
            host = self._present[self.pairs % len(self._present)]
            these, others = (
                tuple(p for group, sign in zip(groups, row, strict=True) if sign == side for u in group for p in u)
                for side in (1, -1)
            )
            if self._generator.random() < 0.5:
                these, others = others, these
            jobs += [
                Job("ablate", self._values_on(host, [*always, *each]), host, self.pairs) for each in (these, others)
            ]
            sides.append((these, others))
        evaluations = measure(jobs)
        for (these, others), one, other in zip(sides, evaluations[::2], evaluations[1::2], strict=True):
            before, after = self._figure(other), self._figure(one)
            if before is not None and after is not None:
                self.swaps.append(Swap(one.host, one.job.pair or 0, these, others, after - before))
        gone = {evaluation.host for evaluation in evaluations if not evaluation.took_place}
        self._present = [host for host in self._present if host not in gone]

    def _estimate(self, parameters: Sequence[str]) -> tuple[float, float, float]:
        """Value, standard error, degrees of freedom."""
        names = sorted({name for swap in self.swaps for name in (*swap.these, *swap.others)})
        if not set(parameters) & set(names):
            return 0.0, math.inf, 1.0
        rows = np.array([[(n in swap.these) - (n in swap.others) for n in names] for swap in self.swaps], dtype=float)
        ratios = np.array([swap.ratio for swap in self.swaps])
        wanted = np.array([name in parameters for name in names], dtype=float)
        inverse = np.linalg.pinv(rows.T @ rows)
        shares = inverse @ rows.T @ ratios
        more = len(rows) - int(np.linalg.matrix_rank(rows))
        rest = float(((ratios - rows @ shares) ** 2).sum()) if more else 0.0
        freedom = self._freedom + more
        variance = (self._variance * self._freedom + rest) / freedom if freedom else math.inf
        return float(wanted @ shares), math.sqrt(variance * float(wanted @ inverse @ wanted)), max(freedom, 1)


def _size(groups: Sequence[Group]) -> int:
    return max(PAIRS, 1 << (len(groups) - 1).bit_length())
