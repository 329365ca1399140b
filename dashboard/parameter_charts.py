# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Charts of parameters: what each has to do with performance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from .configuration import Axis, axes
from .formatting import count, number, per_cent
from .plotting import (
    BLUE,
    GREEN,
    INK,
    LIMIT,
    QUIET,
    RED,
    Chart,
    Point,
    axis,
    chart,
    evenly,
    level,
    line,
    marks,
    not_yet,
    nothing,
    plain,
)
from .queries import StudyData, Trial

_ENOUGH = 20  # evaluations, below which importance is a guess
_GROUPS = 4  # of equal count, in which a parameter's values are put together
_MOST = 24  # small charts


def parameters(data: StudyData) -> Chart:
    """A small chart for each axis of the search space: its value against the change that came of it."""
    trained, found = _trained(data)
    if not trained or not found:
        return not_yet("No candidate has been measured", data)
    points = evenly(trained, max(LIMIT * 4 // len(found), 200))
    ranked = [label for label, dummy, dummy_sign in _importance(found, trained)]
    shown = sorted(found, key=lambda a: ranked.index(a.label))[:_MOST]
    top = max(trained, key=lambda e: e.performance or 0)
    traces: list[dict[str, Any]] = []
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    layout: dict[str, Any] = {
        "grid": {"rows": rows, "columns": columns, "pattern": "independent", "xgap": 0.16, "ygap": 0.42},
        "height": 40 + 230 * rows,
        "showlegend": False,
        "shapes": [],
    }
    for place, a in enumerate(shown):
        suffix = "" if place == 0 else str(place + 1)
        where = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
        every = marks(plain(a.label, 40), _points(a, points), BLUE, "circle") | where
        every["marker"] |= {"size": 5, "opacity": 0.6}
        best = marks("best", _points(a, [top]), GREEN, "star") | where | {"meta": None}
        best["marker"] |= {"size": 13, "opacity": 1, "line": {"color": INK, "width": 1}}
        traces += [every, best]
        layout[f"xaxis{suffix}"] = axis(
            a.label, type="category" if a.choices else "log" if a.log else "linear", nticks=4
        )
        if a.choices:
            order = {"categoryorder": "array", "categoryarray": [plain(choice, 24) for choice in a.choices]}
            layout[f"xaxis{suffix}"] |= order
        layout[f"yaxis{suffix}"] = {
            "zeroline": False,
            "ticksuffix": " %",
            "matches": "y" if place else None,
            "nticks": 5,
        }
        layout["shapes"].append(level(0, xref=f"x{suffix} domain", yref=f"y{suffix}"))
    more = f" The {len(shown)} that matter most, of {len(found)}." if len(shown) < len(found) else ""
    words = f"The change by the value tried, the most important parameter first; the star is the best evaluation.{more}"
    drawn = chart(traces, layout, words, 0)
    return Chart(drawn.figure, words, len(points), len(trained))


def parallel(data: StudyData) -> Chart:
    """Every candidate as a line across all axes: the best tenth, the others, and those that failed."""
    trained, found = _trained(data)
    failed = [e for e in data.evaluations if e.phase == "train" and e.failed]
    if not trained or len(found) < 2:
        return nothing("This takes candidates of at least two parameters.")
    ranked = sorted(trained, key=lambda e: e.performance or 0.0, reverse=True)
    tenth = max(len(ranked) // 10, 1)
    lines = LIMIT // (len(found) + 1)
    groups = (
        ("others", ranked[tenth:], QUIET, "solid", 0.35, 1.0),
        ("failed", failed, RED, "dot", 0.8, 1.2),
        (f"best tenth ({tenth})", ranked[:tenth], BLUE, "solid", 0.8, 1.8),
        ("best", ranked[:1], INK, "solid", 1.0, 3.0),
    )
    traces, shown = [], 0
    for name, own, colour, dash, opacity, width in groups:
        if not own:
            continue
        drawn = evenly(own, lines)
        shown += len(drawn) if name != "best" else 0
        way: list[tuple[int | None, float | None]] = []
        text: list[str] = []
        for e in drawn:
            way += [*((place, a.place(e.requested)) for place, a in enumerate(found)), (None, None)]
            about = f"evaluation {e.id}, {'failed' if e.failed else per_cent(e.change_percent)}"
            text += [*(f"{about}<br>{plain(a.label)} {_value(a, e)}" for a in found), ""]
        trace = line(name, way, colour, dash=dash, width=width, opacity=opacity, text=text)
        trace["hovertemplate"] = "%{text}<extra></extra>"
        if name == "best":
            trace |= {"mode": "lines+markers", "marker": {"symbol": "star", "size": 11, "color": INK}}
        traces.append(trace)
    ends = [
        {"text": plain(end, 14), "x": place, "y": y, "yanchor": anchor, "showarrow": False, "font": {"size": 11}}
        for place, a in enumerate(found)
        for end, y, anchor in zip(a.ends, (-0.02, 1.02), ("top", "bottom"), strict=True)
    ]
    layout = {
        "xaxis": {
            "tickvals": list(range(len(found))),
            "ticktext": [plain(_short(a.label), 26) for a in found],
            "tickangle": 20,
            "automargin": True,
            "zeroline": False,
            "range": [-0.3, len(found) - 0.7],
        },
        "yaxis": {"visible": False, "range": [-0.12, 1.12], "zeroline": False},
        "annotations": ends,
        "height": 460,
        "margin": {"l": 48, "r": 96, "t": 16, "b": 60},
    }
    words = "Each line is a candidate, each upright axis what it set, from the least to the largest value."
    if failed:
        words += f" {count(len(failed), 'candidate')} failed."
    drawn_chart = chart(traces, layout, words, 0)
    return Chart(drawn_chart.figure, words, shown, len(trained) + len(failed))


def importance(data: StudyData) -> Chart:
    """How much of performance's variation each axis explains by itself; and what ablation found, where it was done."""
    trained, found = _trained(data)
    if len(trained) < _ENOUGH:
        return nothing(f"Importance takes {_ENOUGH} measured candidates; there are {len(trained)}.")
    ranked = _importance(found, trained)[:_MOST][::-1]
    labels = [plain(label, 40) for label, dummy, dummy_sign in ranked]
    shares = {
        "type": "bar",
        "orientation": "h",
        "name": "importance",
        "meta": "points",
        "x": [100 * share for dummy, share, dummy_sign in ranked],
        "y": labels,
        "text": [f"{100 * share:.0f} %{sign}" for dummy, share, sign in ranked],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": BLUE},
        "hovertemplate": "%{y}: %{x:.1f} %<extra></extra>",
    }
    layout = {
        "xaxis": axis("variation explained alone, %", range=[0, 112], tickvals=[0, 25, 50, 75, 100]),
        "yaxis": {"automargin": True, "type": "category"},
        "height": 130 + 26 * len(ranked),
        "showlegend": False,
        "bargap": 0.35,
    }
    label, share, dummy = ranked[-1]
    words = (
        f"{label} explains most by itself, {100 * share:.0f} %. From {count(len(trained), 'measured candidate')}: the "
        "share of the variance of performance's ranks that lies between groups of like values (epsilon squared, "
        "corrected for chance). What parameters do only together is not seen. An arrow says which way is better."
    )
    return chart([shares], layout, words, len(ranked))


def _points(a: Axis, evaluations: Sequence[Trial]) -> list[Point]:
    return [
        (
            plain(x, 24) if isinstance(x, str) else x,
            e.change_percent or 0.0,
            f"evaluation {e.id}, {per_cent(e.change_percent)}",
        )
        for e in evaluations
        if (x := a.value(e.requested)) is not None
    ]


def _trained(data: StudyData) -> tuple[list[Trial], list[Axis]]:
    trained = [e for e in data.evaluations if e.phase == "train" and e.performance is not None]
    return trained, axes(data.study["study"], [e.requested for e in evenly(trained, 200)])


def _importance(found: Sequence[Axis], trained: Sequence[Trial]) -> list[tuple[str, float, str]]:
    """(axis, share in [0, 1], arrow towards the better end), the most important first."""
    ranks = _ranks([e.performance or 0.0 for e in trained])
    shares = [(a.label, *_explained(a, trained, ranks)) for a in found]
    return sorted(shares, key=lambda entry: -entry[1])


def _explained(a: Axis, trained: Sequence[Trial], ranks: Sequence[float]) -> tuple[float, str]:
    asked_for = [a.value(e.requested) for e in trained]
    pairs = [(value, rank) for value, rank in zip(asked_for, ranks, strict=True) if value is not None]
    groups: dict[Any, list[float]] = defaultdict(list)
    if a.choices:
        for value, rank in pairs:
            groups[value].append(rank)
    else:
        values = sorted(float(value) for value, dummy in pairs)
        edges = sorted({values[len(values) * n // _GROUPS] for n in range(1, _GROUPS)}) if values else []
        for value, rank in pairs:
            groups[sum(float(value) >= edge for edge in edges)].append(rank)
    total = len(pairs)
    if len(groups) < 2 or total <= len(groups):
        return 0.0, ""
    mean = sum(rank for dummy, rank in pairs) / total
    spread = sum((rank - mean) ** 2 for dummy, rank in pairs)
    between = sum(len(own) * (sum(own) / len(own) - mean) ** 2 for own in groups.values())
    share = max(1 - (1 - between / spread) * (total - 1) / (total - len(groups)), 0.0) if spread else 0.0
    if a.choices or share < 0.02:
        return share, ""
    means = [sum(own) / len(own) for dummy, own in sorted(groups.items())]
    if means == sorted(means):
        return share, " ↑"
    return share, " ↓" if means == sorted(means, reverse=True) else ""


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    for rank, place in enumerate(order):
        ranks[place] = float(rank)
    return ranks


def _short(label: str) -> str:
    return label.rpartition(".")[2] if label.count(".") else label


def _value(a: Axis, e: Trial) -> str:
    value = a.value(e.requested)
    return plain(value, 30) if isinstance(value, str) else number(value)
