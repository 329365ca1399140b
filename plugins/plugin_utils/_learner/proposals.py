# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Where candidates come from, before the acquisition chooses among them. Points have shape (n, space.size)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._study.space import SearchSpace

Numbers = NDArray[np.float64]

_MUTANTS = 192
_ANYWHERE = 64
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


def special(space: SearchSpace, leader: Numbers, own: Numbers | None) -> Numbers:
    """The leader with one axis at an end of its range, at any of its choices, or back at the host's own value."""
    found = []
    for at, axis in enumerate(space.axes):
        values = [axis.encode(n) for n in range(len(axis.choices))] if axis.choices else [0.0, 1.0]
        for value in values + ([] if own is None else [float(own[at])]):
            found.append(leader.copy())
            found[-1][at] = value
    return np.array(found)


def pool(
    space: SearchSpace,
    leaders: Numbers,
    own: Numbers | None,
    proposed: Numbers,
    generator: np.random.Generator,
) -> Numbers:
    """What may be evaluated next, no two alike: the policy's proposals, what lies around the leaders, and anything."""
    parts = [
        leaders,
        proposed,
        around(space, leaders, _MUTANTS, generator),
        special(space, leaders[0], own),
        generator.random((_ANYWHERE, space.size)),
    ]
    found: Numbers = np.unique(space.settle(np.concatenate(parts)), axis=0)
    return found
