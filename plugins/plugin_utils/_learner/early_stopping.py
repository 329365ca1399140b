# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""When training ends before its budget is spent: no recent improvement, and none predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from .._trial.reward import percent

_MIN_TRIALS = 16
_MIN_FRACTION = 1 / 3  # of the budget
_WINDOW = 1 / 5  # of the budget
_BEST = 3  # the mean of so many: the best one alone is usually lucky


@dataclass(frozen=True)
class EarlyStopping:
    """The rule for one study.

    budget: its training trials. size: the dimension of its search space. margin: the smallest log ratio that matters.
    """

    budget: int
    size: int
    margin: float

    @property
    def window(self) -> int:
        """How many trials without improvement end the training; without a prediction, twice as many."""
        return max(round(self.budget * _WINDOW), 2 * self.size, _MIN_TRIALS // 2)

    def reason(self, performances: Sequence[float | None], expected_gain: float | None) -> str | None:
        """Why training should end now, or None.

        performances: log ratios of all training trials so far, None for failures. expected_gain: the improvement that
        the surrogate expects from the next candidate, a log ratio; None without a surrogate that predicts well.
        """
        window = self.window * (1 if expected_gain is not None else 2)
        done = len(performances)
        if done >= self.budget or done < max(_MIN_TRIALS, self.budget * _MIN_FRACTION, window + _BEST):
            return None
        gain = _best(performances) - _best(performances[:-window])
        if gain > self.margin or (expected_gain is not None and expected_gain > self.margin):
            return None
        expected = "" if expected_gain is None else f"; a further {_shown(expected_gain)} is expected"
        return (
            f"the last {window} trials raised the best result by {_shown(gain)}{expected}; "
            f"min_improvement is {_shown(self.margin)}"
        )


def _best(performances: Sequence[float | None]) -> float:
    """The mean of the best few; at least 0, which the baseline has."""
    succeeded = sorted((performance for performance in performances if performance is not None), reverse=True)[:_BEST]
    return max(fmean(succeeded), 0.0) if len(succeeded) == _BEST else 0.0


def _shown(gain: float) -> str:
    return f"{max(percent(gain), 0.0):.2g} %"
