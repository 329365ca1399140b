# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The first batch: what is tried before there is anything to learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import qmc

from .._study.presets import EXPERT_SETTINGS
from .._study.space import Candidate, SearchSpace, Value


def first_batch(space: SearchSpace, budget: int, starts: Sequence[Candidate], seed: int) -> list[Candidate]:
    """A Sobol design over the space, led by what others recommend; about a quarter of the budget, or less."""
    size = max(min(budget // 4, 2 * space.size + 2), min(budget, 4))
    design = qmc.Sobol(space.size, seed=seed).random_base2(max(size - 1, 1).bit_length())
    points = space.snap(design)
    led = [dict(start) for start in starts][: size // 3]
    return [*led, *(space.decode(point) for point in points)][:size]


def starting_candidates(space: SearchSpace, own: Mapping[str, Value]) -> list[Candidate]:
    """What experts recommend for these parameters; all others keep the host's own values. Settings that change nothing
    are left out.
    """
    base = space.encode(own)
    found: list[Candidate] = []
    for values in EXPERT_SETTINGS.values():
        known = {parameter: value for parameter, value in values.items() if parameter in space.parameters}
        point = space.encode({**own, **known})
        candidate = space.decode(point)
        if known and not np.array_equal(point, base) and candidate not in found:
            found.append(candidate)
    return found
