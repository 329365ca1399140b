# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Statistics of the shares on many surfaces, and Markdown tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Difference:
    """Median or mean of the paired differences on the surfaces that both have, with its 95 % interval."""

    middle: float
    low: float
    high: float
    surfaces: int


Statistic = Callable[..., Any]


def difference(
    ours: Mapping[Any, float], other: Mapping[Any, float], middle: Statistic = np.median
) -> Difference | None:
    """`other` minus `ours`, both by surface: below 0, ours is better. None with fewer than five common surfaces."""
    common = sorted(ours.keys() & other.keys())
    gaps = np.array([other[surface] - ours[surface] for surface in common])
    if len(gaps) < 5:
        return None
    if np.ptp(gaps) == 0:
        return Difference(float(gaps[0]), float(gaps[0]), float(gaps[0]), len(gaps))
    found = stats.bootstrap((gaps,), middle, n_resamples=4999, rng=1, method="percentile").confidence_interval
    return Difference(float(middle(gaps)), float(found.low), float(found.high), len(gaps))


def quartile(values: Sequence[float]) -> float:
    return float(np.quantile(values, 0.25))


def decile(values: Sequence[float]) -> float:
    return float(np.quantile(values, 0.1))


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with aligned columns."""
    lines = [list(head), ["-" * len(cell) for cell in head], *map(list, rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    lines[1] = ["-" * width for width in widths]
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |" for line in lines
    )


def rounded(value: float) -> str:
    """A share in the tables' format: .93, 1.00, -.12."""
    return f"{value:.2f}".replace("0.", ".", 1) if abs(value) < 0.995 else f"{value:.2f}"
