# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How much the metric varies between trials of the same values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, median, stdev


def variation_percent(metrics_by_host: Iterable[Sequence[float]]) -> float | None:
    """Coefficient of variation on one host in per cent, the median of the hosts; None with one trial per host.

    Differences between hosts are no variation: every host is compared with its own baseline.
    """
    known = [metrics for metrics in metrics_by_host if len(metrics) > 1 and fmean(metrics)]
    return median(100 * stdev(metrics) / fmean(metrics) for metrics in known) if known else None
