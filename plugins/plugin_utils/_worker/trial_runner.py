# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A worker's main loop: receive a trial, apply its values, run the benchmark, send the trial back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from .._study.study import Study
from .._trial.trial import State, Trial, from_json, to_json
from .._wire import Line
from .benchmark import Benchmark, BenchmarkFailed
from .health_guard import HealthMonitor
from .interrupt import Interrupts
from .progress import progress_line
from .repetition import Repetition
from .service import Service
from .transport import Transport

_TICK = 0.1  # seconds until a pause notices that it is cancelled
_RENEWAL = 10.0  # seconds of the lease that a trial may spend before its benchmark


class ApplyFailed(Exception):
    """The host rejected the values and has its original ones; the message is the module's."""


class HostRefused(Exception):
    """The trainer does not accept this host."""


@dataclass(frozen=True)
class HostContext:
    """What the trials on a host need.

    apply: sets the requested values for a trial of a guard benchmark (by its name) or, with None, of the study's own;
    returns the applied ones and raises ApplyFailed. renew: the same in the middle of a trial, where it raises
    ApplyFailed if the lease has expired. restore: restores the original values; returns one clause on what
    was verified. transport: to the host itself; the benchmark may run on another one. guard_benchmarks: by name.
    services: of the workloads that have one, the study's own under None. originals: the host's own values.
    connect_seconds: time that connecting took. background_load: what else used the CPUs before the first trial, a
    sentence each. interference: why a trial with the applied values is invalid, or None.
    """

    host: str
    study: Study
    apply: Callable[[Mapping[str, Any], str | None], dict[str, str]]
    renew: Callable[[Mapping[str, Any], str | None], dict[str, str]]
    restore: Callable[[], str]
    transport: Transport
    benchmark: Benchmark
    connect_seconds: float
    background_load: Sequence[str] = ()
    interference: Callable[[Mapping[str, str]], str | None] = lambda applied: None
    guard_benchmarks: Mapping[str, Benchmark] = field(default_factory=dict)
    services: Mapping[str | None, Service] = field(default_factory=dict)
    originals: Mapping[str, str] = field(default_factory=dict)

    def benchmark_of(self, guard_benchmark: str | None) -> Benchmark:
        return self.benchmark if guard_benchmark is None else self.guard_benchmarks[guard_benchmark]


def run_trials(context: HostContext, line: Line, interrupts: Interrupts, show: Callable[[str], None]) -> dict[str, Any]:
    """Run the trainer's trials until the study ends; returns its result.

    Raises RunInterrupted, HostRefused, _wire.Disconnected, transport.ConnectionLost, and what `apply` raises besides
    ApplyFailed.
    """
    extra = {"connect": context.connect_seconds}
    repetition = Repetition()
    idle_since = time.monotonic()
    shown: set[str] = set()

    def show_once(text: str) -> None:
        if text not in shown:
            shown.add(text)
            show(f"{context.host}: {text}")

    while True:
        with interrupts.allowed():
            message = line.receive()
        match message["kind"]:
            case "notice":
                show(f"note: {message['text']}")
            case "progress":
                workload = context.study.workload(message["benchmark"])
                show(progress_line(context.host, workload.reward_metric, message, several=bool(workload.objectives)))
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
                extra["wait"] = time.monotonic() - idle_since
                run = partial(run_trial, context, from_json(message["trial"]), interrupts, show_once, line.is_readable)
                trial = repetition.undisturbed(run, lambda text: show(f"{context.host}: {text}"), line.is_readable)
                if line.is_readable():
                    continue  # the trial was cancelled by a message, or by the end of the trainer
                trial.seconds.update({name: round(seconds, 4) for name, seconds in extra.items()})
                extra = {}
                line.send("trial", trial=to_json(trial))
                idle_since = time.monotonic()


def run_trial(
    context: HostContext,
    trial: Trial,
    interrupts: Interrupts,
    show: Callable[[str], None] = lambda text: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Trial:
    """Run the trial; returns it complete or failed. A lost host raises.

    show: called with what cannot be observed on the host. is_cancelled: once it is true, the benchmark is killed.
    """
    seconds: dict[str, float] = {}
    began = time.monotonic()
    monitor = _health_monitor(context, trial.benchmark)

    def must_end() -> bool:
        return bool(monitor.violation) or is_cancelled()

    try:
        try:
            trial = replace(trial, applied=context.apply(trial.requested, trial.benchmark), seconds=seconds)
        except ApplyFailed as error:
            failed = trial.fail(f"the values could not be applied: {error}")
            return replace(failed, seconds={"apply": time.monotonic() - began})
        seconds["apply"] = round(time.monotonic() - began, 4)
        with interrupts.allowed():
            trial = _reset_workload(context, trial, monitor, must_end)
            prepared = time.monotonic()
            if trial.state != State.FAILED and not monitor.violation:
                monitor.begin()
                trial = _run_benchmark(context, trial, must_end)
                monitor.end()
    finally:
        monitor.end()
    for text in monitor.blind_spots():
        show(text)
    metrics = {state.metric for state in context.study.state_space}
    observations = {name: round(value, 4) for name, value in monitor.observations().items() if name in metrics}
    trial = replace(trial, observations=observations, health=monitor.signals())
    if monitor.violation:
        context.restore()
        trial = trial.fail(f"guard limit exceeded: {monitor.violation}")
    if trial.state == State.FAILED and not is_cancelled():
        with interrupts.allowed():
            _end_service(context, trial)
    # The overhead of channels, sampling and checks.
    seconds["sample"] = round(time.monotonic() - prepared - seconds.get("benchmark", 0.0), 4)
    return trial


def _end_service(context: HostContext, trial: Trial) -> None:
    """The next trial starts it anew: what made this one fail may have killed it."""
    if service := context.services.get(trial.benchmark):
        with suppress(BenchmarkFailed):  # of a service that is gone, `stop` may fail
            service.end()


def _reset_workload(context: HostContext, trial: Trial, monitor: HealthMonitor, must_end: Callable[[], bool]) -> Trial:
    """Wait for the trial's pause and prepare the workload; the trial, failed if that has failed.

    Both happen with the trial's values, so that leftovers of the values before fade and a service starts with these.
    The health command may ask the service, and so begins with the load of the warm-up.
    """
    began = renewed = time.monotonic()
    try:
        while time.monotonic() < began + trial.pause and not must_end():
            time.sleep(min(_TICK, trial.pause))
            renewed = _renew(context, trial, renewed)
        if trial.pause:
            trial.seconds["pause"] = round(time.monotonic() - began, 4)
        for step, prepare in preparations(context, trial.benchmark, trial.applied, must_end):
            if monitor.violation:
                break
            if step == "warm_up":
                monitor.watch_health()
            started = time.monotonic()
            if prepare():
                trial.seconds[step] = round(time.monotonic() - started, 4)
            renewed = _renew(context, trial, renewed)
    except BenchmarkFailed as error:
        return trial.fail(str(error))
    except ApplyFailed as error:
        return trial.fail(f"the values could not be applied: {error}")
    return trial


def preparations(
    context: HostContext,
    guard_benchmark: str | None,
    applied: Mapping[str, str],
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[str, Callable[[], bool]]]:
    """What a workload needs before its benchmark counts, in order: each step's name, and what does it.

    A step returns whether there was anything to do, and raises BenchmarkFailed, which names the command, or
    ConnectionLost.
    """
    workload, benchmark = context.study.workload(guard_benchmark), context.benchmark_of(guard_benchmark)
    for name, other in context.services.items():
        # It would take a part of the host, and may listen on the same port.
        if name != guard_benchmark:
            yield "stop", other.end

    def run(key: str, act: Callable[[], None]) -> bool:
        try:
            act()
        except BenchmarkFailed as error:
            raise BenchmarkFailed(f"the command `{key}` {error}") from None
        return True

    if service := context.services.get(guard_benchmark):
        yield "stop", lambda: service.end_unless(applied)
        yield "service", lambda: service.require(applied, is_cancelled)
    if between := workload.between:
        yield "between", lambda: run("between", lambda: benchmark.run_once(between, is_cancelled))
    if seconds := workload.warm_up:
        command = workload.benchmark_command
        yield (
            "warm_up",
            lambda: run("benchmark_command", lambda: benchmark.warm_up(command, seconds, is_cancelled)),
        )


def _renew(context: HostContext, trial: Trial, renewed: float) -> float:
    """When the lease was last renewed; now, if that was long ago, because it is to outlast the benchmark."""
    if time.monotonic() - renewed <= _RENEWAL:
        return renewed
    context.renew(trial.requested, trial.benchmark)
    return time.monotonic()


def _health_monitor(context: HostContext, guard_benchmark: str | None) -> HealthMonitor:
    """With the limits of the guard benchmark, if it has its own."""
    own = context.study.workload(guard_benchmark).guard
    guard, benchmark = (own, context.benchmark_of(guard_benchmark)) if own else (context.study.guard, context.benchmark)
    command = guard.health_command
    check = (lambda: benchmark.check(command, guard.health_timeout)) if command else None
    return HealthMonitor(guard, context.transport, check)


def _run_benchmark(context: HostContext, trial: Trial, must_end: Callable[[], bool]) -> Trial:
    workload, benchmark = context.study.workload(trial.benchmark), context.benchmark_of(trial.benchmark)
    try:
        outcome = benchmark.run(workload.benchmark_command, workload.reward_metric, must_end, workload.output)
    except BenchmarkFailed as error:
        return trial.fail(f"the benchmark {error}")
    trial.seconds["benchmark"] = round(outcome.seconds, 4)
    if interference := context.interference(trial.applied):
        return trial.fail(interference)
    return replace(
        trial,
        state=State.COMPLETE,
        metric=outcome.metric,
        streamed=outcome.streamed,
        metrics=outcome.metrics,
    )
