# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What lies around a candidate, for the acquisition to choose among. Points have shape (n, space.size)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._study.space import SearchSpace

Numbers = NDArray[np.float64]

_NARROWEST, _WIDEST = 0.01, 0.5
_CROSSED = 0.2


def around(space: SearchSpace, leaders: Numbers, count: int, generator: np.random.Generator) -> Numbers:
    """`count` mutants of the leaders: one or a few axes are moved, mostly a little, or take another leader's value."""
    shape = (count, space.size)
    parents = leaders[generator.integers(len(leaders), size=count)]
    others = leaders[generator.integers(len(leaders), size=count)]
    changed = generator.random(shape) < generator.choice([1.0, 2.0, 4.0], size=(count, 1)) / space.size
    changed[np.arange(count), generator.integers(space.size, size=count)] = True
    width = np.exp(generator.uniform(np.log(_NARROWEST), np.log(_WIDEST), size=(count, 1)))
    moved = parents + width * generator.normal(size=shape)
    # A choice has no neighbours: any other is as near.
    choices = np.array([bool(axis.choices) for axis in space.axes])
    moved = np.where(choices, generator.random(shape), moved)
    if len(leaders) > 1:
        moved = np.where(generator.random((count, 1)) < _CROSSED, others, moved)
    return np.clip(np.where(changed, moved, parents), 0.0, 1.0)
