# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The dry run: everything that a study does on a host, except changing it."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import fmean
from typing import Any

import numpy as np

from .._study.parameters import kernel_text
from .benchmark import BenchmarkFailed
from .progress import duration
from .trial_runner import HostContext


def dry_run(
    context: HostContext, facts: dict[str, Any], *, run_benchmark: bool, show: Callable[[str], None], hosts: int = 1
) -> None:
    """Show the search space, check its bounds on the host without writing, and measure the baseline.

    hosts: the number of hosts of the study. `context.apply` must be in check mode. Raises what it raises,
    BenchmarkFailed and ConnectionLost.
    """
    host, space = context.host, context.study.space
    count = "1 parameter" if len(space.parameters) == 1 else f"{len(space.parameters)} parameters"
    show(f"dry run on {host}: connected, {count} found and writable; nothing will be changed")
    lowest, highest = (space.decode(np.full(space.size, end)) for end in (0.0, 1.0))
    for parameter in space.parameters:
        original = kernel_text(facts["values"][parameter])
        show(f"  would tune {parameter}: now {original}, from {lowest[parameter]} to {highest[parameter]}")
    began = time.monotonic()
    for bound in (lowest, highest):
        context.apply(bound)
    overhead = (time.monotonic() - began) / 2
    show(f"  {host} accepts the bounds of the ranges, as far as can be checked without writing them")
    if run_benchmark:
        _try_benchmark(context, hosts, overhead, show)


def _try_benchmark(context: HostContext, hosts: int, overhead: float, show: Callable[[str], None]) -> None:
    """overhead: seconds that applying values takes."""
    # Imported late because it takes a second. These modules must not import torch, which fails within Ansible.
    from .._proof.noise import power_forecast
    from .._trial.reward import checked, objective
    from .._trial.trial import Phase, State, Trial

    study, trials, seconds = context.study, [], []
    for dummy in range(study.baseline_evaluations):
        try:
            outcome = context.benchmark.run(study.benchmark_command, study.reward_metric)
        except BenchmarkFailed as error:
            raise BenchmarkFailed(f"the benchmark {error}") from None
        trial = checked(
            study, Trial(Phase.BASELINE, state=State.COMPLETE, metric=outcome.metric, metrics=outcome.metrics)
        )
        if trial.error:
            raise BenchmarkFailed(trial.error)
        trials.append(trial)
        seconds.append(outcome.seconds)
    if command := study.guard.health_command:
        if problem := context.benchmark.check(command, study.guard.health_timeout):
            raise BenchmarkFailed(f"the health command {problem}, with the original values")
        show("  the health command succeeds")
    count, benchmark_seconds = study.evaluations_on(1), fmean(seconds)
    metrics = ", ".join(f"{trial.metric:.6g}" for trial in trials)
    show(
        f"  the benchmark works: {metrics} {study.reward_metric} in {benchmark_seconds:.1f} s each; "
        f"on this host alone, {count} trials would take about {duration(count * (benchmark_seconds + overhead))}"
    )
    objectives = {context.host: [objective(study, trial) or 0.0 for trial in trials]}
    forecast = power_forecast(study, objectives, hosts, benchmark_seconds)
    for line in forecast.lines if forecast else ():
        show(f"  {line}")
