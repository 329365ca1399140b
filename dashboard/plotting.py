# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What all charts have in common: colours, marks, frames, and how many points are few enough.

Charts are Plotly figures as plain dictionaries. Only `scatter`, `bar` and `box` are used: they are drawn as SVG, and
need no `unsafe-eval`. Colours are Okabe and Ito's; static/charts.js brings them to the page's theme.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeVar

from .queries import StudyData

LIMIT = 2000  # points of a series
INK, QUIET, BLUE, ORANGE = "#000000", "#999999", "#0072B2", "#E69F00"
GREEN, SKY, RED, PURPLE = "#009E73", "#56B4E9", "#D55E00", "#CC79A7"
SERIES = (
    (BLUE, "circle", "solid"),
    (ORANGE, "diamond", "dash"),
    (GREEN, "triangle-up", "dot"),
    (PURPLE, "square", "dashdot"),
    (SKY, "triangle-down", "longdash"),
    (RED, "cross", "solid"),
    (INK, "circle-open", "dash"),
    (QUIET, "square-open", "dot"),
)
PHASES = {
    "baseline": (INK, "square-open"),
    "control": (PURPLE, "square"),
    "train": (BLUE, "circle"),
    "race": (ORANGE, "diamond"),
    "verify": (GREEN, "triangle-up"),
    "ablate": (SKY, "triangle-down"),
}
FAILED = (RED, "x-thin")

Thing = TypeVar("Thing")
Trace = dict[str, Any]
Point = tuple[float | str, float, str]  # place, height, and what is said of it


@dataclass(frozen=True)
class Chart:
    """A figure ({data, layout}; without data there is nothing to draw yet), what it says in words, and how many of the
    points that there are it shows."""

    figure: dict[str, Any]
    summary: str
    shown: int = 0
    total: int = 0


def not_yet(what: str, data: StudyData) -> Chart:
    """what: "Nothing has been measured". In a study that has ended it never will."""
    return nothing(f"{what}: the study ended before." if data.study["finished"] else f"{what} yet.")


def nothing(why: str) -> Chart:
    return Chart({"data": [], "layout": {}}, why)


def chart(traces: Sequence[Trace], layout: Mapping[str, Any], summary: str, total: int) -> Chart:
    """total: the points that there are; those that are shown are in the traces whose `meta` is "points"."""
    shown = sum(len(trace["x"]) for trace in traces if trace.get("meta") == "points")
    return Chart({"data": list(traces), "layout": frame(layout)}, summary, shown, total)


def frame(layout: Mapping[str, Any]) -> dict[str, Any]:
    """The frame of every chart; colours of text and lines are the page's."""
    common = {
        "margin": {"l": 64, "r": 16, "t": 16, "b": 60},
        "height": 380,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "itemsizing": "constant"},
        "hovermode": "closest",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
    }
    return {**common, **layout}


def axis(title: str, **more: Any) -> dict[str, Any]:
    return {"title": {"text": plain(title, 60), "standoff": 12}, "automargin": True, "zeroline": False, **more}


def marks(
    name: str, points: Sequence[Point], colour: str, symbol: str, *, keep: Iterable[float | str] = (), **more: Any
) -> Trace:
    """Points as marks, at most LIMIT of them; what is at an x in `keep` stays."""
    shown = thin(points, keep=keep)
    marker: dict[str, Any] = {"color": colour, "symbol": symbol, "size": 7 if len(shown) < 300 else 4, "opacity": 0.85}
    if symbol.endswith("-thin"):
        marker |= {"line": {"color": colour, "width": 2}, "opacity": 1}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "meta": "points",
        "x": [x for x, dummy, dummy_text in shown],
        "y": [y for dummy, y, dummy_text in shown],
        "text": [text for dummy, dummy_y, text in shown],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": marker,
        **more,
    }


def line(
    name: str,
    points: Iterable[tuple[Any, Any]],
    colour: str,
    *,
    dash: str = "solid",
    width: float = 2,
    shape: str = "linear",
    **more: Any,
) -> Trace:
    look = {"color": colour, "dash": dash, "width": width, "shape": shape}
    way = list(points)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [x for x, dummy in way],
        "y": [y for dummy, y in way],
        "line": look,
        **more,
    }


def level(y: float, colour: str = INK, dash: str = "dash", **where: Any) -> dict[str, Any]:
    """A horizontal line all across."""
    look = {"color": colour, "width": 1, "dash": dash}
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": y,
        "y1": y,
        "line": look,
        "layer": "below",
        **where,
    }


def thin(points: Sequence[Point], limit: int = LIMIT, keep: Iterable[float | str] = ()) -> list[Point]:
    """At most `limit` points: of every stretch the lowest and the highest, and always the last and those kept."""
    if len(points) <= limit:
        return list(points)
    wanted = set(keep)
    chosen = {len(points) - 1} | {place for place, point in enumerate(points) if point[0] in wanted}
    if len(chosen) >= limit:  # nothing but what must stay: of that, every so-many-th
        return [points[place] for place in evenly(sorted(chosen), limit)]
    stretches = (limit - len(chosen)) // 2
    for number in range(stretches):
        places = range(number * len(points) // stretches, (number + 1) * len(points) // stretches)
        chosen.add(min(places, key=lambda place: points[place][1]))
        chosen.add(max(places, key=lambda place: points[place][1]))
    return [points[place] for place in sorted(chosen)]


def evenly(things: Sequence[Thing], limit: int) -> list[Thing]:
    """At most `limit` of them, the first and the last among them."""
    if len(things) <= limit:
        return list(things)
    return [things[round(place * (len(things) - 1) / (limit - 1))] for place in range(limit)]


def rolling_mean(values: Sequence[float], window: int) -> list[float]:
    """For each value the mean of the last `window` up to it, so that what is drawn already stays as it is."""
    sums = [0.0, *accumulate(values)]
    return [(sums[end] - sums[max(0, end - window)]) / min(end, window) for end in range(1, len(values) + 1)]


def plain(text: Any, length: int = 80) -> str:
    """Foreign text as Plotly shows it literally: it takes some markup, and breaks lines nowhere."""
    words = " ".join(str(text).split())
    words = words if len(words) <= length else words[: length - 1] + "…"
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
