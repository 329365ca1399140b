# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""When training may end before its budget is spent: neither the latest evaluations nor the surrogate promise more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from .._trial.reward import percent

_LEAST = 16
_LEAST_SHARE = 1 / 3  # of the budget
_LATELY = 1 / 5  # of the budget
_BEST = 3  # so many of the best are averaged: the best alone is mostly lucky


@dataclass(frozen=True)
class Stopping:
    """The rule for one study.

    budget: the training evaluations it may take. size: of its search space. margin: what does not matter, a log ratio.
    """

    budget: int
    size: int
    margin: float

    @property
    def lately(self) -> int:
        """So many evaluations without a gain say that there is none; without a surrogate, twice as many."""
        return max(round(self.budget * _LATELY), 2 * self.size, _LEAST // 2)

    def reason(self, performances: Sequence[float | None], promise: float | None) -> str | None:
        """Why training may end now, or None.

        performances: of all training evaluations so far, as log ratios, None being failures. promise: by how much more
        the surrogate hopes to gain with what was not tried yet, a log ratio; None of a learner without one, or while
        it predicts badly.
        """
        lately = self.lately * (1 if promise is not None else 2)
        done = len(performances)
        if done >= self.budget or done < max(_LEAST, self.budget * _LEAST_SHARE, lately + _BEST):
            return None
        gain = _best(performances) - _best(performances[:-lately])
        if gain > self.margin or (promise is not None and promise > self.margin):
            return None
        hope = "" if promise is None else f", and the surrogate hopes for {max(percent(promise), 0.0):.2g} % at most"
        return (
            f"the last {lately} evaluations brought {max(percent(gain), 0.0):.2g} % more{hope}, where "
            f"{percent(self.margin):.2g} % would matter"
        )


def _best(performances: Sequence[float | None]) -> float:
    """The mean of the best few; staying with the baseline, which brings 0, is always possible."""
    worked = sorted((performance for performance in performances if performance is not None), reverse=True)[:_BEST]
    return max(fmean(worked), 0.0) if len(worked) == _BEST else 0.0
