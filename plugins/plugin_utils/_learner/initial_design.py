# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The candidates that are tried before there is anything to learn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.stats import qmc

from .._study.presets import expert_settings
from .._study.space import Candidate, SearchSpace, Value
from .._trial.trial import Trial
from .protocols import Algorithm, Project, Proposal


def initial_design(
    space: SearchSpace, budget: int, starting_candidates: Sequence[Proposal], seed: int
) -> list[Proposal]:
    """The starting candidates, at most a third, then a Sobol design; in all a quarter of the budget, or less."""
    size = max(min(budget // 4, 2 * space.size + 2), min(budget, 4))
    points = space.snap(qmc.Sobol(space.size, seed=seed).random_base2(max(size - 1, 1).bit_length()))
    designed = [Proposal(space.decode(point), "the initial design") for point in points]
    return [*starting_candidates[: size // 3], *designed][:size]


def starting_candidates(space: SearchSpace, original: Mapping[str, Value]) -> list[Proposal]:
    """The expert settings of the parameters in the space; all others keep their original values."""
    base = space.encode(original)
    found: list[Proposal] = []
    for name, values in expert_settings(space.parameters).items():
        point = space.encode({**original, **values})
        candidate = space.decode(point)
        if not np.array_equal(point, base) and candidate not in [proposal.candidate for proposal in found]:
            found.append(Proposal(candidate, name))
    return found


class DesignFirst:
    """An `Algorithm` that proposes a design, and then what another algorithm proposes, which has seen the same trials.

    following: makes the other one when it is first needed: importing torch takes seconds, and a study that the design
    fills does without.
    """

    def __init__(self, design: Sequence[Proposal], following: Callable[[], Algorithm]) -> None:
        self._design, self._make = list(design), following
        self._following: Algorithm | None = None
        self._observed: list[Trial] = []
        self._asked = 0
        self.expected_gain: float | None = None
        self.proposed_by = ""

    def ask(self, project: Project, pending: Sequence[Candidate]) -> Candidate:
        index, self._asked = self._asked, self._asked + 1
        if index < len(self._design):
            self.proposed_by = self._design[index].by
            return project(dict(self._design[index].candidate))
        if self._following is None:
            self._following = self._make()
            for trial in self._observed:
                self._following.observe(trial)
        candidate = self._following.ask(project, pending)
        self.expected_gain, self.proposed_by = self._following.expected_gain, self._following.proposed_by
        return candidate

    def observe(self, trial: Trial) -> None:
        if self._following is None:
            self._observed.append(trial)
        else:
            self._following.observe(trial)
