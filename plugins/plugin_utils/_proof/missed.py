# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Whether what seems to be of no use is missed: the winner with these values and without them, side by side.

A screening tells shares against the hosts' own values, which may be far noisier than the winner is: a loss of a few per
cent that several values share would not be seen there. So nothing goes that was not done without. This is a test of
non-inferiority: what goes looks as if it brought less than a gain that matters, and is known to bring less than a
quarter of what all values do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean, stdev
from typing import TypeVar

from scipy import stats

Unit = TypeVar("Unit")

PAIRS = 4  # at a time
# The chance to do without more than a quarter of the gain.
_ERROR = 0.1
_QUARTER = 0.25
# Standard errors above what matters: to keep what is not needed is no harm, so little will do.
_SEEMS = 1.5


def not_missed(
    units: Sequence[Unit],
    measure: Callable[[Sequence[Unit]], Sequence[float]],
    *,
    matters: float,
    gain: float,
    budget: int,
) -> Sequence[Unit]:
    """Those that may go. units: the least useful first; if all of them are missed, the better half of them stays.

    measure: the log ratios of PAIRS pairs, with these units against without them; less where runs failed, none if
    nobody is left to measure. matters, gain: the log ratio of a gain that matters, and what all values bring. budget:
    pairs in all.
    """
    looks = max(budget // PAIRS, 1)
    most = max(_QUARTER * gain, matters)
    while units:
        ratios: list[float] = []
        missed = None
        while missed is None:
            if budget < PAIRS:
                return ()
            budget -= PAIRS
            more = measure(units)
            if not more:
                return ()
            ratios += more
            missed = _are_missed(ratios, matters, most, _ERROR / looks)
        if not missed:
            return units
        units = units[: len(units) // 2]
    return ()


def _are_missed(ratios: Sequence[float], matters: float, most: float, error: float) -> bool | None:
    """None if that is not known yet."""
    if len(ratios) < 2:
        return None
    mean, deviation = fmean(ratios), stdev(ratios) / math.sqrt(len(ratios))
    if mean - _SEEMS * deviation > matters:
        return True
    reach = deviation * float(stats.t.isf(error, len(ratios) - 1))
    return False if mean <= matters and mean + reach <= most else None
