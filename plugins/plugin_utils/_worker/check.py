# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The check of a benchmark: some runs with the host's own values, and with values far from them, under a lease."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from .._plain import plain_line
from .._study.presets import expert_settings
from .._study.space import SearchSpace, Value
from .._study.study import Study
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
_PROBES = 9


def check_benchmark(
    context: HostContext, interrupts: Interrupts, show: Callable[[str], None], hosts: int = 1
) -> dict[str, Any]:
    """Run it, show what was found, and decide; what that adds to the action's result.

    hosts: of the study. Raises BenchmarkFailed if a run with the host's own values fails, ConnectionLost, and what
    `context.apply` raises.
    """
    # Imported late because it takes a second. These modules must not import torch, which fails within Ansible.
    from .._proof.fitness import Run, fitness

    study, own = context.study, dict(context.originals)
    probes = [] if study.exploration == "cautious" else list(_probes(study.space, own).items())
    if not probes:
        show(f"  {context.host}: exploration is cautious, so that no values but the host's own are measured")
    plan = [(ORIGINAL, own)] * _OWN_RUNS + [each for probe in probes[:_PROBES] for each in (probe, (ORIGINAL, own))]
    guard_seconds = try_guard_benchmarks(context, show)
    runs: list[Run] = []
    seconds: list[float] = []  # of whole trials
    for name, trial in measured(context, plan, interrupts, show):
        found = objective(study, trial)
        if found is not None and not trial.error:
            probe = "" if name == ORIGINAL else name
            runs.append(Run(probe, found, tuple(trial.streamed), trial.metrics, trial.seconds["benchmark"]))
            seconds.append(sum(trial.seconds.values()))
        elif name == ORIGINAL:
            raise BenchmarkFailed(f"with the host's own values, {trial.error}")  # which may end with a remedy
    missing = len(probes) - sum(bool(run.probe) for run in runs)
    result = fitness(study, runs, hosts, context.background_load, missing)
    for line in result.lines:
        show(f"  {line}")
    for line in result.advice:
        show(f"  recommendation: {line}")
    reason = plain_line(_reason(study, result, hosts, _whole(study, hosts, fmean(seconds), guard_seconds)))
    show(f"{context.host}: decision: {result.decision.value}: {reason}")
    # Ansible prints what a task returns as it is.
    advice = [plain_line(line) for line in result.advice]
    answer = {"decision": result.decision.value, "reason": reason, "advice": advice}
    return (
        answer
        if result.decision == "go on"
        else {**answer, "failed": True, "msg": f"{result.decision.value}: {reason}"}
    )


def _whole(study: Study, hosts: int, seconds: float, guard_seconds: Mapping[str, float]) -> float:
    """How long all trials take. seconds: of one of the study's own. guard_seconds: of a guard benchmark's, by name."""
    guards = {each.name: 2 * study.guard_rounds(each, hosts) for each in study.guard_benchmarks}  # trials on each host
    own = study.trials_on(hosts) / hosts - sum(guards.values())
    return own * seconds + sum(count * guard_seconds.get(name, seconds) for name, count in guards.items())


def _reason(study: Study, result: Fitness, hosts: int, whole: float) -> str:
    """whole: seconds that the study takes."""
    least = study.verification.min_improvement
    if result.decision == "change":
        count = len(result.advice)
        others = f" (the first of {count} recommendations)" if count > 1 else ""
        return f"{result.advice[0]}{others}; then check again"
    if result.decision == "give up":
        return (
            f"no probe changed the metric by as much as min_improvement ({least:g} %); tune other parameters "
            "(sysctl_info catalogue=true lists them), or measure what the workload waits for"
        )
    where = "1 host" if hosts == 1 else f"{hosts} hosts"
    cost = f"the study takes up to {study.trials_on(hosts)} trials and {duration(whole)} on {where}"
    unseen = "" if result.seen else "; no probe showed an effect, so that a gain is not to be expected"
    return f"{cost}, and detects gains from {max(result.detectable, least, 0.1):.2g} % on{unseen}"


def _probes(space: SearchSpace, own: Mapping[str, Value]) -> dict[str, dict[str, Value]]:
    """Values far from the host's own, by what they are called: in the ranges, of experts, and choices left by these."""
    places = {"lowest values of the ranges": 0.0, "highest values of the ranges": 1.0, "middle of the ranges": 0.5}
    found = {name: dict(space.decode(np.full(space.size, place))) for name, place in places.items()}
    # As training would try them, within the ranges and constraints of the study.
    experts = expert_settings(space.parameters)
    found |= {name: dict(space.decode(space.encode({**own, **values}))) for name, values in experts.items()}
    for axis in space.axes:
        tried = {str(values[axis.parameter]) for values in (own, *found.values())}
        for choice in axis.choices:
            if str(choice) not in tried:
                found[f"{axis.parameter} {choice}"] = {**own, axis.parameter: choice}
    return found
