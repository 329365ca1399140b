# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The check of a benchmark: some runs with the host's own values, and with values far from them, under a lease."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from .._study.presets import expert_settings
from .._study.space import SearchSpace, Value
from .._trial.reward import objective
from .benchmark import BenchmarkFailed
from .compare import ORIGINAL, measured
from .dry_run import try_guard_benchmarks
from .interrupt import Interrupts
from .progress import duration
from .trial_runner import HostContext

if TYPE_CHECKING:
    from .._proof.fitness import Fitness

_OWN_RUNS = 8  # before the first probe
_PROBES = 7


def check_benchmark(
    context: HostContext, interrupts: Interrupts, show: Callable[[str], None], hosts: int = 1
) -> dict[str, Any]:
    """Run it, show what was found, and decide; what that adds to the action's result.

    hosts: of the study. Raises BenchmarkFailed if a run with the host's own values fails, ConnectionLost, and what
    `context.apply` raises.
    """
    # Imported late because it takes a second. These modules must not import torch, which fails within Ansible.
    from .._proof.fitness import Run, fitness

    own: dict[str, Value] = dict(context.originals)
    probes = list(_probes(context.study.space, own))[:_PROBES]
    plan = [(ORIGINAL, own)] * _OWN_RUNS + [each for probe in probes for each in (probe, (ORIGINAL, own))]
    try_guard_benchmarks(context, show)
    runs: list[Run] = []
    seconds: list[float] = []  # of whole trials
    for name, trial in measured(context, plan, interrupts, show):
        found = objective(context.study, trial)
        if found is not None and not trial.error:
            probe = "" if name == ORIGINAL else name
            runs.append(Run(probe, found, tuple(trial.streamed), trial.metrics, trial.seconds["benchmark"]))
            seconds.append(sum(trial.seconds.values()))
        elif name == ORIGINAL:
            raise BenchmarkFailed(f"with the host's own values, {trial.error}")  # which may end with a remedy
    result = fitness(context.study, runs, hosts, context.background_load)
    for line in result.lines:
        show(f"  {line}")
    for line in result.advice:
        show(f"  recommendation: {line}")
    reason = _reason(context, result, hosts, fmean(seconds))
    show(f"{context.host}: decision: {result.decision.value}: {reason}")
    return {"decision": result.decision.value, "reason": reason, "advice": list(result.advice)}


def _reason(context: HostContext, result: Fitness, hosts: int, seconds: float) -> str:
    """seconds: that a trial takes."""
    if result.decision == "change":
        count = len(result.advice)
        others = f" (the first of {count} recommendations)" if count > 1 else ""
        return f"{result.advice[0]}{others}; then check again"
    if result.decision == "give up":
        return (
            "nothing that these parameters do would be detected; tune others (sysctl_info catalogue=true lists them), "
            "or measure what the workload waits for"
        )
    trials = context.study.trials_on(hosts)
    where = "1 host" if hosts == 1 else f"{hosts} hosts"
    cost = f"the study takes up to {trials} trials and {duration(trials * seconds / hosts)} on {where}"
    return f"{cost}, and detects gains from {result.detectable:.2g} % on"


def _probes(space: SearchSpace, own: Mapping[str, Value]) -> Iterator[tuple[str, dict[str, Value]]]:
    """Values far from the host's own that somebody recommends, or that end the ranges, by what they are called."""
    for name, end in (("lowest values of the ranges", 0.0), ("highest values of the ranges", 1.0)):
        yield name, space.decode(np.full(space.size, end))
    for name, values in expert_settings(space.parameters).items():
        yield name, {**own, **values}
