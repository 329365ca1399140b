# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The check of a benchmark: some runs with the host's own values, and with values far from them, under a lease."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from .._study.presets import expert_settings
from .._study.space import SearchSpace, Value
from .._trial.reward import objective
from .benchmark import BenchmarkFailed
from .compare import ORIGINAL, measured
from .interrupt import Interrupts
from .trial_runner import HostContext

_OWN_RUNS = 8  # before the first probe
_PROBES = 7


def check_benchmark(context: HostContext, interrupts: Interrupts, show: Callable[[str], None], hosts: int = 1) -> bool:
    """Run it, and show what was found; whether it is fit for tuning.

    hosts: of the study. Raises BenchmarkFailed if a run with the host's own values fails, ConnectionLost, and what
    `context.apply` raises.
    """
    # Imported late because it takes a second. These modules must not import torch, which fails within Ansible.
    from .._proof.fitness import Run, fitness

    own: dict[str, Value] = dict(context.originals)
    probes = list(_probes(context.study.space, own))[:_PROBES]
    plan = [(ORIGINAL, own)] * _OWN_RUNS + [each for probe in probes for each in (probe, (ORIGINAL, own))]
    runs: list[Run] = []
    for name, trial in measured(context, plan, interrupts, show):
        found = objective(context.study, trial)
        if found is not None and not trial.error:
            runs.append(Run("" if name == ORIGINAL else name, found, tuple(trial.streamed), trial.seconds["benchmark"]))
        elif name == ORIGINAL:
            raise BenchmarkFailed(f"{trial.error}, with the host's own values")
    result = fitness(context.study, runs, hosts)
    for line in result.lines:
        show(f"  {line}")
    for line in result.advice:
        show(f"  recommendation: {line}")
    verdict = "not yet fit for tuning: follow the recommendations above" if result.advice else "fit for tuning"
    show(f"{context.host}: the benchmark is {verdict}")
    return not result.advice


def _probes(space: SearchSpace, own: Mapping[str, Value]) -> Iterator[tuple[str, dict[str, Value]]]:
    """Values far from the host's own that somebody recommends, or that end the ranges, by what they are called."""
    for name, end in (("lowest values of the ranges", 0.0), ("highest values of the ranges", 1.0)):
        yield name, space.decode(np.full(space.size, end))
    for name, values in expert_settings(space.parameters).items():
        yield name, {**own, **values}
