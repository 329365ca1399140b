# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The dry run: everything a study would do on a host, short of changing it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._study.parameters import kernel_text
from .benchmark import BenchmarkFailed
from .progress import duration
from .serve import Workplace


def rehearse(workplace: Workplace, facts: dict[str, Any], *, run_benchmark: bool, show: Callable[[str], None]) -> None:
    """Show what would be tried, ask the host whether it would take it, and run the benchmark once on its own values.

    `workplace.apply` must be in check mode. Raises what it raises, and BenchmarkFailed and Lost.
    """
    study, host, space = workplace.study, workplace.host, workplace.study.space
    show(f"dry run on {host}: connected, {len(space.parameters)} parameters there and writable; nothing will be set")
    lowest, highest = (space.decode(np.full(space.size, end)) for end in (0.0, 1.0))
    for parameter in space.parameters:
        own = kernel_text(facts["values"][parameter])
        show(f"  would try {parameter}: now {own}, from {lowest[parameter]} to {highest[parameter]}")
    for candidate in (lowest, highest):
        workplace.apply(candidate)
    show(f"  {host} would take both ends of every range")
    if run_benchmark:
        outcome = workplace.benchmark.run(study.benchmark_command, study.reward_metric)
        if command := study.guard.health_command:
            if problem := workplace.benchmark.check(command, study.guard.health_timeout):
                raise BenchmarkFailed(f"the health command {problem}, with the host's own values")
            show("  the health command says that all is well")
        count = study.evaluations_on(1)
        show(
            f"  the benchmark works: {outcome.metric:.6g} {study.reward_metric} in {outcome.seconds:.1f} s; "
            f"on this host alone {count} evaluations would take about {duration(count * (outcome.seconds + 0.5))}"
        )
