# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A host's side of the run: receive a candidate, apply it, run the benchmark, send the measurement."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .._study.study import Study
from .._wire import Line, Message
from .benchmark import Benchmark, BenchmarkFailed
from .bound import Bound
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
            case "job":
                extra["wait"] = time.monotonic() - waiting_since
                measurement = run_trial(context, message, interrupts, tell_once, line.has_news)
                if line.has_news():
                    continue  # the job is off, and what the trainer says or that it is gone comes first
                measurement["seconds"] |= {name: round(seconds, 4) for name, seconds in extra.items()}
                extra = {}
                line.send("measurement", measurement=measurement)
                waiting_since = time.monotonic()


def run_trial(
    context: HostContext,
    job: Message,
    interrupts: Interrupts,
    show: Callable[[str], None] = lambda text: None,
    called_off: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """One evaluation, as the content of a Measurement. A candidate that fails is a measurement, a lost host is not.

    show: is told what cannot be watched. called_off: as soon as it is true, the benchmark is ended.
    """
    seconds: dict[str, float] = {"apply": 0.0}
    began = time.monotonic()
    monitor = _health_monitor(context)
    try:
        try:
            actual = context.apply(job["values"])
        except ApplyFailed as error:
            return {"error": f"the values were not taken: {error}", "seconds": {"apply": time.monotonic() - began}}
        applied = time.monotonic()
        seconds["apply"] = round(applied - began, 4)
        with interrupts.allowed():
            monitor.begin()
            bound = Bound(job["bound"]) if job.get("bound") else None
            outcome = _run(context, lambda: bool(monitor.violation) or called_off(), bound, actual, seconds)
            monitor.end()
    finally:
        monitor.end()
    for spot in monitor.blind_spots():
        show(spot)
    measurement: dict[str, Any] = {"actual": actual, "seconds": seconds, **outcome, "strain": monitor.signals()}
    wanted = {state.metric for state in context.study.state_space}
    seen = monitor.observations()
    measurement["observations"] = {name: round(value, 4) for name, value in seen.items() if name in wanted}
    if monitor.violation:
        context.restore()
        measurement = {**measurement, "metric": None, "error": f"ended by the guard: {monitor.violation}"}
    # What the channels, the sampling and the reading cost beyond the benchmark's own time.
    seconds["sample"] = round(time.monotonic() - applied - seconds.get("benchmark", 0.0), 4)
    return measurement


def _health_monitor(context: HostContext) -> HealthMonitor:
    guard = context.study.guard
    command = guard.health_command
    health = (lambda: context.benchmark.check(command, guard.health_timeout)) if command else None
    return HealthMonitor(guard, context.transport, health)


def _run(
    context: HostContext,
    must_end: Callable[[], bool],
    bound: Bound | None,
    actual: Mapping[str, str],
    seconds: dict[str, float],
) -> dict[str, Any]:
    """What came of the benchmark: a metric or an error."""
    study = context.study
    try:
        outcome = context.benchmark.run(study.benchmark_command, study.reward_metric, must_end, bound)
    except BenchmarkFailed as error:
        return {"error": f"the benchmark {error}"}
    seconds["benchmark"] = round(outcome.seconds, 4)
    if interference := context.interference(actual):
        return {"error": interference}
    return {
        "metric": outcome.metric,
        "streamed": outcome.streamed,
        "metrics": outcome.metrics,
        "ended_early": outcome.ended_early,
    }
