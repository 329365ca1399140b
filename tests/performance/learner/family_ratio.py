# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Ratio: two numbers must be in a certain proportion, which leaves a narrow ridge across the space.

Background and foreground thresholds, send and receive buffers: along the ridge performance rises slowly to its best,
beside it most is lost. Numbers without a partner have one best value; choices move the ridge they belong to.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Axis

from .shapes import Effect, Numbers, Random, chosen, heights


def effects(axes: Sequence[Axis], active: Sequence[int], random: Random) -> list[Effect]:
    numeric, choices = [i for i in active if not axes[i].choices], [i for i in active if axes[i].choices]
    pairs = list(zip(numeric[::2], numeric[1::2], strict=False))
    found = []
    for i, j in pairs:
        mover = choices.pop() if choices and random.random() < 0.5 else None
        found.append(_ridge(axes, i, j, mover, random))
    if len(numeric) % 2:
        i, best = numeric[-1], random.uniform(0.1, 0.9)
        found.append(Effect("single", random.uniform(0.2, 0.8), (i,), lambda x: 1 - (x[:, i] - best) ** 2))
    return [*found, *(chosen(axes, i, 0.1, 0.6, random) for i in choices)]


def _ridge(axes: Sequence[Axis], i: int, j: int, mover: int | None, random: Random) -> Effect:
    offset, width = random.uniform(-0.3, 0.3), random.uniform(0.04, 0.15)
    best, fall = random.uniform(0.2, 0.8), random.uniform(0.2, 0.6)
    moves = heights(axes[mover], random) if mover is not None else None

    def of(x: Numbers) -> Numbers:
        moved = offset + (0.2 * moves(x[:, mover]) if moves else 0.0)
        beside, along = x[:, i] - x[:, j] - moved, (x[:, i] + x[:, j]) / 2
        found: Numbers = 1 / (1 + (beside / width) ** 2) - fall * (along - best) ** 2
        return found

    return Effect("ridge", float(np.exp(random.normal(0, 0.5))), (i, j) if mover is None else (i, j, mover), of)
