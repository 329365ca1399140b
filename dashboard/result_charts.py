# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Charts of the best configuration: where it lies, and the evidence for it."""

from __future__ import annotations

import math
from typing import Any

from .configuration import axes, best_of
from .formatting import count, gain, number, per_cent
from .plotting import (
    BLUE,
    GREEN,
    INK,
    QUIET,
    SERIES,
    Chart,
    axis,
    chart,
    evenly,
    level,
    line,
    not_yet,
    nothing,
    plain,
)
from .queries import StudyData


def best(data: StudyData) -> Chart:
    """Each parameter's way from the first host's own value to the best one, within what could be tried."""
    result = data.result or {}
    leader = best_of(data.evaluations)
    values = result.get("best_config") or (leader.requested if leader else None)
    own = next((e.requested for e in data.evaluations if e.phase == "baseline" and e.requested), None)
    if not values or own is None:
        return not_yet("No candidate has been measured", data)
    rows = [
        (plain(a.label, 40), a.place(own), a.place(values), a.value(own), a.value(values))
        for a in axes(data.study["study"], [own, values])
    ]
    rows = [row for row in rows if row[1] is not None and row[2] is not None][::-1]
    ways: list[tuple[Any, Any]] = []
    for label, before, after, *dummy in rows:
        ways += [(before, label), (after, label), (None, None)]
    labels = [row[0] for row in rows]
    texts = [f"{row[0]}<br>{_shown(row[3])} to {_shown(row[4])}" for row in rows]
    common = {
        "type": "scatter",
        "mode": "markers",
        "y": labels,
        "text": texts,
        "hovertemplate": "%{text}<extra></extra>",
    }
    traces = [
        line("way", ways, QUIET, width=2, hoverinfo="skip", showlegend=False),
        {
            **common,
            "name": "own value",
            "x": [row[1] for row in rows],
            "marker": {"symbol": "circle-open", "size": 11, "color": INK, "line": {"width": 2}},
        },
        {
            **common,
            "name": "best",
            "x": [row[2] for row in rows],
            "marker": {"symbol": "circle", "size": 11, "color": BLUE},
            "meta": "points",
        },
    ]
    layout = {
        "xaxis": axis(
            "place in the range that was searched", range=[-0.03, 1.03], tickvals=[0, 1], ticktext=["lowest", "highest"]
        ),
        "yaxis": {"automargin": True, "type": "category"},
        "height": 130 + 30 * len(rows),
    }
    moved = sum(row[3] != row[4] for row in rows)
    words = f"Rings are the host's own values, dots the best ones; {moved} of {len(rows)} differ."
    return chart(traces, layout, words, len(rows))


def evidence(data: StudyData) -> Chart:
    """What the pairs say: each one's change with the interval, and how both configurations spread."""
    result = data.result or {}
    pairs = [pair for pair in result.get("evidence") or () if pair["baseline"] > 0 and pair["candidate"] > 0]
    if not pairs:
        if result:
            return nothing("The study ended before a pair was measured: there is no evidence.")
        measured = sum(e.phase == "verify" for e in data.evaluations)
        if measured:
            return nothing(
                f"{count(measured, 'evaluation')} of the proof so far; the pairs are judged together, and then shown."
            )
        return nothing("The proof has not begun: pairs of runs, baseline and best candidate, follow the training.")
    sign = -1 if result.get("direction") == "minimise" else 1
    traces: list[dict[str, Any]] = []
    hosts = list(dict.fromkeys(pair["host"] for pair in pairs))
    many = len(hosts) > len(SERIES)
    # Where a study has several objectives, the pair itself says what it comes to.
    changes = [
        100
        * math.expm1(
            sign * math.log(pair["candidate"] / pair["baseline"])
            if pair.get("log_ratio") is None
            else pair["log_ratio"]
        )
        for pair in pairs
    ]
    shown = set(evenly(range(len(pairs)), 2000))
    for place, host in enumerate(hosts if not many else [None]):
        colour, symbol, dummy = SERIES[place] if not many else SERIES[0]
        own = [n for n in shown if many or pairs[n]["host"] == host]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": plain(host, 30) if host else "pairs of all hosts",
                "meta": "points",
                "x": [n + 1 for n in sorted(own)],
                "y": [changes[n] for n in sorted(own)],
                "text": [_pair(pairs[n], changes[n]) for n in sorted(own)],
                "hovertemplate": "%{text}<extra></extra>",
                "marker": {"symbol": symbol, "size": 9, "color": colour},
            }
        )
    for name, colour, symbol in (("baseline", INK, "circle-open"), ("candidate", GREEN, "triangle-up")):
        traces.append(
            {
                "type": "box",
                "name": "own values" if name == "baseline" else "best",
                "y": [pair[name] for pair in evenly(pairs, 2000)],
                "boxpoints": "all" if len(pairs) <= 200 else "outliers",
                "jitter": 0.5,
                "pointpos": 0,
                "fillcolor": "rgba(0,0,0,0)",
                "line": {"color": colour, "width": 1.5},
                "marker": {"symbol": symbol, "size": 6, "color": colour},
                "xaxis": "x2",
                "yaxis": "y2",
                "showlegend": False,
            }
        )
    shapes = [level(0, xref="x domain")]
    if interval := result.get("interval"):
        band = {
            "type": "rect",
            "xref": "x domain",
            "x0": 0,
            "x1": 1,
            "y0": interval[0],
            "y1": interval[1],
            "layer": "below",
        }
        shapes.append({**band, "fillcolor": GREEN, "opacity": 0.16, "line": {"width": 0}})
    if (improvement := result.get("improvement")) is not None:
        shapes.append(level(improvement, GREEN, "solid", xref="x domain"))
    layout = {
        "grid": {"rows": 1, "columns": 2, "pattern": "independent", "xgap": 0.22},
        "xaxis": axis("pair", tickformat="d"),
        "yaxis": axis("change in the pair, %", ticksuffix=" %"),
        "xaxis2": {"type": "category"},
        "yaxis2": axis(str(result.get("metric") or "metric")),
        "shapes": shapes,
    }
    better = sum(change > 0 for change in changes)
    words = (
        f"The best configuration did better in {better} of {count(len(pairs), 'pair')}: {gain(result)}. "
        "The band is the interval, the dashed line no change."
    )
    return chart(traces, layout, words, len(pairs))


def _pair(pair: dict[str, Any], change: float) -> str:
    return (
        f"{plain(pair['host'], 40)}, pair {number(pair['pair'])}, {plain(pair['first'], 20)} first<br>"
        f"{number(pair['baseline'])} to {number(pair['candidate'])}, {per_cent(change)}"
    )


def _shown(value: float | str | None) -> str:
    return plain(value, 40) if isinstance(value, str) else number(value)
