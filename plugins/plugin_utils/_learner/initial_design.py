# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The candidates that are tried before there is anything to learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import qmc

from .._study.presets import EXPERT_SETTINGS
from .._study.space import Candidate, SearchSpace, Value


def initial_design(
    space: SearchSpace, budget: int, starting_candidates: Sequence[Candidate], seed: int
) -> list[Candidate]:
    """The starting candidates, at most a third, then a Sobol design; in all a quarter of the budget, or less."""
    size = max(min(budget // 4, 2 * space.size + 2), min(budget, 4))
    points = space.snap(qmc.Sobol(space.size, seed=seed).random_base2(max(size - 1, 1).bit_length()))
    first = [dict(candidate) for candidate in starting_candidates[: size // 3]]
    return [*first, *(space.decode(point) for point in points)][:size]


def starting_candidates(space: SearchSpace, original: Mapping[str, Value]) -> list[Candidate]:
    """The expert settings of the parameters in the space; all others keep their original values."""
    base = space.encode(original)
    found: list[Candidate] = []
    for setting in EXPERT_SETTINGS.values():
        values = {name: value for name, value in setting.items() if name in space.parameters}
        point = space.encode({**original, **values})
        candidate = space.decode(point)
        if not np.array_equal(point, base) and candidate not in found:
            found.append(candidate)
    return found
