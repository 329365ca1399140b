# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A host's side of the run: receive a candidate, apply it, run the benchmark, send the measurement."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._study.study import Study
from .._trial.trial import State, Trial, from_json, to_json
from .._wire import Line
from .benchmark import Benchmark, BenchmarkFailed
from .health_guard import HealthMonitor
from .interrupt import Interrupts
from .progress import progress_line
from .transport import Transport

Apply = Callable[[Mapping[str, Any]], dict[str, Any]]


class ApplyFailed(Exception):
    """The host did not take the values; it has put its own back. The message is the module's."""


class HostRefused(Exception):
    """The trainer does not want this host."""


@dataclass(frozen=True)
class HostContext:
    """All that a worker needs of its host.

    apply: puts values on the host and returns those that the kernel kept; raises ApplyFailed.
    restore: puts the host's own values back; returns one clause on what was verified.
    transport: to the host itself, which is watched through it.
    benchmark runs there or on another host; `connect_seconds` is what it took to get there.
    interference: why an evaluation with the values that were kept does not count, or None.
    """

    host: str
    study: Study
    apply: Callable[[Mapping[str, Any]], dict[str, str]]
    restore: Callable[[], str]
    transport: Transport
    benchmark: Benchmark
    connect_seconds: float
    interference: Callable[[Mapping[str, str]], str | None] = lambda kept: None


def run_trials(context: HostContext, line: Line, interrupts: Interrupts, show: Callable[[str], None]) -> dict[str, Any]:
    """Answer jobs until the study ends; returns its result.

    Raises Interrupted, HostRefused, _wire.Disconnected, transport.Lost, and what `apply` raises beyond ApplyFailed.
    """
    extra = {"connect": context.connect_seconds}
    waiting_since = time.monotonic()
    told: set[str] = set()

    def tell_once(text: str) -> None:
        if text not in told:
            told.add(text)
            show(f"{context.host}: {text}")

    while True:
        with interrupts.allowed():
            message = line.receive()
        match message["kind"]:
            case "notice":
                show(f"note: {message['text']}")
            case "progress":
                show(progress_line(context.host, context.study.reward_metric, message))
            case "refused":
                raise HostRefused(message["reason"])
            case "restore":
                ending = context.restore()
                show(f"{context.host}: {ending}")
                line.send("restored", ending=ending)
            case "end":
                result: dict[str, Any] = message["result"]
                return result
            case "trial":
                extra["wait"] = time.monotonic() - waiting_since
                trial = run_trial(context, from_json(message["trial"]), interrupts, tell_once, line.has_news)
                if line.has_news():
                    continue  # the trial is off, and what the trainer says or that it is gone comes first
                trial.seconds.update({name: round(seconds, 4) for name, seconds in extra.items()})
                extra = {}
                line.send("trial", trial=to_json(trial))
                waiting_since = time.monotonic()


def run_trial(
    context: HostContext,
    trial: Trial,
    interrupts: Interrupts,
    show: Callable[[str], None] = lambda text: None,
    called_off: Callable[[], bool] = lambda: False,
) -> Trial:
    """Run the trial; it comes back complete or failed. A host that is lost raises.

    show: is told what cannot be watched. called_off: as soon as it is true, the benchmark is ended.
    """
    seconds: dict[str, float] = {"apply": 0.0}
    began = time.monotonic()
    monitor = _health_monitor(context)
    try:
        try:
            trial = replace(trial, applied=context.apply(trial.requested))
        except ApplyFailed as error:
            failed = trial.fail(f"the values were not taken: {error}")
            return replace(failed, seconds={"apply": time.monotonic() - began})
        applied = time.monotonic()
        seconds["apply"] = round(applied - began, 4)
        with interrupts.allowed():
            monitor.begin()
            trial = _run(context, trial, lambda: bool(monitor.violation) or called_off(), seconds)
            monitor.end()
    finally:
        monitor.end()
    for spot in monitor.blind_spots():
        show(spot)
    wanted = {state.metric for state in context.study.state_space}
    seen = {name: round(value, 4) for name, value in monitor.observations().items() if name in wanted}
    trial = replace(trial, observations=seen, health=monitor.signals(), seconds=seconds)
    if monitor.violation:
        context.restore()
        trial = trial.fail(f"ended by the guard: {monitor.violation}")
    # What the channels, the sampling and the reading cost beyond the benchmark's own time.
    seconds["sample"] = round(time.monotonic() - applied - seconds.get("benchmark", 0.0), 4)
    return trial


def _health_monitor(context: HostContext) -> HealthMonitor:
    guard = context.study.guard
    command = guard.health_command
    health = (lambda: context.benchmark.check(command, guard.health_timeout)) if command else None
    return HealthMonitor(guard, context.transport, health)


def _run(context: HostContext, trial: Trial, must_end: Callable[[], bool], seconds: dict[str, float]) -> Trial:
    """The trial with what came of the benchmark: a metric or an error."""
    study = context.study
    try:
        outcome = context.benchmark.run(study.benchmark_command, study.reward_metric, must_end)
    except BenchmarkFailed as error:
        return trial.fail(f"the benchmark {error}")
    seconds["benchmark"] = round(outcome.seconds, 4)
    if interference := context.interference(trial.applied):
        return trial.fail(interference)
    return replace(
        trial,
        state=State.COMPLETE,
        metric=outcome.metric,
        streamed=outcome.streamed,
        metrics=outcome.metrics,
    )
