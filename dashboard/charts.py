# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The charts of a study, each drawn from its data as it stands: how it went, and how steady the hosts were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from . import parameter_charts, result_charts
from .formatting import count, number, per_cent
from .plotting import (
    BLUE,
    FAILED,
    GREEN,
    INK,
    ORANGE,
    PHASES,
    QUIET,
    SERIES,
    Chart,
    Point,
    Trace,
    axis,
    chart,
    evenly,
    level,
    line,
    marks,
    not_yet,
    plain,
    rolling_mean,
)
from .queries import StudyData, Trial

_EPISODE = 10  # evaluations, where the study does not say
_PAIRED = ("verify", "ablate")
_FEW = 100  # episodes, of which each can be shown with its spread


def learning_curve(data: StudyData) -> Chart:
    """Every evaluation's change against its host's baseline, with the smoothed way of training and the best so far."""
    traces = _by_phase(data.evaluations, _change_by_number(data.evaluations))
    if not traces:
        return not_yet("Nothing has been measured", data)
    trained = [
        (e.id, e.change_percent) for e in data.evaluations if e.phase == "train" and e.change_percent is not None
    ]
    changes = [change for dummy, change in trained]
    words = [f"{count(len(data.evaluations), 'evaluation')}."]
    if trained:
        window = min(max(5, len(trained) // 12), 100)
        smooth = evenly(list(zip((n for n, dummy in trained), rolling_mean(changes, window), strict=True)), 500)
        traces.append(line(f"mean of the last {window} in training", smooth, ORANGE, width=3))
        best = _best_so_far(trained)
        traces.append(line("best so far", best, GREEN, dash="dash", shape="hv"))
        words.append(
            f"Training began at {per_cent(changes[0])} against the baseline, its last {min(window, len(changes))} "
            f"evaluations had a mean of {per_cent(smooth[-1][1])}; the best single one, number {best[-2][0]}, "
            f"made {per_cent(best[-1][1])}."
        )
    failures = _failures(data)
    if failures:
        low, high = (of(of(trace["y"]) for trace in traces) for of in (min, max))
        floor = low - 0.06 * (high - low)
        points = [(e.id, floor, _about(e)) for e in failures]
        traces.append(marks("failed", points, *FAILED))
        words.append(f"{number(len(failures))} failed; they stand at the lower edge.")
    layout = {
        "xaxis": axis("evaluation"),
        "yaxis": axis("change against the host's baseline, %", ticksuffix=" %"),
        "shapes": [level(0)],
        "annotations": [_named_level("baseline", 0)],
        "height": 430,
    }
    return chart(traces, layout, " ".join(words), _measured(data))


def stability(data: StudyData) -> Chart:
    """Performance against stability, by phase, with the candidates that no other beats in both."""
    placed = {
        e.id: (e.stability, change)
        for e in data.evaluations
        if e.stability is not None and (change := e.change_percent) is not None
    }
    if not placed:
        return not_yet("No evaluation has told its stability", data)
    traces = _by_phase(data.evaluations, placed)
    front = _front([placed[e.id] for e in data.evaluations if e.id in placed and e.phase in ("train", "race")])
    words = ["To the right is steadier, higher up is faster."]
    if front:
        traces.insert(0, line("unbeaten in both", front, INK, dash="dot", width=1.5, shape="vh"))
        words.append(f"{count(len(front), 'candidate')} of training and race unbeaten in both.")
    failures = _failures(data)
    if failures:
        low, high = min(y for dummy, y in placed.values()), max(y for dummy, y in placed.values())
        first, last = failures[0].id, failures[-1].id
        heights = [low + (high - low) * (e.id - first) / max(last - first, 1) for e in failures]
        left = min(x for x, dummy in placed.values()) - 0.05
        traces.append(marks("failed", [(left, y, _about(e)) for e, y in zip(failures, heights, strict=True)], *FAILED))
        words.append(
            f"{number(len(failures))} failed and have neither; they stand at the left edge, the first ones lowest."
        )
    layout = {
        "xaxis": axis("stability, from 0 to 1"),
        "yaxis": axis("change against the host's baseline, %", ticksuffix=" %"),
        "shapes": [level(0)],
    }
    return chart(traces, layout, " ".join(words), _measured(data))


def episodes(data: StudyData) -> Chart:
    """The mean reward of each episode of training, with the least and the largest in it."""
    size = max(int((data.study["study"].get("training_config") or {}).get("max_steps_per_episode") or _EPISODE), 1)
    trained = [e for e in data.evaluations if e.phase == "train" and e.reward is not None]
    parts = [trained[start : start + size] for start in range(0, len(trained), size)]
    if not parts:
        return not_yet("No episode has begun", data)
    means = [fmean(e.reward or 0.0 for e in part) for part in parts]
    # What fails has the worst reward there is: lines that reach down to it would hide all else.
    reach = [[e.reward or 0.0 for e in part if not e.failed] + [mean] for part, mean in zip(parts, means, strict=True)]
    shown = evenly(list(enumerate(means)), 2000)
    places = [place for place, dummy in shown]
    spread = {
        "type": "data",
        "symmetric": False,
        "array": [max(reach[place]) - means[place] for place in places],
        "arrayminus": [means[place] - min(reach[place]) for place in places],
        "color": QUIET,
        "thickness": 1,
        "width": 0,
    }
    numbers = [place + 1 for place in places]
    trace = line("mean reward", zip(numbers, (mean for dummy, mean in shown), strict=True), BLUE)
    trace |= {"mode": "lines+markers", "marker": {"symbol": "circle", "size": 7, "color": BLUE}, "meta": "points"}
    traces = [trace]
    if len(parts) <= _FEW:
        trace["error_y"] = spread
    else:
        trace |= {"mode": "markers", "marker": {"symbol": "circle", "size": 4, "color": BLUE, "opacity": 0.6}}
        smooth = rolling_mean(means, 20)
        traces.append(line("mean of the last 20", ((place + 1, smooth[place]) for place in places), ORANGE, width=3))
    layout = {
        "xaxis": axis(f"episode of {size} evaluations", rangemode="tozero"),
        "yaxis": axis("mean reward"),
        "showlegend": len(traces) > 1,
    }
    unfinished = f"; the last one has {len(parts[-1])} of {size}" if len(parts[-1]) < size else ""
    words = (
        f"{count(len(parts), 'episode')}{unfinished}. Mean reward {number(means[0])} in the first, "
        f"{number(means[-1])} in the last."
    )
    if "error_y" in trace:
        words += " Thin lines reach from the least to the largest reward of what did not fail."
    return chart(traces, layout, words, len(parts))


def drift(data: StudyData) -> Chart:
    """How each host's baseline moved while the study ran: what the first measurement was, in per cent of change."""
    measured: dict[str, list[Trial]] = {}
    for e in data.evaluations:
        if e.phase in ("baseline", "control") and e.metric:
            measured.setdefault(e.host, []).append(e)
    if not measured:
        return not_yet("No baseline has been measured", data)
    many = len(measured) > len(SERIES)
    traces, last = [], {}
    for place, (host, own) in enumerate(measured.items()):
        colour, symbol, dash = (QUIET, "circle", "solid") if many else SERIES[place]
        own = evenly(own, max(2000 // len(measured), 2))
        changes = [(e.metric / own[0].metric - 1) * 100 for e in own if e.metric and own[0].metric]
        last[host] = changes[-1]
        way = zip((e.id for e in own), changes, strict=True)
        trace = line(plain(host, 30), way, colour, dash=dash, width=1 if many else 2)
        trace |= {
            "mode": "lines+markers",
            "meta": "points",
            "marker": {"symbol": symbol, "size": 4 if many else 8, "color": colour},
            "text": [_about(e) for e in own],
            "hovertemplate": "%{text}<extra></extra>",
        }
        traces.append(trace)
    far = max(last, key=lambda host: abs(last[host]))
    total = sum(map(len, measured.values()))
    words = (
        f"{count(total, 'measurement')} of the hosts' own values on {count(len(measured), 'host')}. "
        f"Farthest from its first one is {far}, at {per_cent(last[far])}."
    )
    layout = {
        "xaxis": axis("evaluation"),
        "yaxis": axis("metric against the first baseline, %", ticksuffix=" %"),
        "shapes": [level(0)],
        "showlegend": not many,
    }
    return chart(traces, layout, words, total)


def _change_by_number(evaluations: Sequence[Trial]) -> dict[int, tuple[float, float]]:
    return {e.id: (e.id, change) for e in evaluations if (change := e.change_percent) is not None}


def _by_phase(evaluations: Sequence[Trial], places: dict[int, tuple[float, float]]) -> list[Trace]:
    """A trace a phase; where candidates meet the hosts' own values, these have one of their own."""
    traces = []
    for phase, (colour, symbol) in PHASES.items():
        there = [e for e in evaluations if e.phase == phase and e.id in places]
        own = [e for e in there if e.original] if phase in _PAIRED else []
        others = [e for e in there if not e.original] if own else there
        for name, shape, kind in ((f"{phase}, own values", f"{symbol}-open", own), (phase, symbol, others)):
            points: list[Point] = [(*places[e.id], _about(e)) for e in kind]
            if points:
                best = max(points, key=lambda point: point[1])
                traces.append(marks(name, points, colour, shape, keep=[best[0]]))
    return traces


def _failures(data: StudyData) -> list[Trial]:
    return [e for e in data.evaluations if e.error is not None]


def _measured(data: StudyData) -> int:
    return sum(e.performance is not None or e.error is not None for e in data.evaluations)


def _about(e: Trial) -> str:
    what = (
        f"failed: {plain(e.error)}"
        if e.error is not None
        else f"metric {number(e.metric)}"
        if e.original
        else f"{per_cent(e.gain_percent)}, metric {number(e.metric)}"
    )
    return f"evaluation {e.id}, {e.phase}{f', {e.label}' if e.label else ''}, {plain(e.host, 40)}<br>{what}"


def _best_so_far(trained: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Where the best changed, and the end."""
    steps = [trained[0]]
    for at, change in trained[1:]:
        if change > steps[-1][1]:
            steps.append((at, change))
    return [*steps, (trained[-1][0], steps[-1][1])]


def _front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those of which no other is at least as good in both, from the steadiest on."""
    front: list[tuple[float, float]] = []
    for point in sorted(points, reverse=True):
        if not front or point[1] > front[-1][1]:
            front.append(point)
    return front


def _named_level(text: str, y: float) -> dict[str, object]:
    return {"text": text, "x": 1, "xref": "paper", "xanchor": "right", "y": y, "yanchor": "bottom", "showarrow": False}


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
