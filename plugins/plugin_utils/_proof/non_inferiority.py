# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The non-inferiority test of the ablation: the winner without some of its values against the winner with them.

Screening compares against the original values, whose noise can hide a loss of a few per cent. Hence values are dropped
only after the winner has been measured without them: the estimated loss must be smaller than an improvement that
matters, and its upper confidence limit below a quarter of the whole gain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import TypeVar

from scipy import stats

Unit = TypeVar("Unit")

PAIRS = 4  # per analysis
_ERROR = 0.1  # probability of dropping values whose loss exceeds the margin
_MARGIN = 0.25  # of the whole gain
# Standard errors by which a loss must exceed min_effect. Small, because keeping a useless value does no harm.
_INFERIOR_BY = 1.5


def non_inferior(
    units: Sequence[Unit],
    measure: Callable[[Sequence[Unit]], Sequence[float]],
    *,
    min_effect: float,
    gain: float,
    budget: int,
) -> Sequence[Unit]:
    """The units that can be dropped.

    units: in ascending order of contribution; while dropping all of them is inferior, the upper half is kept.
    measure: the log ratios of PAIRS pairs with these units against without them; fewer where runs failed, none if no
    host is left. min_effect: the smallest relevant log ratio. gain: that of the whole winner. budget: pairs in total.
    """
    error = _ERROR / max(budget // PAIRS, 1)
    margin = max(_MARGIN * gain, min_effect)
    while units:
        ratios: list[float] = []
        inferior = None
        while inferior is None:
            if budget < PAIRS:
                return ()
            budget -= PAIRS
            more = measure(units)
            if not more:
                return ()
            ratios += more
            inferior = _is_inferior(ratios, min_effect, margin, error)
        if not inferior:
            return units
        units = units[: len(units) // 2]
    return ()


def _is_inferior(ratios: Sequence[float], min_effect: float, margin: float, error: float) -> bool | None:
    """None while undecided."""
    if len(ratios) < 2:
        return None
    mean, standard_error = fmean(ratios), float(stats.sem(ratios))
    if mean - _INFERIOR_BY * standard_error > min_effect:
        return True
    upper = mean + standard_error * float(stats.t.isf(error, len(ratios) - 1))
    return False if mean <= min_effect and upper <= margin else None
