# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Whether a benchmark is fit for tuning, from a few runs: noise, warm-up, drift, carry-over and sensitivity.

A study goes on, changes its benchmark first, or is given up, because no probe changed anything by as much as counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import fmean

import numpy as np
from scipy import stats

from .._study.study import Study
from .._trial.reward import percent
from .difference import limit_of
from .noise import Forecast, detectable, power_forecast, rounded_up, scatter_of, shown

# Of a benchmark without any of these troubles, one in a hundred is accused of each.
_IMPROBABLE = 0.01
_NEGLIGIBLE = 0.5  # per cent
_NO_NOISE = 1e-6  # of a log ratio: the metric is counted rather than measured


@dataclass(frozen=True)
class Run:
    """A run of the benchmark.

    probe: which values it ran with, empty for the host's own. objective: see reward.py. streamed: the metric's values
    within the run. metrics: all that it printed. seconds: its duration.
    """

    probe: str
    objective: float
    streamed: tuple[float, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0


class Decision(StrEnum):
    """What to do with the study."""

    GO_ON = "go on"
    CHANGE = "change"
    GIVE_UP = "give up"


@dataclass(frozen=True)
class Fitness:
    """lines: what was measured, one line each. advice: what would make the benchmark better, what is needed first.

    detectable: the gain that the proof will detect, in per cent. seen: whether a probe differed by more than noise.
    """

    decision: Decision
    lines: tuple[str, ...]
    advice: tuple[str, ...]
    detectable: float
    seen: bool


def fitness(
    study: Study, runs: Sequence[Run], hosts: int = 1, disturbances: Sequence[str] = (), missing: int = 0
) -> Fitness:
    """Judge the benchmark by its runs on one host, in order.

    They begin with at least four runs of the host's own values, and each probe has such a run before and after it.
    hosts: how many the study has. disturbances: what else the host did, and what to do about it: a note, unless the
    benchmark is too noisy. missing: probes that failed and so are not among the runs. Raises ValueError if there are
    too few runs.
    """
    own = [at for at, run in enumerate(runs) if not run.probe]
    first = next((at for at, run in enumerate(runs) if run.probe), len(runs))
    if first < 4:
        raise ValueError(f"{first} runs of the host's own values are too few to judge by")
    warm, warm_up = _warm_up(runs[:first])
    steady = [run.objective for run in runs[:first]][warm:]
    seconds = fmean(run.seconds for run in runs)
    forecast = power_forecast(study, {"": steady}, hosts, seconds)
    if forecast is None:
        raise ValueError("the runs have no objective")
    guards, guard_advice = _guard_metrics(study, runs[warm:first], hosts)
    findings = [
        *warm_up,
        *_within(runs, seconds, 1.0 if study.direction == "maximise" else -1.0),
        *_drift([(at, runs[at].objective) for at in own[warm:]]),
        *_carry_over(runs, own[warm:]),
    ]
    shortest, longest = min(run.seconds for run in runs), max(run.seconds for run in runs)
    probes = _probes(runs, forecast)
    too_noisy = [*(forecast.lines[2:] if forecast.is_too_noisy else ()), *guard_advice.needed]
    lines = [
        f"a run takes {seconds:.1f} s ({shortest:.1f} to {longest:.1f}); in all changes below, positive is better",
        *(f"note: {text}" for text in disturbances),
        *forecast.lines[:2],
        *guards,
        *(line for line, dummy in findings),
        *(probe.line for probe in probes),
    ]
    needed = [*(disturbances if too_noisy else ()), *(advice for dummy, advice in findings), *too_noisy]
    if missing and not probes:
        needed.append("every probe failed: narrow the ranges to values with which the benchmark works")
    advice = tuple(dict.fromkeys([*needed, *forecast.lines[2:], *guard_advice.useful]))
    seen = any(probe.is_seen for probe in probes)
    if probes and not seen:
        lines.append("no probe differs from the host's own values by more than noise: do not expect a large gain")
    most = max((probe.most for probe in probes), default=math.inf)
    is_hopeless = most < study.verification.min_improvement and not missing
    decision = Decision.CHANGE if needed else Decision.GIVE_UP if is_hopeless else Decision.GO_ON
    return Fitness(decision, tuple(lines), advice, forecast.detectable, seen)


@dataclass(frozen=True)
class _GuardAdvice:
    """What to change before tuning, and what would help."""

    needed: list[str] = field(default_factory=list)
    useful: list[str] = field(default_factory=list)


def _guard_metrics(study: Study, runs: Sequence[Run], hosts: int) -> tuple[list[str], _GuardAdvice]:
    """Which worsening of each guard metric the proof can rule out: lines, and advice where its limit is smaller."""
    lines, advice, rules = [], _GuardAdvice(), study.verification
    for guard in study.guard_metrics:
        found = [run.metrics.get(guard.metric, 0.0) for run in runs]
        if min(found) <= 0:  # the proof takes a change from 0 for a large one
            if max(found) > 0:
                advice.useful.append(
                    f"guard metric {guard.metric} was 0 in some runs, and seldom passes for that reason"
                )
            continue
        scatter, dummy = scatter_of([math.log(value) for value in found])
        cv = percent(scatter)
        half, most = (
            math.log1p(detectable(cv, rules.pairs, hosts, rules.confidence, power) / 100)
            for power in (0.5, rules.power)
        )
        worse = percent(most) if guard.direction == "minimise" else -percent(-most)
        lines.append(
            f"guard metric {guard.metric}: noise {shown(cv) if cv else 'none'}; the proof can rule out a worsening "
            f"beyond {shown(worse)}; limit {guard.may_worsen:g} %"
        )
        if most <= -limit_of(guard):
            continue
        way = f"raise its may_worsen to {rounded_up(worse):g}" if worse < 100 else "leave it out"
        (advice.needed if half > -limit_of(guard) else advice.useful).append(
            f"guard metric {guard.metric} is too noisy for its limit, which candidates that do no harm would "
            f"{'mostly' if half > -limit_of(guard) else 'sometimes'} miss: {way}, make the benchmark longer, or raise "
            "verification.pairs"
        )
    return lines, advice


def _warm_up(runs: Sequence[Run]) -> tuple[int, list[tuple[str, str]]]:
    """Whether the first run differs from those after it: how many to leave out, and the finding."""
    head, *rest = (run.objective for run in runs)
    change = head - fmean(rest)
    error = max(float(np.std(rest, ddof=1)), _NO_NOISE) * math.sqrt(1 + 1 / len(rest))
    if not _is_real(change, error, len(rest) - 1):
        return 0, []
    line = f"warm-up: the first run differed by {_signed(change)} from those after it"
    return 1, [(line, "set warm_up to the seconds that the workload takes to reach its pace, or warm it up in `setup`")]


def _within(runs: Sequence[Run], seconds: float, sign: float) -> Iterator[tuple[str, str]]:
    """Whether the beginnings of runs differ from their rests. sign: -1 if a smaller metric is better."""
    changes = []
    for run in runs:
        quarter = len(run.streamed) // 4
        if quarter and min(run.streamed) > 0:
            changes.append(sign * math.log(fmean(run.streamed[:quarter]) / fmean(run.streamed[quarter:])))
    if len(changes) < 4:
        return
    change, error = fmean(changes), max(float(stats.sem(changes)), _NO_NOISE)
    if _is_real(change, error, len(changes) - 1):
        yield (
            f"warm-up: the first quarter of a run differed by {_signed(change)} from the rest",
            f"set warm_up to at least {math.ceil(seconds / 4)} s, or let the benchmark leave its beginning out",
        )


def _drift(points: Sequence[tuple[int, float]]) -> Iterator[tuple[str, str]]:
    """Whether runs of the host's own values become better or worse with time."""
    times, objectives = zip(*points, strict=True)
    if len(set(objectives)) == 1:
        return
    found = stats.linregress(times, objectives)
    change = found.slope * (times[-1] - times[0])
    if found.pvalue < _IMPROBABLE and not _is_negligible(change):
        yield (
            f"drift: the host's own values changed by {_signed(change)} from the first run to the last",
            "reset in `between` what grows from run to run (data, logs, caches), or look for other load on the host",
        )


def _carry_over(runs: Sequence[Run], own: Sequence[int]) -> Iterator[tuple[str, str]]:
    """Whether the host's own values perform differently right after other values."""
    after = [runs[at].objective for at in own if at and runs[at - 1].probe]
    others = [runs[at].objective for at in own if not (at and runs[at - 1].probe)]
    if len(after) < 2 or len(others) < 3:
        return
    change = fmean(after) - fmean(others)
    # The scatter of those that nothing precedes: after different values, what is left may differ as well.
    error = max(float(np.std(others, ddof=1)), _NO_NOISE) * math.sqrt(1 / len(after) + 1 / len(others))
    if _is_real(change, error, len(others) - 1):
        yield (
            f"carry-over: right after other values, the host's own were {_signed(change)} against their other runs",
            "name a command in `between` that resets the workload before each run",
        )


@dataclass(frozen=True)
class _Probe:
    """What a probe changes. most: the largest change that it may have made, in either direction, in per cent."""

    line: str
    is_seen: bool
    most: float


def _probes(runs: Sequence[Run], forecast: Forecast) -> list[_Probe]:
    """Each against the runs of the host's own values around it."""
    scatter = max(math.log1p(forecast.cv / 100), _NO_NOISE)
    found = []
    for at, run in enumerate(runs):
        if run.probe:
            around = [runs[there].objective for there in (at - 1, at + 1) if 0 <= there < len(runs)]
            change = run.objective - fmean(around)
            margin = scatter * math.sqrt(1 + 1 / len(around)) * float(stats.t.isf(0.025, forecast.freedom))
            low, high = percent(change - margin), percent(change + margin)
            line = f"{run.probe}: {_signed(change)} ({low:+.1f} to {high:+.1f})"
            found.append(_Probe(line, abs(change) > margin, percent(abs(change) + margin)))
    return found


def _is_real(change: float, error: float, freedom: int) -> bool:
    """Whether a change is neither luck, by Student's t, nor too small to matter."""
    return 2 * stats.t.sf(abs(change) / error, freedom) < _IMPROBABLE and not _is_negligible(change)


def _is_negligible(change: float) -> bool:
    return abs(percent(change)) < _NEGLIGIBLE


def _signed(change: float) -> str:
    return f"{percent(change):+.1f} %"
