# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Repeating a trial that other virtual machines disturbed, as the host's steal time shows."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from .._trial.trial import State, Trial

# A share of all CPU time, and a multiple of what is usual on the host.
_STOLEN, _ABOVE_USUAL = 0.05, 3.0
_REPETITIONS = 2
_LATEST = 10  # trials that tell what is usual


@dataclass
class Repetition:
    """Of the trials on one host."""

    _usual: deque[float] = field(default_factory=lambda: deque(maxlen=_LATEST))

    def undisturbed(
        self, run: Callable[[], Trial], show: Callable[[str], None], is_cancelled: Callable[[], bool] = lambda: False
    ) -> Trial:
        """The trial, repeated while other virtual machines took much of the CPU time; the least disturbed run counts.

        Which one counts depends on the steal alone, not on the metric, so that no candidate is favoured; and one that
        fails has failed. Where the steal is unknown, nothing is repeated.
        """
        limit = max(_STOLEN, _ABOVE_USUAL * median(self._usual)) if self._usual else _STOLEN
        began, runs = time.monotonic(), [run()]
        while runs[-1].state == State.COMPLETE and not is_cancelled():
            stolen = runs[-1].health.get("steal", 0.0)
            if stolen < limit:
                break
            said = f"other virtual machines took {100 * stolen:.0f} % of the CPU time of this trial (steal)"
            if len(runs) > _REPETITIONS:
                show(f"{said}: of its {len(runs)} runs, the least disturbed one counts")
                break
            show(f"{said}: it is run again")
            runs.append(run())
        trial = runs[-1] if runs[-1].state != State.COMPLETE else min(runs, key=_steal)
        if len(runs) > 1:
            trial.seconds["repetitions"] = round(time.monotonic() - began - sum(trial.seconds.values()), 4)
        if trial.state == State.COMPLETE and "steal" in trial.health:
            self._usual.append(trial.health["steal"])
        return trial


def _steal(trial: Trial) -> float:
    return trial.health.get("steal", math.inf)
