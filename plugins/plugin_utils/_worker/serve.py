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
from .interrupt import Interrupts
from .progress import progress_line
from .sampling import Sampler
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
    benchmark runs on `transport`, and so does the sampling; `connect_seconds` is what it took to get there.
    disturbance: why an evaluation with the values that were kept does not count, or None.
    """

    host: str
    study: Study
    apply: Callable[[Mapping[str, Any]], dict[str, str]]
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
            case "end":
                result: dict[str, Any] = message["result"]
                return result
            case "job":
                extra["wait"] = time.monotonic() - waiting_since
                measurement = evaluate(workplace, message, interrupts)
                measurement["seconds"] |= {name: round(seconds, 4) for name, seconds in extra.items()}
                extra = {}
                line.send("measurement", measurement=measurement)
                waiting_since = time.monotonic()


def evaluate(workplace: Workplace, job: Message, interrupts: Interrupts) -> dict[str, Any]:
    """One evaluation, as the content of a Measurement. A candidate that fails is a measurement, a lost host is not."""
    study, seconds = workplace.study, {"apply": 0.0}
    began = time.monotonic()
    try:
        actual = workplace.apply(job["values"])
    except ApplyFailed as error:
        return {"error": f"the values were not taken: {error}", "seconds": {"apply": time.monotonic() - began}}
    applied = time.monotonic()
    seconds["apply"] = round(applied - began, 4)
    with interrupts.allowed():
        sampler = Sampler(workplace.transport) if study.state_space else None
        measurement: dict[str, Any] = {"actual": actual, "seconds": seconds}
        try:
            outcome = workplace.benchmark.run(study.benchmark_command, study.reward_metric)
            seconds["benchmark"] = round(outcome.seconds, 4)
            if disturbance := workplace.disturbance(actual):
                measurement["error"] = disturbance
            else:
                measurement |= {"metric": outcome.metric, "streamed": outcome.streamed, "metrics": outcome.metrics}
        except BenchmarkFailed as error:
            measurement["error"] = f"the benchmark {error}"
        finally:
            observations = sampler.stop() if sampler else {}
    wanted = {state.metric for state in study.state_space}
    measurement["observations"] = {name: round(value, 4) for name, value in observations.items() if name in wanted}
    # What the channels, the sampling and the reading cost beyond the benchmark's own time.
    seconds["sample"] = round(time.monotonic() - applied - seconds.get("benchmark", 0.0), 4)
    return measurement
