# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The dry run: everything a study would do on a host, short of changing it."""

from __future__ import annotations

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
    """Show what would be tried, have the host check it without writing, and run the benchmark on the host's own values,
    as often as the study's baseline does.

    hosts: how many the study has. `workplace.apply` must be in check mode. Raises what it raises, and BenchmarkFailed
    and Lost.
    """
    host, space = context.host, context.study.space
    count = "1 parameter" if len(space.parameters) == 1 else f"{len(space.parameters)} parameters"
    show(f"dry run on {host}: connected, {count} there and writable; nothing will be set")
    lowest, highest = (space.decode(np.full(space.size, end)) for end in (0.0, 1.0))
    for parameter in space.parameters:
        own = kernel_text(facts["values"][parameter])
        show(f"  would try {parameter}: now {own}, from {lowest[parameter]} to {highest[parameter]}")
    for candidate in (lowest, highest):
        context.apply(candidate)
    # What the kernel itself says to a value, only writing it can tell.
    show(f"  {host}: nothing speaks against the ends of the ranges, as far as that shows without writing them")
    if run_benchmark:
        _try_benchmark(context, hosts, show)


def _try_benchmark(context: HostContext, hosts: int, show: Callable[[str], None]) -> None:
    # Only here, for it takes a second; nothing of the trainer's that needs torch, which cannot be had in Ansible.
    from .._proof.noise import power_forecast
    from .._trial.reward import checked, objective
    from .._trial.trial import Phase, State, Trial

    study, found, seconds = context.study, [], []
    for dummy in range(study.baseline_evaluations):
        try:
            outcome = context.benchmark.run(study.benchmark_command, study.reward_metric)
        except BenchmarkFailed as error:
            raise BenchmarkFailed(f"the benchmark {error}") from None
        measured = checked(
            study, Trial(Phase.BASELINE, state=State.COMPLETE, metric=outcome.metric, metrics=outcome.metrics)
        )
        if measured.error:
            raise BenchmarkFailed(measured.error)
        found.append(measured)
        seconds.append(outcome.seconds)
    if command := study.guard.health_command:
        if problem := context.benchmark.check(command, study.guard.health_timeout):
            raise BenchmarkFailed(f"the health command {problem}, with the host's own values")
        show("  the health command says that all is well")
    count, each = study.evaluations_on(1), fmean(seconds)
    metrics = ", ".join(f"{measured.metric:.6g}" for measured in found)
    show(
        f"  the benchmark works: {metrics} {study.reward_metric} in {each:.1f} s each; "
        f"on this host alone {count} evaluations would take about {duration(count * (each + 0.5))}"
    )
    figures = [objective(study, measured) or 0.0 for measured in found]
    forecast = power_forecast(study, {context.host: figures}, hosts, each)
    for line in forecast.lines if forecast else ():
        show(f"  {line}")
