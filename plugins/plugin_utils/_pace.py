# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How long the next trials will take, from how long the latest ones took."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

RECENT = 10  # trials: few enough to follow a change, and so many that none of them moves the mean by more than a ninth


def usual(seconds: Sequence[float]) -> float:
    """The mean of the latest durations, in their unit, without the longest of them. Needs at least one.

    The longest is often one that does not come again: a benchmark that hung until its timeout, or a wait for the
    learner while it loaded PyTorch.
    """
    latest = sorted(list(seconds)[-RECENT:])
    return fmean(latest[:-1] or latest)
