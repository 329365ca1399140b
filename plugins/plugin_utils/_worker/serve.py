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
from .guard import Watch
from .interrupt import Interrupts
from .progress import progress_line
from .transport import Transport

Apply = Callable[[Mapping[str, Any]], dict[str, Any]]


class ApplyFailed(Exception):
    """The host did not take the values; it has put its own back. The message is the module's."""


class Refused(Exception):
    """The trainer does not want this host."""


@dataclass(frozen=True)
class Workplace:
    """All that a worker needs of its host.

    apply: puts values on the host and returns those that the kernel kept; raises ApplyFailed.
    restore: puts the host's own values back; returns one clause on what was verified.
    transport: to the host itself, which is watched through it.
    benchmark runs there or on another host; `connect_seconds` is what it took to get there.
    disturbance: why an evaluation with the values that were kept does not count, or None.
    """

    host: str
    study: Study
    apply: Callable[[Mapping[str, Any]], dict[str, str]]
    restore: Callable[[], str]
    transport: Transport
    benchmark: Benchmark
    connect_seconds: float
    disturbance: Callable[[Mapping[str, str]], str | None] = lambda kept: None


def serve(workplace: Workplace, line: Line, interrupts: Interrupts, show: Callable[[str], None]) -> dict[str, Any]:
    """Answer jobs until the study ends; returns its result.

    Raises Interrupted, Refused, _wire.Disconnected, transport.Lost, and what `apply` raises beyond ApplyFailed.
    """
    extra = {"connect": workplace.connect_seconds}
    waiting_since = time.monotonic()
    told: set[str] = set()

    def tell_once(text: str) -> None:
        if text not in told:
            told.add(text)
            show(f"{workplace.host}: {text}")

    while True:
        with interrupts.allowed():
            message = line.receive()
        match message["kind"]:
            case "notice":
                show(f"note: {message['text']}")
            case "progress":
                show(progress_line(workplace.host, workplace.study.reward_metric, message))
            case "refused":
                raise Refused(message["reason"])
            case "restore":
                ending = workplace.restore()
                show(f"{workplace.host}: {ending}")
                line.send("restored", ending=ending)
            case "end":
                result: dict[str, Any] = message["result"]
                return result
            case "job":
                extra["wait"] = time.monotonic() - waiting_since
                measurement = evaluate(workplace, message, interrupts, tell_once, line.has_news)
                if line.has_news():
                    continue  # the job is off, and what the trainer says or that it is gone comes first
                measurement["seconds"] |= {name: round(seconds, 4) for name, seconds in extra.items()}
                extra = {}
                line.send("measurement", measurement=measurement)
                waiting_since = time.monotonic()


def evaluate(
    workplace: Workplace,
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
    watch = _watch(workplace)
    try:
        try:
            actual = workplace.apply(job["values"])
        except ApplyFailed as error:
            return {"error": f"the values were not taken: {error}", "seconds": {"apply": time.monotonic() - began}}
        applied = time.monotonic()
        seconds["apply"] = round(applied - began, 4)
        with interrupts.allowed():
            watch.begin()
            bound = Bound(job["bound"]) if job.get("bound") else None
            outcome = _run(workplace, lambda: watch.must_end() or called_off(), bound, actual, seconds)
            watch.end()
    finally:
        watch.end()
    for spot in watch.blind_spots():
        show(spot)
    measurement: dict[str, Any] = {"actual": actual, "seconds": seconds, **outcome, "strain": watch.strain()}
    wanted = {state.metric for state in workplace.study.state_space}
    seen = watch.observations()
    measurement["observations"] = {name: round(value, 4) for name, value in seen.items() if name in wanted}
    if watch.reason:
        workplace.restore()
        measurement = {**measurement, "metric": None, "error": f"ended by the guard: {watch.reason}"}
    # What the channels, the sampling and the reading cost beyond the benchmark's own time.
    seconds["sample"] = round(time.monotonic() - applied - seconds.get("benchmark", 0.0), 4)
    return measurement


def _watch(workplace: Workplace) -> Watch:
    guard = workplace.study.guard
    command = guard.health_command
    health = (lambda: workplace.benchmark.check(command, guard.health_timeout)) if command else None
    return Watch(guard, workplace.transport, health)


def _run(
    workplace: Workplace,
    must_end: Callable[[], bool],
    bound: Bound | None,
    actual: Mapping[str, str],
    seconds: dict[str, float],
) -> dict[str, Any]:
    """What came of the benchmark: a metric or an error."""
    study = workplace.study
    try:
        outcome = workplace.benchmark.run(study.benchmark_command, study.reward_metric, must_end, bound)
    except BenchmarkFailed as error:
        return {"error": f"the benchmark {error}"}
    seconds["benchmark"] = round(outcome.seconds, 4)
    if disturbance := workplace.disturbance(actual):
        return {"error": disturbance}
    return {
        "metric": outcome.metric,
        "streamed": outcome.streamed,
        "metrics": outcome.metrics,
        "ended_early": outcome.ended_early,
    }
