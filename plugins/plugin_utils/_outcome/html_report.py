# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""report.html: one self-contained file with the evidence, without scripts and external resources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .._proof.evidence import Contribution
from . import filters
from .result import Result

_WIDTH, _HEIGHT, _MARGIN = 640, 180, 16  # of a chart, in SVG units

Scale = Callable[[float], float]


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
    known = [
        each for each in (result.ablation.contributions if result.ablation else ()) if each.contribution is not None
    ]
    hosts = dict.fromkeys(pair.host for pair in result.evidence)
    return environment.get_template("report.html.j2").render(
        result=result,
        ending=filters.ending(result),
        mark=mark,
        width=_WIDTH,
        height=_HEIGHT,
        pairs_by_host={host: [pair for pair in result.evidence if pair.host == host] for host in hosts},
        lowest=min(metrics),
        highest=max(metrics),
        # All hosts have the same vertical scale, so that they can be compared.
        y=_scale(min(metrics), max(metrics), _HEIGHT - _MARGIN, _MARGIN),
        x_of_pair=lambda index, pairs: _scale(-0.5, pairs - 0.5, _MARGIN, _WIDTH - _MARGIN)(index),
        contributions=sorted(known, key=lambda each: each.contribution or 0.0, reverse=True),
        x=_scale_of(known),
    )


def _scale(low: float, high: float, start: float, end: float) -> Scale:
    """Maps [low, high] to [start, end]; values outside are clipped."""

    def place(value: float) -> float:
        fraction = (min(max(value, low), high) - low) / (high - low) if high > low else 0.5
        return round(start + fraction * (end - start), 1)

    return place


def _scale_of(contributions: list[Contribution]) -> Scale:
    """The horizontal scale of contributions and their intervals; 0 is on it."""
    values = [each.contribution or 0.0 for each in contributions]
    ends = [0.0, *values, *(end for each in contributions for end in each.interval or ())]
    # Few pairs can yield very wide intervals; they must not squeeze everything else.
    limit = 3 * max(map(abs, values), default=1.0)
    return _scale(max(min(ends), -limit), min(max(ends), limit), _MARGIN, _WIDTH - _MARGIN)
