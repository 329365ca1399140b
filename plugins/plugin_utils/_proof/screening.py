# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Screening: the contribution of each of a candidate's parameters, from few runs.

In a paired contrast, half of the parameters have the candidate's values in the first run and the other half in the
second; the rest have the host's original values. So every run informs about every parameter, while drift and host
cancel. The halves follow a folded-over two-level Hadamard design (Plackett and Burman, Biometrika 33, 1946), which
splits an interaction equally between its parameters. With more parameters than pairs, groups of parameters change
together, and groups that matter are split (sequential bifurcation; Bettonvil and Kleijnen, EJOR 96, 1997).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.linalg import hadamard
from scipy.stats import norm

from .._study.space import Value
from .._trial.trial import Phase, Trial
from .coupled import Unit
from .estimate import Estimate
from .evidence import Contrast
from .non_inferiority import PAIRS
from .pairing import Measure, still_present

# Probability that any useless parameter is kept by chance, and that a useful one is judged useless.
_ERROR = 0.1

Group = tuple[Unit, ...]


class Screening:
    """Measures paired contrasts and estimates contributions from them.

    values_on: the values of a host that has the candidate's values of these parameters and its originals otherwise.
    objective: see reward.py. noise: variance of a contrast's log ratio and its degrees of freedom, from earlier pairs.
    min_contribution: the log ratio that all units together must contribute to be kept.
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
        self._units = 1
        self._present: list[str] = []
        self.pairs = 0
        self.contrasts: list[Contrast] = []

    def run(self, changed: Sequence[Unit], hosts: Sequence[str], measure: Measure, budget: int) -> list[Unit]:
        """The units worth keeping; measures until all are decided or `budget` pairs are spent."""
        self._units = len(changed)
        most = 1 << (budget.bit_length() - 1)
        most = min(most if len(changed) <= most else most // 2, len(changed))
        groups: list[Group] = [tuple(changed[at::most]) for at in range(most)]
        kept: list[Unit] = []
        self._present = list(hosts)
        while groups and self._present and self.pairs + _design_size(groups) <= budget:
            self._measure(groups, kept, measure)
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
        """The log ratios of PAIRS contrasts with all these units against without them, beside `kept`."""
        if not self._present:
            return []
        before = len(self.contrasts)
        self._measure([tuple(units)], kept, measure)
        return [each.log_ratio if each.first else -each.log_ratio for each in self.contrasts[before:]]

    def estimate(self, parameters: Sequence[str]) -> Estimate:
        """The joint contribution of these parameters; equal shares where they only changed with others.

        Minimum-norm least squares: a contrast's log ratio is the sum over its first list less that over its second.
        """
        names = sorted({name for each in self.contrasts for name in (*each.first, *each.second)})
        if not set(parameters) & set(names):
            return Estimate(0.0, math.inf, 1.0)
        design = np.array([[(n in each.first) - (n in each.second) for n in names] for each in self.contrasts], float)
        log_ratios = np.array([each.log_ratio for each in self.contrasts])
        wanted = np.array([name in parameters for name in names], float)
        inverse = np.linalg.pinv(design.T @ design)
        effects = inverse @ design.T @ log_ratios
        residual_freedom = len(design) - int(np.linalg.matrix_rank(design))
        residuals = float(((log_ratios - design @ effects) ** 2).sum()) if residual_freedom else 0.0
        freedom = self._freedom + residual_freedom
        variance = (self._variance * self._freedom + residuals) / freedom if freedom else math.inf
        return Estimate(
            float(wanted @ effects), math.sqrt(variance * float(wanted @ inverse @ wanted)), max(freedom, 1)
        )

    def _is_needed(self, group: Group) -> bool | None:
        """None while undecided."""
        estimate = self.estimate([parameter for unit in group for parameter in unit])
        least = self._min_contribution / self._units
        if estimate.mean > least and estimate.interval(float(norm.isf(_ERROR / self._units)))[0] > 0:
            return True
        return False if estimate.interval(float(norm.isf(_ERROR)))[1] < least else None

    def _measure(self, groups: Sequence[Group], kept: Sequence[Unit], measure: Measure) -> None:
        """Measure one contrast per row of the design, on one host after the other."""
        size = _design_size(groups)
        columns = 1 + self._generator.permutation(size - 1)[: len(groups)] if len(groups) < size else np.arange(size)
        signs = hadamard(size)[:, columns] * self._generator.choice([-1, 1], len(groups))
        always = [parameter for unit in kept for parameter in unit]
        pending: list[Trial] = []
        sides: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
        for row in signs:
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
    return max(PAIRS, 1 << (len(groups) - 1).bit_length())
