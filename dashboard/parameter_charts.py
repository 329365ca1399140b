# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Charts of parameters: how each relates to performance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from .configuration import Axis, axes
from .formatting import count, number, per_cent
from .plotting import (
    LIMIT,
    Chart,
    Colour,
    Point,
    axis,
    chart,
    empty,
    evenly,
    level,
    line,
    marker,
    markers,
    not_yet,
    plain,
)
from .queries import StudyData, Trial

_MIN_TRIALS = 20  # for importance
_BINS = 4  # of equal size, for the values of a parameter
_MAX_SUBPLOTS = 24


def parameters(data: StudyData) -> Chart:
    """One subplot per axis of the search space: change by value."""
    trained, found = _trained(data)
    if not trained or not found:
        return not_yet("No candidate was measured", data)
    points = evenly(trained, max(LIMIT * 4 // len(found), 200))
    ranked = [label for label, dummy, dummy_sign in _importance(found, trained)]
    shown = sorted(found, key=lambda a: ranked.index(a.label))[:_MAX_SUBPLOTS]
    best = max(trained, key=lambda t: t.performance or 0.0)
    traces: list[dict[str, Any]] = []
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    layout: dict[str, Any] = {"shapes": []}
    star = marker(Colour.GREEN, "star", 13, opacity=1, line={"color": Colour.INK, "width": 1})
    for index, a in enumerate(shown):
        suffix = "" if index == 0 else str(index + 1)
        where = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
        dots = marker(Colour.BLUE, size=5, opacity=0.6)
        traces += [
            markers(plain(a.label, 40), _points(a, points), Colour.BLUE, **where, marker=dots),
            markers("best", _points(a, [best]), Colour.GREEN, **where, marker=star, meta=None),
        ]
        scale = "category" if a.choices else "log" if a.log else "linear"
        layout[f"xaxis{suffix}"] = axis(a.label, type=scale, nticks=4)
        if a.choices:
            order = [plain(choice, 24) for choice in a.choices]
            layout[f"xaxis{suffix}"] |= {"categoryorder": "array", "categoryarray": order}
        y_axis = {"zeroline": False, "ticksuffix": " %", "nticks": 5}
        layout[f"yaxis{suffix}"] = {**y_axis, "matches": "y" if index else None}
        layout["shapes"].append(level(0, xref=f"x{suffix} domain", yref=f"y{suffix}"))
    more = f" The {len(shown)} most important of {len(found)} are shown." if len(shown) < len(found) else ""
    words = (
        f"Change relative to the baseline by value, most important parameter first; the star is the best trial.{more}"
    )
    grid = {"rows": rows, "columns": columns, "pattern": "independent", "xgap": 0.16, "ygap": 0.42}
    layout |= {"grid": grid, "height": 40 + 230 * rows, "showlegend": False}
    return chart(traces, layout, words, len(trained), len(points))


def parallel(data: StudyData) -> Chart:
    """Every candidate as a line across all axes: the best tenth, failed ones, and the others."""
    trained, found = _trained(data)
    failed = [t for t in data.trials if t.phase == "train" and t.failed]
    if not trained or len(found) < 2:
        return empty("This chart needs candidates with at least two parameters.")
    ranked = sorted(trained, key=lambda t: t.performance or 0.0, reverse=True)
    tenth = max(len(ranked) // 10, 1)
    groups = (
        ("others", ranked[tenth:], Colour.QUIET, "solid", 0.35, 1.0),
        ("failed", failed, Colour.RED, "dot", 0.8, 1.2),
        (f"best tenth ({tenth})", ranked[:tenth], Colour.BLUE, "solid", 0.8, 1.8),
    )
    traces, shown = [], 0
    for name, members, colour, dash, opacity, width in groups:
        drawn = evenly(members, LIMIT // (len(found) + 1))
        shown += len(drawn)
        if drawn:
            traces.append(line(name, _across(found, drawn), colour, dash=dash, width=width, opacity=opacity))
    star = {"mode": "lines+markers", "marker": marker(Colour.INK, "star", 11)}
    traces.append(line("best", _across(found, ranked[:1]), Colour.INK, width=3) | star)
    ends = [
        {"text": plain(end, 14), "x": index, "y": y, "yanchor": anchor, "showarrow": False, "font": {"size": 11}}
        for index, a in enumerate(found)
        for end, y, anchor in zip(a.ends, (-0.02, 1.02), ("top", "bottom"), strict=True)
    ]
    names = [plain(a.label.rpartition(".")[2], 26) for a in found]
    x_axis = {"tickvals": list(range(len(found))), "ticktext": names, "tickangle": 20, "automargin": True}
    layout = {
        "xaxis": {**x_axis, "zeroline": False, "range": [-0.3, len(found) - 0.7]},
        "yaxis": {"visible": False, "range": [-0.12, 1.12], "zeroline": False},
        "annotations": ends,
        "height": 460,
        "margin": {"l": 48, "r": 96, "t": 16, "b": 60},
    }
    words = "Each line is a candidate, each vertical axis a parameter from its lowest to its highest value."
    if failed:
        words += f" {count(len(failed), 'candidate')} failed."
    return chart(traces, layout, words, len(trained) + len(failed), shown)


def _across(found: Sequence[Axis], trials: Sequence[Trial]) -> list[Point]:
    """One line per trial, with a gap after each."""
    points: list[Point] = []
    for t in trials:
        outcome = "failed" if t.failed else per_cent(t.deviation_percent)
        for index, a in enumerate(found):
            value = a.value(t.requested)
            text = plain(value, 30) if isinstance(value, str) else number(value)
            points.append((index, a.position(t.requested), f"trial {t.id}, {outcome}<br>{plain(a.label)} {text}"))
        points.append((None, None, ""))
    return points


def importance(data: StudyData) -> Chart:
    """The share of the variance in performance that each axis explains on its own."""
    trained, found = _trained(data)
    if len(trained) < _MIN_TRIALS:
        return empty(f"Importance needs {_MIN_TRIALS} measured candidates; there are {len(trained)}.")
    ranked = _importance(found, trained)[:_MAX_SUBPLOTS][::-1]
    bars = {
        "type": "bar",
        "orientation": "h",
        "name": "importance",
        "meta": "points",
        "x": [100 * share for dummy, share, dummy_sign in ranked],
        "y": [plain(label, 40) for label, dummy, dummy_sign in ranked],
        "text": [f"{100 * share:.0f} %{sign}" for dummy, share, sign in ranked],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": Colour.BLUE},
        "hovertemplate": "%{y}: %{x:.1f} %<extra></extra>",
    }
    label, share, dummy = ranked[-1]
    words = (
        f"{label} explains most: {100 * share:.0f} %. Effect size (eta squared) of the Kruskal-Wallis test on "
        f"{count(len(trained), 'measured candidate')}: the share of the variance in performance ranks between groups "
        "of similar values, corrected for chance, without interactions. An arrow shows the better direction."
    )
    x_axis = axis("variance explained, %", range=[0, 112], tickvals=[0, 25, 50, 75, 100])
    layout = {"xaxis": x_axis, "yaxis": {"automargin": True, "type": "category"}, "height": 130 + 26 * len(ranked)}
    return chart([bars], {**layout, "showlegend": False, "bargap": 0.35}, words, len(ranked))


def _points(a: Axis, trials: Sequence[Trial]) -> list[Point]:
    return [
        (plain(x, 24) if isinstance(x, str) else x, y, f"trial {t.id}, {per_cent(y)}")
        for t in trials
        if (x := a.value(t.requested)) is not None and (y := t.deviation_percent) is not None
    ]


def _trained(data: StudyData) -> tuple[list[Trial], list[Axis]]:
    trained = [t for t in data.trials if t.phase == "train" and t.performance is not None]
    return trained, axes(data.study["study"], [t.requested for t in evenly(trained, 200)])


def _importance(found: Sequence[Axis], trained: Sequence[Trial]) -> list[tuple[str, float, str]]:
    """(axis, share in [0, 1], arrow in the better direction), most important first."""
    order = sorted(trained, key=lambda t: t.performance or 0.0)
    shares = [(a.label, *_explained(a, order)) for a in found]
    return sorted(shares, key=lambda entry: -entry[1])


def _explained(a: Axis, order: Sequence[Trial]) -> tuple[float, str]:
    """The effect size of the Kruskal-Wallis test (Tomczak and Tomczak, 2014) and the better direction, if any.

    order: the trials by performance, so that their indices are ranks.
    """
    pairs = [(value, rank) for rank, t in enumerate(order) if (value := a.value(t.requested)) is not None]
    groups: dict[Any, list[float]] = defaultdict(list)
    if a.choices:
        for value, rank in pairs:
            groups[value].append(rank)
    else:
        values = sorted(float(value) for value, dummy in pairs)
        edges = sorted({values[len(values) * n // _BINS] for n in range(1, _BINS)}) if values else []
        for value, rank in pairs:
            groups[sum(float(value) >= edge for edge in edges)].append(rank)
    total = len(pairs)
    if len(groups) < 2 or total <= len(groups):
        return 0.0, ""
    mean = fmean(rank for dummy, rank in pairs)
    spread = sum((rank - mean) ** 2 for dummy, rank in pairs)
    between = sum(len(group) * (fmean(group) - mean) ** 2 for group in groups.values())
    share = max(1 - (1 - between / spread) * (total - 1) / (total - len(groups)), 0.0)
    if a.choices or share < 0.02:
        return share, ""
    means = [fmean(group) for dummy, group in sorted(groups.items())]
    if means == sorted(means):
        return share, " ↑"
    return share, " ↓" if means == sorted(means, reverse=True) else ""
