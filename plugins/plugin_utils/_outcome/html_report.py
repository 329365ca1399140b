# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""report.html: one self-contained file with the evidence, without scripts and external resources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .._proof.evidence import Contribution, Pair
from . import filters
from .result import Result

_WIDTH, _HEIGHT, _MARGIN, _ROW = 640, 180, 16, 34  # in SVG units


@dataclass(frozen=True)
class PairMark:
    """A pair in a chart: both runs at one x; y grows downwards."""

    pair: Pair
    x: float
    baseline_y: float
    candidate_y: float


@dataclass(frozen=True)
class ContributionMark:
    """A contribution in a chart: a dot on its interval, in a row that begins at `top`."""

    of: Contribution
    x: float
    low: float
    high: float
    top: int


def render(result: Result, mark: str) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(filters.FILTERS)
    metrics = [metric for pair in result.evidence for metric in (pair.baseline, pair.candidate)] or [0.0]
    contributions, zero = _contribution_chart(result)
    return environment.get_template("report.html.j2").render(
        result=result,
        ending=filters.ending(result),
        mark=mark,
        pair_charts=_pair_charts(result.evidence, min(metrics), max(metrics)),
        lowest=min(metrics),
        highest=max(metrics),
        width=_WIDTH,
        height=_HEIGHT,
        contributions=contributions,
        zero=zero,
        row_height=_ROW,
    )


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Maps [low, high] to [start, end]; values outside are clipped."""

    def place(value: float) -> float:
        fraction = (min(max(value, low), high) - low) / (high - low) if high > low else 0.5
        return round(start + fraction * (end - start), 1)

    return place


def _contribution_chart(result: Result) -> tuple[list[ContributionMark], float]:
    """The contributions, largest first, and the x of no contribution."""
    everything = result.ablation.contributions if result.ablation else ()
    known = sorted(
        ((each.contribution, each) for each in everything if each.contribution is not None), key=lambda pair: -pair[0]
    )
    intervals = [each.interval or (value, value) for value, each in known]
    # Few pairs can yield very wide intervals; they must not squeeze everything else.
    limit = 3 * max((abs(value) for value, dummy in known), default=1.0)
    low, high = (end for end in zip(*intervals, (0.0, 0.0), strict=True))
    x = _scale(max(min(low), -limit), min(max(high), limit), _MARGIN, _WIDTH - _MARGIN)
    marks = [
        ContributionMark(each, x(value), x(left), x(right), top=row * _ROW)
        for row, ((value, each), (left, right)) in enumerate(zip(known, intervals, strict=True))
    ]
    return marks, x(0.0)


def _pair_charts(evidence: tuple[Pair, ...], low: float, high: float) -> dict[str, list[PairMark]]:
    """The pairs by host; all charts have the same scale, so that hosts can be compared."""
    y = _scale(low, high, _HEIGHT - _MARGIN, _MARGIN)
    charts: dict[str, list[PairMark]] = {}
    for host in dict.fromkeys(pair.host for pair in evidence):
        pairs = [pair for pair in evidence if pair.host == host]
        x = _scale(-0.5, len(pairs) - 0.5, _MARGIN, _WIDTH - _MARGIN)
        charts[host] = [PairMark(pair, x(at), y(pair.baseline), y(pair.candidate)) for at, pair in enumerate(pairs)]
    return charts
