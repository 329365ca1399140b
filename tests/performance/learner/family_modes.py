# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Modes: choices and switches decide which values of the numbers are best.

Congestion controls want other buffers, schedulers other quanta: each combination of two choices is a mode with a best
point and a height of its own. A good mode with the numbers of another one looks bad.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Axis

from .shapes import Effect, Numbers, Random, chosen


def effects(axes: Sequence[Axis], active: Sequence[int], random: Random) -> list[Effect]:
    numeric, choices = [i for i in active if not axes[i].choices], [i for i in active if axes[i].choices]
    deciding, others = choices[:2], choices[2:]
    counts = [len(axes[i].choices) for i in deciding]
    modes = int(np.prod(counts, dtype=int))
    centres = random.uniform(0, 1, (modes, len(numeric)))
    tops, widths = random.uniform(0, 1, modes), random.uniform(0.3, 0.8, len(numeric))

    def of(x: Numbers) -> Numbers:
        mode = np.zeros(len(x), dtype=int)
        for i, count in zip(deciding, counts, strict=True):
            mode = mode * count + np.minimum((x[:, i] * count).astype(int), count - 1)
        distance = (((x[:, numeric] - centres[mode]) / widths) ** 2).sum(axis=1)
        found: Numbers = 0.5 * tops[mode] + np.exp(-distance)
        return found

    return [Effect("mode", 1.0, (*numeric, *deciding), of), *(chosen(axes, i, 0.1, 0.4, random) for i in others)]
