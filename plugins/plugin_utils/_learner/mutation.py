# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Mutants of good candidates, for the acquisition function to choose from."""

from __future__ import annotations

import numpy as np

from .._study.space import Numbers, SearchSpace

_SMALLEST, _LARGEST = 0.01, 0.5  # standard deviations of the steps
_CROSSOVER = 0.2


def mutate(space: SearchSpace, parents: Numbers, count: int, generator: np.random.Generator) -> Numbers:
    """`count` mutants of the parents, shape (count, space.size).

    One axis or a few are moved, mostly by little, or take another parent's value.
    """
    shape = (count, space.size)
    chosen = parents[generator.integers(len(parents), size=count)]
    others = parents[generator.integers(len(parents), size=count)]
    changed = generator.random(shape) < generator.choice([1.0, 2.0, 4.0], size=(count, 1)) / space.size
    changed[np.arange(count), generator.integers(space.size, size=count)] = True
    scale = np.exp(generator.uniform(np.log(_SMALLEST), np.log(_LARGEST), size=(count, 1)))
    moved = chosen + scale * generator.normal(size=shape)
    # Choices have no order: every other one is equally near.
    moved = np.where([bool(axis.choices) for axis in space.axes], generator.random(shape), moved)
    if len(parents) > 1:
        moved = np.where(generator.random((count, 1)) < _CROSSOVER, others, moved)
    return np.clip(np.where(changed, moved, chosen), 0.0, 1.0)
