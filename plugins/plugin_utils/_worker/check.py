# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The check of a benchmark: some runs with the host's own values, and with values far from them, under a lease."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from .._study.presets import expert_settings
from .._study.space import SearchSpace, Value
from .._trial.reward import checked, objective
from .._trial.trial import Phase, Trial
from .benchmark import BenchmarkFailed
from .interrupt import Interrupts
from .progress import duration
from .trial_runner import HostContext, run_trial

_OWN_RUNS = 8  # before the first probe
_PROBES = 7


def check_benchmark(
    context: HostContext, facts: Mapping[str, Any], interrupts: Interrupts, show: Callable[[str], None], hosts: int = 1
) -> bool:
    """Run it, and show what was found; whether it is fit for tuning.

    hosts: of the study. Raises BenchmarkFailed if a run with the host's own values fails, ConnectionLost, and what
    `context.apply` raises.
    """
    # Imported late because it takes a second. These modules must not import torch, which fails within Ansible.
    from .._proof.fitness import Run, fitness

    own: dict[str, Value] = dict(facts["values"])
    probes = dict(list(_probes(context.study.space, own))[:_PROBES])
    plan = [("", own)] * _OWN_RUNS + [each for probe in probes.items() for each in (probe, ("", own))]
    runs: list[Run] = []
    began = time.monotonic()
    for at, (name, values) in enumerate(plan):
        trial = run_trial(context, Trial.pending(Phase.BASELINE, values), interrupts, show)
        trial = checked(context.study, trial)
        found = objective(context.study, trial)
        if trial.error or found is None:
            if not name:
                raise BenchmarkFailed(f"{trial.error}, with the host's own values")
            show(f"{at + 1}/{len(plan)} {context.host}: {name} failed: {trial.error}")
            continue
        runs.append(Run(name, found, tuple(trial.streamed), trial.seconds["benchmark"]))
        metric = f"{trial.metric:.6g} {context.study.reward_metric}"
        left = duration((time.monotonic() - began) / (at + 1) * (len(plan) - at - 1))
        show(f"{at + 1}/{len(plan)} {context.host}: {name or 'original values'} {metric}, {left} left")
    result = fitness(context.study, runs, hosts)
    for line in result.lines:
        show(f"  {line}")
    for line in result.advice:
        show(f"  change: {line}")
    verdict = "not yet fit for tuning: change the above" if result.advice else "fit for tuning"
    show(f"{context.host}: the benchmark is {verdict}")
    return not result.advice


def _probes(space: SearchSpace, own: Mapping[str, Value]) -> Iterator[tuple[str, dict[str, Value]]]:
    """Values far from the host's own that somebody recommends, or that end the ranges, by what they are called."""
    for name, end in (("lowest values of the ranges", 0.0), ("highest values of the ranges", 1.0)):
        yield name, space.decode(np.full(space.size, end))
    for expert, values in expert_settings(space.parameters).items():
        yield f"expert setting {expert}", {**own, **values}
