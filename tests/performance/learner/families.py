# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Families of surfaces, each from another idea of how kernels answer; a quarter to a half of the parameters do nothing.

| family | the parameters that do something |
|---|---|
| curves | those of surfaces.py: random curves, interactions, drops, failures |
| additive | two or three matter, the others a little; no interactions |
| collapse | each helps until it saturates, and beyond a threshold takes most of its gain back |
| bottleneck | in pairs, of which the smaller one decides: neither shows anything on its own |
| queueing | throughput over admitted work, and collapse beyond a limit (family_queueing.py) |
| modes | choices decide which numbers are best (family_modes.py) |
| memory | caches, thresholds, and reclaim storms (family_memory.py) |
| ratio | two numbers must match: narrow ridges (family_ratio.py) |
| sines | bumps, knees, steps, sines, and a bad region beside the best point (family_sines.py) |

The simulated studies of `--roles` use the first four, of which `bottleneck` was held out when race and ablation were
developed. The learner is developed on the others but for the last three, which are only for the published table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Axis

from . import family_memory, family_modes, family_queueing, family_ratio, family_sines
from .shapes import Effect, Numbers, Random, curve, knee, single
from .surfaces import LARGEST_GAIN, SMALLEST_GAIN, Surface, calibrate, draw, idle, space_of

HELD_OUT = "bottleneck"  # from race and ablation
UNSEEN = ("memory", "ratio", "sines")  # by those who develop the learner


def _additive(axes: Sequence[Axis], active: Sequence[int], random: Random) -> list[Effect]:
    large = int(random.integers(2, 4))
    return [
        single(i, curve(axes[i], random)[1], random.uniform(0.5, 1) if at < large else random.uniform(0.02, 0.15))
        for at, i in enumerate(active)
    ]


def _collapse(axes: Sequence[Axis], active: Sequence[int], random: Random) -> list[Effect]:
    return [single(i, _collapsing(axes[i], random), float(np.exp(random.normal(0, 0.8)))) for i in active]


def _collapsing(axis: Axis, random: Random) -> Callable[[Numbers], Numbers]:
    if axis.choices:
        return curve(axis, random)[1]
    rising, limit, lost = knee(random), random.uniform(0.5, 1.1), random.uniform(0.5, 1.5)
    return lambda x: rising(x) - np.where(x > limit, lost, 0.0)


def _bottleneck(axes: Sequence[Axis], active: Sequence[int], random: Random) -> list[Effect]:
    effects = []
    for i, j in zip(active[::2], active[1::2], strict=False):
        one, other = (curve(axes[at], random, chances=(0.5, 0, 0.2, 0, 0.3, 0))[1] for at in (i, j))
        weight = float(np.exp(random.normal(0, 0.6)))
        effects.append(Effect("bottleneck", weight, (i, j), _smaller(i, one, j, other)))
    if len(active) % 2:
        effects.append(single(active[-1], curve(axes[active[-1]], random)[1], random.uniform(0.2, 1)))
    return effects


def _smaller(
    i: int, one: Callable[[Numbers], Numbers], j: int, other: Callable[[Numbers], Numbers]
) -> Callable[[Numbers], Numbers]:
    return lambda x: np.minimum(one(x[:, i]), other(x[:, j]))


_EFFECTS = {
    "additive": _additive,
    "collapse": _collapse,
    "bottleneck": _bottleneck,
    "queueing": family_queueing.effects,
    "modes": family_modes.effects,
    "memory": family_memory.effects,
    "ratio": family_ratio.effects,
    "sines": family_sines.effects,
}
FAMILIES = ("curves", *_EFFECTS)
OF_ROLES = FAMILIES[:4]


def surface_of(family: str, seed: int, parameters: int) -> Surface:
    """The surface of this seed."""
    if family == "curves":
        return draw(seed, parameters)
    random = np.random.default_rng([seed, parameters, 3 + FAMILIES.index(family)])
    space, bound = space_of(parameters, random)
    active = [int(i) for i in random.permutation(parameters)[: parameters - idle(parameters, random)]]
    while family not in OF_ROLES and sum(not space.axes[i].choices for i in active) < 2:
        active = [int(i) for i in random.permutation(parameters)[: len(active)]]
    effects = _EFFECTS[family](space.axes, active, random)
    bare = Surface(f"{family} {parameters}/{seed}", space, {}, effects, [], bound, np.zeros(parameters))
    gain = math.exp(random.uniform(math.log(SMALLEST_GAIN), math.log(LARGEST_GAIN)))
    surface = calibrate(bare, gain, random)
    return family_sines.with_bad_region(surface, random) if family == "sines" else surface


def without_effect(surface: Surface) -> set[str]:
    """The parameters that do nothing."""
    active = {i for effect in surface.effects for i in effect.axes}
    return {axis.parameter for at, axis in enumerate(surface.space.axes) if at not in active}
