# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""report.html: one file that shows the evidence, without a script and without asking anybody else for anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from . import text
from .evidence import Pair, Share
from .result import Result

_WIDTH, _HEIGHT, _MARGIN = 640, 180, 16  # of a picture, in SVG units
_SHARE_HEIGHT = 34


@dataclass(frozen=True)
class Drawn:
    """A pair in a picture: both runs at one x, y grows downwards."""

    x: float
    baseline_y: float
    candidate_y: float
    title: str


@dataclass(frozen=True)
class DrawnShare:
    """What a parameter contributes in a picture: a dot on its interval, with nothing at `zero`; `top` of its row."""

    share: Share
    x: float
    low: float
    high: float
    zero: float
    top: int


def render(result: Result, mark: str) -> str:
    """The page as text."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    filters = text.count, text.number, text.per_cent, text.gain, text.found, text.one_line, text.contributes, text.names
    environment.filters.update({filter_.__name__: filter_ for filter_ in filters})
    metrics = [metric for pair in result.evidence for metric in (pair.baseline, pair.candidate)] or [0.0]
    return environment.get_template("report.html.j2").render(
        result=result,
        ending=text.ending(result),
        mark=mark,
        pictures=_pictures(result.evidence, min(metrics), max(metrics)),
        lowest=min(metrics),
        highest=max(metrics),
        width=_WIDTH,
        height=_HEIGHT,
        shares=_shares(result),
        share_height=_SHARE_HEIGHT,
    )


def _shares(result: Result) -> list[DrawnShare]:
    """What each parameter contributes, the largest first, on one scale that has 0 on it."""
    if result.ablation is None:
        return []
    known = sorted(
        (s for s in result.ablation.shares if s.share is not None), key=lambda s: s.share or 0.0, reverse=True
    )
    ends = [end for share in known for end in (share.interval or (share.share or 0.0,) * 2)]
    # An interval from few pairs can reach anywhere; the picture need not.
    most = 3 * max((abs(share.share or 0.0) for share in known), default=1.0) or 1.0
    low, high = max(min([0.0, *ends]), -most), min(max([0.0, *ends]), most)

    def x(value: float) -> float:
        share = (min(max(value, low), high) - low) / ((high - low) or 1.0)
        return round(_MARGIN + share * (_WIDTH - 2 * _MARGIN), 1)

    drawn = []
    for at, share in enumerate(known):
        value = share.share or 0.0
        left, right = share.interval or (value, value)
        drawn.append(DrawnShare(share, x(value), x(left), x(right), zero=x(0.0), top=at * _SHARE_HEIGHT))
    return drawn


def _pictures(evidence: tuple[Pair, ...], low: float, high: float) -> dict[str, list[Drawn]]:
    """Host -> its pairs; all pictures share one scale, so that hosts can be compared."""

    def y(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return round(_HEIGHT - _MARGIN - share * (_HEIGHT - 2 * _MARGIN), 1)

    pictures: dict[str, list[Drawn]] = {}
    for host in dict.fromkeys(pair.host for pair in evidence):
        pairs = [pair for pair in evidence if pair.host == host]
        step = (_WIDTH - 2 * _MARGIN) / len(pairs)
        pictures[host] = [
            Drawn(
                round(_MARGIN + (place + 0.5) * step, 1),
                y(pair.baseline),
                y(pair.candidate),
                f"pair {pair.pair}: {text.number(pair.baseline)} -> {text.number(pair.candidate)}",
            )
            for place, pair in enumerate(pairs)
        ]
    return pictures
