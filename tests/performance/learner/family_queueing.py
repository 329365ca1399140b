# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Queueing: throughput follows the Universal Scalability Law (Gunther, 2007), and beyond a limit it collapses.

Parameters admit work (backlogs, concurrency) or take a part of its cost away (batching, coalescing, switches). The work
that is admitted in all raises throughput until contention and crosstalk outweigh it, so that no parameter has a best
value of its own. Where the queues overflow, retries take most of the throughput: bad, but nothing fails.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Axis

from .shapes import Effect, Numbers, Random, chosen


def effects(axes: Sequence[Axis], active: Sequence[int], random: Random) -> list[Effect]:
    admitting = [i for i in active if not axes[i].choices]
    exponents = random.dirichlet(np.full(len(admitting), 1.5)) * random.uniform(4, 8)  # of e; the work at the ends
    contention, crosstalk = random.uniform(0.01, 0.1), np.exp(random.uniform(-9, -5))
    limit, depth = random.uniform(0.6, 0.9) * exponents.sum(), random.uniform(0.7, 1.5)

    def throughput(x: Numbers) -> Numbers:
        exponent = x[:, admitting] @ exponents
        work = np.exp(exponent)
        found: Numbers = exponent - np.log(1 + contention * (work - 1) + crosstalk * work * (work - 1))
        return found - depth / (1 + np.exp(-(exponent - limit) / 0.08))

    costs = [chosen(axes, i, 0.1, 0.8, random) for i in active if axes[i].choices]
    return [Effect("throughput", 1.0, tuple(admitting), throughput), *costs]
