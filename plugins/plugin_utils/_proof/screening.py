# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Screening: the contribution of each of a candidate's parameters, from few runs.

In a paired contrast, half of the parameters have the candidate's values in the first run and the other half in the
second; the rest have the host's original values. So every run informs about every parameter, while drift and host
cancel. The halves follow a folded-over two-level Hadamard design (Plackett and Burman, Biometrika 33, 1946), which
splits an interaction equally between its parameters. With more parameters than pairs, groups of parameters change
together, and groups that matter are split (sequential bifurcation; Bettonvil and Kleijnen, EJOR 96, 1997).

A contribution is shown if it is above 0 with a false discovery rate of `_DISCOVERY` over all units (Benjamini and
Hochberg, JRSS B 57, 1995), and at least what matters. Units that never moved apart have one contribution, which shows
neither.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.linalg import hadamard
from scipy.stats import false_discovery_control, norm, t

from .._study.sections import largest_design
from .._study.space import Value
from .._trial.trial import Phase, Trial
from .coupled import Unit
from .estimate import Estimate
from .evidence import Contrast
from .pairing import Measure, still_present

_DISCOVERY = 0.05  # the part of the units said to contribute that may do nothing
_ERROR = 0.1  # probability of giving up a useful unit early, or of deciding early that a useless one is needed
_PAIRS = 4  # at least, between two decisions
_DECISIONS = 4  # over which the error is spread

Group = tuple[Unit, ...]


class Screening:
    """Measures paired contrasts and estimates contributions from them.

    values_on: the values of a host that has the candidate's values of these parameters and its originals otherwise.
    objective: see reward.py. noise: variance of a contrast's log ratio and its degrees of freedom, from earlier pairs.
    min_contribution: the smallest log ratio that matters. unseparated: groups that contribute, but were not split
    before the pairs ran out.
    """

    def __init__(
        self,
        values_on: Callable[[str, Sequence[str]], Mapping[str, Value]],
        objective: Callable[[Trial], float | None],
        *,
        noise: tuple[float, int],
        min_contribution: float,
        seed: int,
    ) -> None:
        self._values_on, self._objective, self._min_contribution = values_on, objective, min_contribution
        self._variance, self._freedom = noise
        self._generator = np.random.default_rng([seed, 1])
        self._units: Sequence[Unit] = ()
        self._present: list[str] = []
        self.pairs = 0
        self.contrasts: list[Contrast] = []
        self.unseparated: list[Group] = []

    def run(
        self, changed: Sequence[Unit], hosts: Sequence[str], measure: Measure, budget: int, splitting: int = 0
    ) -> list[Unit]:
        """The units shown to contribute; measures until all are decided or `budget` pairs are spent.

        splitting: further pairs to split groups that contribute.
        """
        self._units, self._present = changed, list(hosts)
        most = largest_design(budget)
        most = min(most if len(changed) <= most else most // 2, len(changed))
        groups: list[Group] = [tuple(changed[at::most]) for at in range(most)]
        shown: list[Unit] = []
        parts: set[Group] = set()  # of groups that contribute
        while groups and self._present:
            left = budget - self.pairs
            if left < _PAIRS:
                left, groups = left + splitting, [group for group in groups if group in parts]
            if left < _PAIRS or not groups:
                break
            self._measure(groups, shown, measure, min(_design_size(groups), left))
            undecided: list[Group] = []
            for group in groups:
                needed = self._is_needed(group)
                if needed and len(group) > 1:
                    halves = group[: len(group) // 2], group[len(group) // 2 :]
                    undecided += halves
                    parts.update(halves)
                elif needed:
                    shown += group
                elif needed is None:
                    undecided.append(group)
            groups = undecided
        self.unseparated = self._unseparated()
        discoveries = self._discoveries()
        return [unit for unit in changed if unit in shown or unit in discoveries]

    def estimate(self, parameters: Sequence[str]) -> Estimate:
        """The joint contribution of these parameters, by least squares; of infinite error if it cannot be known.

        A contrast's log ratio is the sum over its first list less that over its second.
        """
        names = sorted({name for each in self.contrasts for name in (*each.first, *each.second)})
        wanted = np.array([name in parameters for name in names], float)
        design = np.array([[(n in each.first) - (n in each.second) for n in names] for each in self.contrasts], float)
        if not wanted.any():
            return Estimate(0.0, math.inf, 1.0)
        inverse = np.linalg.pinv(design)
        if not np.allclose(inverse @ design @ wanted, wanted, atol=1e-6):
            return Estimate(0.0, math.inf, 1.0)
        log_ratios = np.array([each.log_ratio for each in self.contrasts])
        effects, weights = inverse @ log_ratios, wanted @ inverse
        residual_freedom = len(design) - int(np.linalg.matrix_rank(design))
        residuals = float(((log_ratios - design @ effects) ** 2).sum()) if residual_freedom else 0.0
        freedom = self._freedom + residual_freedom
        variance = (self._variance * self._freedom + residuals) / freedom if freedom else math.inf
        return Estimate(float(wanted @ effects), math.sqrt(variance * float(weights @ weights)), max(freedom, 1))

    def moved_with(self, unit: Unit) -> tuple[str, ...]:
        """The parameters that were on the same side as this unit in every contrast, its own included."""
        sides = [(each.first, each.second) for each in self.contrasts]

        def moves(name: str) -> list[int]:
            return [(name in first) - (name in second) for first, second in sides]

        own = moves(unit[0])
        return tuple(name for other in self._units for name in other if other == unit or moves(name) == own)

    def _is_needed(self, group: Group) -> bool | None:
        """None while undecided."""
        estimate = self.estimate(_names(group))
        least = self._min_contribution
        error = _ERROR / (max(len(self._units), 1) * _DECISIONS)
        if estimate.mean > least and estimate.interval(float(norm.isf(error)))[0] > 0:
            return True
        return False if estimate.interval(float(norm.isf(_ERROR)))[1] < least else None

    def _discoveries(self) -> list[Unit]:
        """The units that moved alone and whose contribution is shown."""
        found = [self.estimate(unit) for unit in self._units]  # if it moved with others, of infinite error: p is 0.5
        rates = false_discovery_control([_p_value(estimate) for estimate in found])
        return [
            unit
            for unit, estimate, rate in zip(self._units, found, rates, strict=True)
            if rate <= _DISCOVERY and estimate.mean >= self._min_contribution
        ]

    def _unseparated(self) -> list[Group]:
        """The groups that never moved apart and contribute together."""
        groups = dict.fromkeys(tuple(self.moved_with(unit)) for unit in self._units)
        found = [tuple(unit for unit in self._units if set(unit) <= set(names)) for names in groups]
        return [group for group in found if len(group) > 1 and self._is_needed(group)]

    def _measure(self, groups: Sequence[Group], kept: Sequence[Unit], measure: Measure, rows: int) -> None:
        """Measure one contrast per row of the design, on one host after the other."""
        size = _design_size(groups)
        columns = 1 + self._generator.permutation(size - 1)[: len(groups)] if len(groups) < size else np.arange(size)
        signs = hadamard(size)[:, columns] * self._generator.choice([-1, 1], len(groups))
        always = _names(kept)
        pending: list[Trial] = []
        sides: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
        for row in signs[self._generator.permutation(size)[:rows]]:
            self.pairs += 1
            host = self._present[self.pairs % len(self._present)]
            first, second = (
                tuple(p for group, sign in zip(groups, row, strict=True) if sign == side for u in group for p in u)
                for side in (1, -1)
            )
            if self._generator.random() < 0.5:
                first, second = second, first
            pending += [
                Trial.pending(Phase.ABLATE, self._values_on(host, [*always, *each]), host, self.pairs)
                for each in (first, second)
            ]
            sides.append((first, second))
        trials = measure(pending)
        for (first, second), one, other in zip(sides, trials[::2], trials[1::2], strict=True):
            better, worse = self._objective(one), self._objective(other)
            if better is not None and worse is not None:
                pair = one.pair or 0
                contrast = Contrast(host=one.host, pair=pair, first=first, second=second, log_ratio=better - worse)
                self.contrasts.append(contrast)
        self._present = still_present(self._present, trials)


def _design_size(groups: Sequence[Group]) -> int:
    return max(_PAIRS, 1 << (len(groups) - 1).bit_length())


def _names(units: Sequence[Unit]) -> list[str]:
    return [name for unit in units for name in unit]


def _p_value(estimate: Estimate) -> float:
    """One-sided, that the contribution is not above 0."""
    if estimate.error == 0:
        return 0.0 if estimate.mean > 0 else 1.0
    return float(t.sf(estimate.mean / estimate.error, estimate.freedom))
