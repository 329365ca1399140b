# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Sines: bumps, knees and steps, every two of them with a sine between, and a bad region beside the best point.

In that region the metric falls to a third without a failure. The region is a box around the best point of some numbers,
of which it takes one side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Axis

from .shapes import Curve, Effect, Numbers, Random, heights
from .surfaces import Surface, calibrate


def effects(axes: Sequence[Axis], active: Sequence[int], random: Random) -> list[Effect]:
    found = [Effect("main", random.exponential(1.0), (i,), _main(axes[i], i, random)) for i in active]
    for i, j in pairwise(active):
        found.append(Effect("sine", random.uniform(0.1, 0.4), (i, j), _sine(i, j, random)))
    return found


def with_bad_region(surface: Surface, random: Random) -> Surface:
    """The surface with its region, which ends just beside the best point and does not contain the default."""
    best, default = (surface.space.encode(values) for values in (surface.best, surface.default))
    active = {i for effect in surface.effects for i in effect.axes}
    numeric = [i for i in sorted(active) if not surface.space.axes[i].choices]
    chosen = random.permutation(numeric)[:2]
    sides = np.where(best[chosen] < 0.5, 1.0, -1.0)
    gaps = random.uniform(0.03, 0.1, len(chosen))

    def bad(x: Numbers) -> Numbers:
        inside: Numbers = ((x[:, chosen] - best[chosen]) * sides > gaps).all(axis=1).astype(float)
        return inside

    if bad(default[None, :])[0]:
        sides = -sides
    region = Effect("bad region", -math.log(3) / surface.scale, tuple(int(i) for i in chosen), bad)
    whole = replace(surface, effects=[*surface.effects, region])
    return calibrate(whole, surface.optimum, random, default=surface.default)


def _main(axis: Axis, i: int, random: Random) -> Curve:
    if axis.choices:
        of = heights(axis, random)
        return lambda x: of(x[:, i])
    centre, width, kind = random.uniform(0, 1), random.uniform(0.1, 0.4), random.integers(3)
    if kind == 0:
        return lambda x: np.exp(-(((x[:, i] - centre) / width) ** 2))
    if kind == 1:
        return lambda x: np.minimum(x[:, i] / max(centre, 0.1), 1.0)
    up = random.random() < 0.5
    return lambda x: ((x[:, i] > centre) == up).astype(float)


def _sine(i: int, j: int, random: Random) -> Curve:
    waves, phase = random.uniform(0.5, 1.5, 2), random.uniform(0, 1)
    return lambda x: 0.5 + 0.5 * np.sin(2 * np.pi * (waves[0] * x[:, i] + waves[1] * x[:, j] + phase))
