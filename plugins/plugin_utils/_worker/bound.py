# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Ending a benchmark whose streamed values show that its candidate will not matter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any


class Bound:
    """What a run must reach to matter, as the trainer has worked it out (see _fleet/futility.py).

    content: `worse`, below or above; `needed`, the metric that the whole run must reach; `looks`, each a number of
    values, the mean of these beyond which the whole run surely stays beyond `needed`, and the factor from that mean to
    the metric of the whole run. estimate: that metric, once the run has been found not to matter.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._sign = 1.0 if content["worse"] == "below" else -1.0
        self._needed = float(content["needed"])
        self._looks = [(int(count), float(mean), float(factor)) for count, mean, factor in content["looks"]]
        self.estimate: float | None = None

    def is_out_of_reach(self, values: Sequence[float]) -> bool:
        """Whether the run may be ended, from all that it has streamed."""
        while self.estimate is None and self._looks and len(values) >= self._looks[0][0]:
            count, mean, factor = self._looks.pop(0)
            seen = values[:count]
            # A run that is on its way up, or one that reaches what is needed now and then, goes on.
            recent = seen[count // 2 :]
            best = max(recent) if self._sign > 0 else min(recent)
            if self._beyond(fmean(seen), mean) and self._beyond(best, self._needed):
                self.estimate = fmean(seen) * factor
        return self.estimate is not None

    def _beyond(self, value: float, limit: float) -> bool:
        return math.isfinite(value) and self._sign * value < self._sign * limit
