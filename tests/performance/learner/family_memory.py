# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Memory: caches whose misses follow a power law, thresholds that act at once, and reclaim storms.

Numbers reserve memory for caches; what they bring falls with the size (miss ratio c^-a). Together they must leave room:
beyond that, the host reclaims in every request, and most of the throughput is lost without a failure. Other parameters
are watermarks, which do nothing but at their thresholds, and policies, of which one suits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Axis

from .shapes import Curve, Effect, Random, chosen


def effects(axes: Sequence[Axis], active: Sequence[int], random: Random) -> list[Effect]:
    numeric = [i for i in active if not axes[i].choices]
    caches = numeric[: max(2, (len(numeric) + 1) // 2)]
    found = [Effect("cache", float(np.exp(random.normal(0, 0.6))), (i,), _cache(i, random)) for i in caches]
    found += [
        Effect("watermark", random.uniform(0.2, 0.8), (i,), _watermark(i, random)) for i in numeric[len(caches) :]
    ]
    found += [chosen(axes, i, 0.2, 0.8, random) for i in active if axes[i].choices]
    sizes, room = random.uniform(0.5, 1.5, len(caches)), random.uniform(0.45, 0.75)
    limit = room * sizes.sum()
    storm = Effect(
        "storm", -random.uniform(1, 2), tuple(caches), lambda x: (x[:, caches] @ sizes > limit).astype(float)
    )
    return [*found, storm]


def _cache(i: int, random: Random) -> Curve:
    smallest, power = np.exp(random.uniform(-4, -2)), random.uniform(0.3, 0.8)
    return lambda x: (1 - ((x[:, i] + smallest) / smallest) ** -power) / (1 - ((1 + smallest) / smallest) ** -power)


def _watermark(i: int, random: Random) -> Curve:
    low, high = np.sort(random.uniform(0.1, 0.9, 2))
    return lambda x: 0.5 * (x[:, i] > low) + 0.5 * (x[:, i] < high)
