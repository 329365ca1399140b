# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Shared by all charts: colours, traces, axes, and decimation.

Charts are Plotly figures as dictionaries. They use only `scatter`, `bar` and `box`, which are drawn as SVG and need no
`unsafe-eval`. The colours are those of Okabe and Ito; static/charts.js adapts them to the theme.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Any, TypeVar

from .queries import StudyData

LIMIT = 2000  # points of a series


class Colour(StrEnum):
    INK = "#000000"
    QUIET = "#999999"
    BLUE = "#0072B2"
    ORANGE = "#E69F00"
    GREEN = "#009E73"
    SKY = "#56B4E9"
    RED = "#D55E00"
    PURPLE = "#CC79A7"


SERIES = (
    (Colour.BLUE, "circle", "solid"),
    (Colour.ORANGE, "diamond", "dash"),
    (Colour.GREEN, "triangle-up", "dot"),
    (Colour.PURPLE, "square", "dashdot"),
    (Colour.SKY, "triangle-down", "longdash"),
    (Colour.RED, "cross", "solid"),
    (Colour.INK, "circle-open", "dash"),
    (Colour.QUIET, "square-open", "dot"),
)

T = TypeVar("T")
Trace = dict[str, Any]
Point = tuple[Any, ...]  # x, y and, for some traces, a hover text


@dataclass(frozen=True)
class Chart:
    """A Plotly figure (without data there is nothing to draw), its summary, and how many of all points it shows."""

    figure: dict[str, Any]
    summary: str
    shown: int = 0
    total: int = 0


def not_yet(what: str, data: StudyData) -> Chart:
    """what: "No trial was measured"."""
    return empty(f"{what} before the study ended." if data.study["finished"] else f"{what} yet.")


def empty(why: str) -> Chart:
    return Chart({"data": [], "layout": {}}, why)


def chart(
    traces: Sequence[Trace], layout: Mapping[str, Any], summary: str, total: int, shown: int | None = None
) -> Chart:
    """total: the number of all points; shown: by default the points of the traces with meta "points"."""
    if shown is None:
        shown = sum(len(trace["x"]) for trace in traces if trace.get("meta") == "points")
    common = {
        "margin": {"l": 64, "r": 16, "t": 16, "b": 60},
        "height": 380,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "itemsizing": "constant"},
        "hovermode": "closest",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
    }
    return Chart({"data": list(traces), "layout": {**common, **layout}}, summary, shown, total)


def axis(title: str, **more: Any) -> dict[str, Any]:
    return {"title": {"text": plain(title, 60), "standoff": 12}, "automargin": True, "zeroline": False, **more}


def percent_axis(title: str) -> dict[str, Any]:
    return axis(f"{title}, %", ticksuffix=" %")


def scatter(name: str, points: Iterable[Point], **more: Any) -> Trace:
    x, y, *texts = [list(column) for column in zip(*points, strict=True)] or [[], []]
    hover = {"text": texts[0], "hovertemplate": "%{text}<extra></extra>"} if texts else {}
    return {"type": "scatter", "name": name, "x": x, "y": y, **hover, **more}


def marker(colour: str, symbol: str = "circle", size: float = 7, **more: Any) -> dict[str, Any]:
    if symbol.endswith("-thin"):
        more |= {"line": {"color": colour, "width": 2}, "opacity": 1}
    return {"color": colour, "symbol": symbol, "size": size, "opacity": 0.85, **more}


def markers(
    name: str, points: Sequence[Point], colour: str, symbol: str = "circle", *, keep: Iterable[Any] = (), **more: Any
) -> Trace:
    """Points as markers, at most LIMIT of them, including those at an x in `keep`."""
    drawn = thin(points, keep=keep)
    look = marker(colour, symbol, 7 if len(drawn) < 300 else 4)
    return scatter(name, drawn, **{"mode": "markers", "meta": "points", "marker": look, **more})


def line(
    name: str,
    points: Iterable[Point],
    colour: str,
    *,
    dash: str = "solid",
    width: float = 2,
    shape: str = "linear",
    **more: Any,
) -> Trace:
    look = {"color": colour, "dash": dash, "width": width, "shape": shape}
    return scatter(name, points, **{"mode": "lines", "line": look, **more})


def level(y: float, colour: str = Colour.INK, dash: str = "dash", **more: Any) -> dict[str, Any]:
    """A horizontal line across the chart."""
    look = {"color": colour, "width": 1, "dash": dash}
    ends = {"xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y}
    return {"type": "line", "line": look, "layer": "below", **ends, **more}


def thin(points: Sequence[Point], limit: int = LIMIT, keep: Iterable[Any] = ()) -> list[Point]:
    """At most `limit` points: the minimum and maximum of each section, the last one, and those in `keep`."""
    if len(points) <= limit:
        return list(points)
    kept = set(keep)
    chosen = {len(points) - 1} | {index for index, point in enumerate(points) if point[0] in kept}
    if len(chosen) >= limit:
        return [points[index] for index in evenly(sorted(chosen), limit)]
    sections = (limit - len(chosen)) // 2
    for number in range(sections):
        section = range(number * len(points) // sections, (number + 1) * len(points) // sections)
        chosen.add(min(section, key=lambda index: points[index][1]))
        chosen.add(max(section, key=lambda index: points[index][1]))
    return [points[index] for index in sorted(chosen)]


def evenly(items: Sequence[T], limit: int = LIMIT) -> list[T]:
    """At most `limit` items, evenly spaced, with the first and the last."""
    if len(items) <= limit:
        return list(items)
    return [items[round(index * (len(items) - 1) / (limit - 1))] for index in range(limit)]


def rolling_mean(values: Sequence[float], window: int) -> list[float]:
    """For each value, the mean of the last `window` values up to it."""
    sums = [0.0, *accumulate(values)]
    return [(sums[end] - sums[max(0, end - window)]) / min(end, window) for end in range(1, len(values) + 1)]


def plain(text: Any, length: int = 80) -> str:
    """Text on one line, cut to the length and escaped: Plotly interprets some markup."""
    words = " ".join(str(text).split())
    words = words if len(words) <= length else words[: length - 1] + "…"
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
