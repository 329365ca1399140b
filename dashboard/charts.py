# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The charts of a study: those of its progress, and the table of all charts."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean

from ..plugins.plugin_utils._trial.trial import phase_name
from . import parameter_charts, result_charts
from .feed import Feed
from .formatting import count, number, per_cent
from .plotting import (
    SERIES,
    Chart,
    Colour,
    Point,
    Trace,
    axis,
    chart,
    empty,
    evenly,
    level,
    line,
    marker,
    markers,
    not_yet,
    percent_axis,
    plain,
    rolling_mean,
)
from .queries import StudyData, Trial
from .trial_table import BadQuery
from .updates import as_json, steps_per_episode

_LOG = logging.getLogger(__name__)

_PHASES = {
    "baseline": (Colour.INK, "square-open"),
    "control": (Colour.PURPLE, "square"),
    "train": (Colour.BLUE, "circle"),
    "race": (Colour.ORANGE, "diamond"),
    "verify": (Colour.GREEN, "triangle-up"),
    "ablate": (Colour.SKY, "triangle-down"),
    "guard": (Colour.QUIET, "star"),
    "recovery": (Colour.INK, "square-cross"),
}
_WITH_HISTORY = ("learning_curve", "drift")  # what a section of these shows depends on earlier trials
_PAIRED = ("verify", "ablate", "guard")
_FAILED = (Colour.RED, "x-thin")
_CHANGE = "change relative to the host's baseline"
_MAX_ERROR_BARS = 100


def learning_curve(data: StudyData) -> Chart:
    """Change of every trial relative to its host's baseline, with a moving average of training and the best so far.

    The averages, and the words but those on failures, are of the whole study, whatever section of it is drawn.
    """
    drawn = data.drawn
    traces = _by_phase(drawn, {t.id: (t.id, y) for t in drawn if (y := t.deviation_percent) is not None})
    if not traces:
        return not_yet("No trial was measured", data)
    trained = _trained(data)
    words = [f"{count(len(data.trials), 'trial')}."]
    if trained:
        ids, changes = zip(*trained, strict=True)
        window = min(max(5, len(trained) // 12), 100)
        smooth = list(zip(ids, rolling_mean(changes, window), strict=True))
        shown = evenly([point for point in smooth if point[0] in data.section], 500)
        traces.append(line(f"mean of the last {window} training trials", shown, Colour.ORANGE, width=3))
        best = _best_so_far(trained)
        traces.append(line("best so far", _cut(best, data.section), Colour.GREEN, dash="dash", shape="hv"))
        words.append(
            f"Training started at {per_cent(changes[0])} relative to the baseline; the mean of its last "
            f"{min(window, len(changes))} trials is {per_cent(smooth[-1][1])}; the best single trial, {best[-2][0]}, "
            f"reached {per_cent(best[-1][1])}."
        )
    if failures := _failures(drawn):
        low, high = (of(of(trace["y"]) for trace in traces if trace["y"]) for of in (min, max))
        floor = low - 0.06 * (high - low)
        traces.append(markers("failed", [(t.id, floor, _hover(t)) for t in failures], *_FAILED))
        words.append(f"{number(len(failures))} failed (lower edge).")
    label = {
        "text": "baseline",
        "x": 1,
        "xref": "paper",
        "xanchor": "right",
        "y": 0,
        "yanchor": "bottom",
        "showarrow": False,
    }
    layout = {"xaxis": axis("trial"), "yaxis": percent_axis(_CHANGE), "shapes": [level(0)], "height": 430}
    return chart(traces, {**layout, "annotations": [label]}, " ".join(words), _measured(drawn))


def stability(data: StudyData) -> Chart:
    """Performance against stability by phase, with the Pareto front of the candidates."""
    positions = {
        t.id: (t.stability, change)
        for t in data.trials
        if t.stability is not None and (change := t.deviation_percent) is not None
    }
    if not positions:
        return not_yet("No stability was measured", data)
    traces = _by_phase(data.trials, positions)
    front = _front([positions[t.id] for t in data.trials if t.id in positions and t.phase in ("train", "race")])
    words = ["Further right is more stable, higher up is faster."]
    if front:
        traces.insert(0, line("Pareto front", front, Colour.INK, dash="dot", width=1.5, shape="vh"))
        words.append(f"{count(len(front), 'candidate')} of training and race on the Pareto front.")
    if failures := _failures(data.trials):
        low, high = min(y for dummy, y in positions.values()), max(y for dummy, y in positions.values())
        left = min(x for x, dummy in positions.values()) - 0.05
        first, span = failures[0].id, max(failures[-1].id - failures[0].id, 1)
        points = [(left, low + (high - low) * (t.id - first) / span, _hover(t)) for t in failures]
        traces.append(markers("failed", points, *_FAILED))
        words.append(f"{number(len(failures))} failed and have neither (left edge, in order of time).")
    layout = {"xaxis": axis("stability, from 0 to 1"), "yaxis": percent_axis(_CHANGE), "shapes": [level(0)]}
    return chart(traces, layout, " ".join(words), _measured(data.trials))


def episodes(data: StudyData) -> Chart:
    """Mean reward of each training episode, with its lowest and highest reward."""
    size = steps_per_episode(data.study)
    trained = [t for t in data.trials if t.phase == "train"]
    parts = [trained[start : start + size] for start in range(0, len(trained), size)]
    if not parts:
        return not_yet("No episode was started", data)
    means = [fmean(t.reward for t in part) for part in parts]
    points = evenly(list(enumerate(means, 1)))
    unfinished = f"; the last one has {len(parts[-1])} of {size} trials" if len(parts[-1]) < size else ""
    words = (
        f"{count(len(parts), 'episode')}{unfinished}. Mean reward {number(means[0])} in the first, "
        f"{number(means[-1])} in the last."
    )
    if len(parts) <= _MAX_ERROR_BARS:
        # Failed trials have the lowest possible reward; error bars down to it would hide everything else.
        rewards = [[t.reward for t in part if not t.failed] + [mean] for part, mean in zip(parts, means, strict=True)]
        up = [max(own) - mean for own, mean in zip(rewards, means, strict=True)]
        down = [mean - min(own) for own, mean in zip(rewards, means, strict=True)]
        bars = {"type": "data", "symmetric": False, "array": up, "arrayminus": down}
        bars |= {"color": Colour.QUIET, "thickness": 1, "width": 0}
        look = {"mode": "lines+markers", "marker": marker(Colour.BLUE), "meta": "points", "error_y": bars}
        traces = [line("mean reward", points, Colour.BLUE) | look]
        words += " Thin lines span the rewards of the trials that did not fail."
    else:
        smooth = rolling_mean(means, 20)
        traces = [
            markers("mean reward", points, Colour.BLUE, marker=marker(Colour.BLUE, size=4, opacity=0.6)),
            line("mean of the last 20", [(n, smooth[n - 1]) for n, dummy in points], Colour.ORANGE, width=3),
        ]
    layout = {"xaxis": axis(f"episode of {size} trials", rangemode="tozero"), "yaxis": axis("mean reward")}
    return chart(traces, {**layout, "showlegend": len(traces) > 1}, words, len(parts))


def drift(data: StudyData) -> Chart:
    """Baseline of each host over the study, in per cent of its first measurement, also if that is not drawn."""
    measured: dict[str, list[Trial]] = {}
    for t in data.trials:
        if t.phase in ("baseline", "control") and t.metric:
            measured.setdefault(t.host, []).append(t)
    if not measured:
        return not_yet("No baseline was measured", data)
    many = len(measured) > len(SERIES)
    traces, last = [], {}
    for index, (host, members) in enumerate(measured.items()):
        colour, symbol, dash = (Colour.QUIET, "circle", "solid") if many else SERIES[index]
        drawn = evenly([t for t in members if t.id in data.section], max(2000 // len(measured), 2))
        first = members[0].metric or 1.0
        points = [(t.id, ((t.metric or 0.0) / first - 1) * 100, _hover(t)) for t in drawn]
        last[host] = ((members[-1].metric or 0.0) / first - 1) * 100
        look = {"mode": "lines+markers", "meta": "points", "marker": marker(colour, symbol, 4 if many else 8)}
        traces.append(line(plain(host, 30), points, colour, dash=dash, width=1 if many else 2) | look)
    most = max(last, key=lambda host: abs(last[host]))
    total = sum(map(len, measured.values()))
    words = (
        f"{count(total, 'baseline measurement')} on {count(len(measured), 'host')}. "
        f"Largest drift: {most}, {per_cent(last[most])}."
    )
    layout = {"xaxis": axis("trial"), "yaxis": percent_axis("drift from the first baseline"), "shapes": [level(0)]}
    return chart(traces, {**layout, "showlegend": not many}, words, total)


def compare(studies: Sequence[StudyData]) -> Chart:
    """The best so far in training of several studies."""
    traces, ends = [], []
    for data, (colour, dummy, dash) in zip(studies, SERIES, strict=False):
        name = f"{data.study['workload_name']} {data.study['id']}"
        if trained := _trained(data):
            best = _best_so_far(trained)
            traces.append(line(plain(name, 30), best, colour, dash=dash, width=2.5, shape="hv"))
            ends.append(f"{name} {per_cent(best[-1][1])}")
    if not traces:
        return empty("No candidate was measured yet.")
    words = f"Best single training trial relative to the baseline: {'; '.join(ends)}."
    layout = {"xaxis": axis("trial"), "yaxis": percent_axis(_CHANGE), "shapes": [level(0)], "height": 430}
    return chart(traces, {**layout, "showlegend": True}, words, 0)


def _trained(data: StudyData) -> list[tuple[int, float]]:
    """(trial, change) of the training trials."""
    return [(t.id, y) for t in data.trials if t.phase == "train" and (y := t.deviation_percent) is not None]


def _by_phase(trials: Sequence[Trial], positions: dict[int, tuple[float, float]]) -> list[Trace]:
    """One trace per phase; in paired phases, another one for the original values."""
    traces = []
    for phase, (colour, symbol) in _PHASES.items():
        members = [t for t in trials if t.phase == phase and t.id in positions]
        originals = [t for t in members if t.original] if phase in _PAIRED else []
        others = [t for t in members if not t.original] if originals else members
        shown = phase_name(phase)
        for name, shape, group in ((f"{shown}, original values", f"{symbol}-open", originals), (shown, symbol, others)):
            points: list[Point] = [(*positions[t.id], _hover(t)) for t in group]
            if points:
                best = max(points, key=lambda point: point[1])
                traces.append(markers(name, points, colour, shape, keep=[best[0]]))
    return traces


def _failures(trials: Sequence[Trial]) -> list[Trial]:
    return [t for t in trials if t.failed]


def _measured(trials: Sequence[Trial]) -> int:
    return sum(t.performance is not None or t.failed for t in trials)


def _hover(t: Trial) -> str:
    if t.failed:
        outcome = f"failed: {plain(t.error)}"
    else:
        outcome = f"{'' if t.original else f'{per_cent(t.change_percent)}, '}metric {number(t.metric)}"
    return f"trial {t.id}, {phase_name(t.phase)}, {t.label}, {plain(t.host, 40)}<br>{outcome}"


def _best_so_far(trained: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """The trials that improved on the best so far, and the last trial."""
    steps = [trained[0]]
    for at, change in trained[1:]:
        if change > steps[-1][1]:
            steps.append((at, change))
    return [*steps, (trained[-1][0], steps[-1][1])]


def _cut(steps: Sequence[tuple[int, float]], section: range) -> list[tuple[int, float]]:
    """The part of a line of steps that lies in the section."""
    before = [(section.start, height) for at, height in steps if at < section.start]
    inside = [(at, height) for at, height in steps if at in section]
    after = [(section[-1], (before[-1:] + inside)[-1][1])] if steps[-1][0] > section[-1] and (before or inside) else []
    return [*before[-1:], *inside, *after]


def _front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other point dominates, by falling x."""
    front: list[tuple[float, float]] = []
    for point in sorted(points, reverse=True):
        if not front or point[1] > front[-1][1]:
            front.append(point)
    return front


CHARTS: dict[str, Callable[[StudyData], Chart]] = {
    "learning_curve": learning_curve,
    "stability": stability,
    "episodes": episodes,
    "best": result_charts.best,
    "parameters": parameter_charts.parameters,
    "parallel": parameter_charts.parallel,
    "importance": parameter_charts.importance,
    "drift": drift,
    "evidence": result_charts.evidence,
}


class UnknownChart(LookupError):
    """There is no chart of that name."""


def chart_json(feed: Feed, name: str, first: int | None = None, last: int | None = None) -> str:
    """The chart {name, figure: {data, layout}, summary, shown, total}, of the trials from first to last.

    Raises UnknownChart, BadQuery.
    """
    if name not in CHARTS:
        raise UnknownChart(f"there is no chart {name[:40]!r}; there are {', '.join(CHARTS)}")
    if first is not None and last is not None and first > last:
        raise BadQuery("from must not be above to")
    data = feed.data()
    if first is not None or last is not None:
        data = replace(data, section=range(first or 0, sys.maxsize if last is None else last + 1))
        if name not in _WITH_HISTORY:
            data = replace(data, trials=data.drawn)
    try:
        drawn = CHARTS[name](data)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        # Whatever a store holds, one chart must not take the page with it.
        _LOG.exception("chart %s of study %d", name, feed.study_id)
        drawn = empty("This chart cannot be drawn from the content of the store; see the dashboard's log.")
    return as_json({"name": name, **vars(drawn)})
