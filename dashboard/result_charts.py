# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Charts of the best configuration and of the evidence for it."""

from __future__ import annotations

import math
from typing import Any

from .configuration import axes, best_of, best_values
from .formatting import count, gain, number, per_cent
from .plotting import (
    SERIES,
    Chart,
    Colour,
    axis,
    chart,
    empty,
    evenly,
    level,
    line,
    marker,
    not_yet,
    percent_axis,
    plain,
    scatter,
)
from .queries import StudyData


def best(data: StudyData) -> Chart:
    """Original value of the first host and best value of each parameter within the search range."""
    values = best_values(data.result, best_of(data.trials))
    original = next((t.requested for t in data.trials if t.phase == "baseline" and t.requested), None)
    if not values or original is None:
        return not_yet("No candidate was measured", data)
    links: list[tuple[Any, Any]] = []
    originals, bests = [], []
    moved = 0
    for a in reversed(axes(data.study["study"], [original, values])):
        before, after = a.position(original), a.position(values)
        if before is None or after is None:
            continue
        label, old, new = plain(a.label, 40), a.value(original), a.value(values)
        text = f"{label}<br>{_shown(old)} to {_shown(new)}"
        links += [(before, label), (after, label), (None, None)]
        originals.append((before, label, text))
        bests.append((after, label, text))
        moved += old != new
    ring = marker(Colour.INK, "circle-open", 11, opacity=1, line={"width": 2})
    dot = marker(Colour.BLUE, "circle", 11, opacity=1)
    traces = [
        line("change", links, Colour.QUIET, hoverinfo="skip", showlegend=False),
        scatter("original", originals, mode="markers", marker=ring),
        scatter("best", bests, mode="markers", marker=dot, meta="points"),
    ]
    words = f"Circles are original values, dots are best values; {moved} of {len(bests)} differ."
    ticks = {"tickvals": [0, 1], "ticktext": ["lowest", "highest"]}
    x_axis = axis("position in the search range", range=[-0.03, 1.03], **ticks)
    y_axis = {"automargin": True, "type": "category"}
    layout = {"xaxis": x_axis, "yaxis": y_axis, "height": 130 + 30 * len(bests)}
    return chart(traces, layout, words, len(bests))


def evidence(data: StudyData) -> Chart:
    """The change in each pair with the confidence interval, and the distribution of both configurations."""
    result = data.result or {}
    pairs = result.get("evidence") or []
    if not pairs:
        if data.study.get("result_problem"):
            return empty("The pairs are in the result, which cannot be read.")
        if result:
            return empty("The study ended before a pair was measured, so there is no evidence.")
        measured = sum(t.phase == "verify" for t in data.trials)
        if measured:
            return empty(f"{count(measured, 'trial')} of the proof so far. The pairs are shown when it has finished.")
        return empty("The proof has not started: pairs of baseline and best candidate follow the training.")
    changes = [100 * math.expm1(pair["log_ratio"]) for pair in pairs]
    by_host: dict[str, list[Any]] = {}
    for index in evenly(range(len(pairs))):
        point = (index + 1, changes[index], _hover(pairs[index], changes[index]))
        by_host.setdefault(pairs[index]["host"], []).append(point)
    if len(by_host) > len(SERIES):
        by_host = {"all hosts": [point for points in by_host.values() for point in points]}
    traces = [
        scatter(plain(host, 30), points, mode="markers", marker=marker(colour, symbol, 9, opacity=1), meta="points")
        for (host, points), (colour, symbol, dummy) in zip(by_host.items(), SERIES, strict=False)
    ]
    for name, title, colour, symbol in (
        ("baseline", "original", Colour.INK, "circle-open"),
        ("candidate", "best", Colour.GREEN, "triangle-up"),
    ):
        traces.append(
            {
                "type": "box",
                "name": title,
                "y": [pair[name] for pair in evenly(pairs)],
                "boxpoints": "all" if len(pairs) <= 200 else "outliers",
                "jitter": 0.5,
                "pointpos": 0,
                "fillcolor": "rgba(0,0,0,0)",
                "line": {"color": colour, "width": 1.5},
                "marker": marker(colour, symbol, 6, opacity=1),
                "xaxis": "x2",
                "yaxis": "y2",
                "showlegend": False,
            }
        )
    shapes = [level(0, xref="x domain")]
    if interval := result.get("interval"):
        ends = {"xref": "x domain", "x0": 0, "x1": 1, "y0": interval[0], "y1": interval[1], "layer": "below"}
        shapes.append({"type": "rect", **ends, "fillcolor": Colour.GREEN, "opacity": 0.16, "line": {"width": 0}})
    if (improvement := result.get("improvement")) is not None:
        shapes.append(level(improvement, Colour.GREEN, "solid", xref="x domain"))
    layout = {
        "grid": {"rows": 1, "columns": 2, "pattern": "independent", "xgap": 0.22},
        "xaxis": axis("pair", tickformat="d"),
        "yaxis": percent_axis("change"),
        "xaxis2": {"type": "category"},
        "yaxis2": axis(str(result.get("metric") or "metric")),
        "shapes": shapes,
    }
    better = sum(change > 0 for change in changes)
    words = (
        f"The best candidate did better in {better} of {count(len(pairs), 'pair')}: {gain(result)}. "
        "The band is the confidence interval, the dashed line no change."
    )
    return chart(traces, layout, words, len(pairs))


def _hover(pair: dict[str, Any], change: float) -> str:
    return (
        f"{plain(pair['host'], 40)}, pair {number(pair['pair'])}, {plain(pair['first'], 20)} first<br>"
        f"{number(pair['baseline'])} to {number(pair['candidate'])}, {per_cent(change)}"
    )


def _shown(value: float | str | None) -> str:
    return plain(value, 40) if isinstance(value, str) else number(value)
