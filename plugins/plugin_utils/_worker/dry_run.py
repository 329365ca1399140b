# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The dry run: everything that a study does on a host, except changing it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from .._study.parameters import kernel_text
from .._study.risks import risks_tried
from .._trial.reward import checked, objective
from .._trial.trial import Phase, State, Trial
from .benchmark import BenchmarkFailed
from .progress import duration
from .trial_runner import HostContext, preparations

if TYPE_CHECKING:
    from .._proof.noise import Forecast


def dry_run(
    context: HostContext, facts: dict[str, Any], *, run_benchmark: bool, show: Callable[[str], None], hosts: int = 1
) -> None:
    """Show the search space, check its bounds on the host without writing, and measure the baseline.

    hosts: the number of hosts of the study. `context.apply` must be in check mode. Raises what it raises,
    BenchmarkFailed and ConnectionLost.
    """
    host, space = context.host, context.study.space
    count = "1 parameter" if len(space.parameters) == 1 else f"{len(space.parameters)} parameters"

    def tell(line: str) -> None:
        show(f"  {host}: {line}" if hosts > 1 else f"  {line}")

    show(f"dry run on {host}: connected, {count} found and writable; nothing will be changed")
    lowest, highest = (space.decode(np.full(space.size, end)) for end in (0.0, 1.0))
    for parameter in space.parameters:
        original = kernel_text(facts["values"][parameter])
        tell(f"would tune {parameter}: now {original}, from {lowest[parameter]} to {highest[parameter]}")
    for risk in risks_tried(context.study.action_space, {host: facts["values"]}):
        tell(f"note: {risk}")
    began = time.monotonic()
    for bound in (lowest, highest):
        context.apply(bound, None)
    overhead = (time.monotonic() - began) / 2
    show(f"  {host} accepts the bounds of the ranges, as far as can be checked without writing them")
    for disturbance in context.background_load:
        tell(f"note: {disturbance}")
    if run_benchmark:
        _try_benchmark(context, hosts, overhead, tell)
        try_guard_benchmarks(context, show)


def _try_benchmark(context: HostContext, hosts: int, overhead: float, tell: Callable[[str], None]) -> None:
    """overhead: seconds that applying values takes."""
    study, trials = context.study, baseline_trials(context)
    if command := study.guard.health_command:
        if problem := context.benchmark.check(command, study.guard.health_timeout):
            raise BenchmarkFailed(f"the health command {problem}, with the original values")
        tell("the health command succeeds")
    count, benchmark_seconds = study.trials_on(1), fmean(trial.seconds["benchmark"] for trial in trials)
    metrics = ", ".join(f"{trial.metric:.6g}" for trial in trials)
    tell(
        f"the benchmark works: {metrics} {study.reward_metric} in {benchmark_seconds:.1f} s each; "
        f"on this host alone, {count} trials would take about {duration(count * (benchmark_seconds + overhead))}"
    )
    forecast = forecast_of(context, trials, hosts)
    for line in forecast.lines if forecast else ():
        tell(line)


def baseline_trials(context: HostContext) -> list[Trial]:
    """The benchmark with the values that the host has, as often as for a baseline; applies nothing.

    Raises BenchmarkFailed and ConnectionLost.
    """
    return [_run_once(context, None, "the benchmark") for dummy in range(context.study.baseline_trials)]


def forecast_of(context: HostContext, trials: Sequence[Trial], hosts: int) -> Forecast | None:
    """What the noise of these trials lets the proof detect on so many hosts; None for fewer than two trials."""
    # Imported late because it takes a second. These modules must not import torch, which fails within Ansible.
    from .._proof.noise import power_forecast

    objectives = {context.host: [objective(context.study, trial) or 0.0 for trial in trials]}
    return power_forecast(context.study, objectives, hosts, fmean(trial.seconds["benchmark"] for trial in trials))


def try_guard_benchmarks(context: HostContext, show: Callable[[str], None]) -> dict[str, float]:
    """Run each guard benchmark once with the values that the host has: a run needs them only at its end, hours later.

    Returns how many seconds each took, with what precedes it, such as its warm-up; by name. Raises BenchmarkFailed,
    which names the one that does not work, and ConnectionLost.
    """
    seconds: dict[str, float] = {}
    for guard in context.study.guard_benchmarks:
        began = time.monotonic()
        trial = _run_once(context, guard.name, f"guard benchmark {guard.name}")
        seconds[guard.name] = round(time.monotonic() - began, 4)
        show(
            f"  guard benchmark {guard.name} works on {context.host}: {trial.metric:.6g} {guard.metric} in "
            f"{trial.seconds['benchmark']:.1f} s; limit: {guard.may_worsen:g} % worse"
        )
    return seconds


def _run_once(context: HostContext, guard_benchmark: str | None, name: str) -> Trial:
    workload, benchmark = context.study.workload(guard_benchmark), context.benchmark_of(guard_benchmark)
    try:
        for dummy, prepare in preparations(context, guard_benchmark, context.originals):
            prepare()
    except BenchmarkFailed as error:
        raise BenchmarkFailed(f"{name}: {error}" if guard_benchmark else str(error)) from None
    try:
        outcome = benchmark.run(workload.benchmark_command, workload.reward_metric, output_format=workload.output)
    except BenchmarkFailed as error:
        error.args = (f"{name} {error}",)
        raise
    trial = Trial(
        Phase.GUARD if guard_benchmark else Phase.BASELINE,
        benchmark=guard_benchmark,
        state=State.COMPLETE,
        metric=outcome.metric,
        metrics=outcome.metrics,
        seconds={"benchmark": outcome.seconds},
    )
    trial = checked(context.study, trial)
    if trial.error:
        raise BenchmarkFailed(f"{name}: {trial.error}" if guard_benchmark else trial.error)
    return trial
