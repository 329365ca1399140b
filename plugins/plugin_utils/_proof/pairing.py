# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The pairs of a proof: their number and order on each host, and the log ratios that they yield."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from .._study.sections import GuardMetric
from .._study.space import Value
from .._study.study import Study
from .._trial.reward import LARGEST_LOG_RATIO, log_ratio, objective
from .._trial.trial import State, Trial
from .evidence import Pair

Measure = Callable[[Sequence[Trial]], list[Trial]]


def orders(hosts: Sequence[str], most: int, seed: int) -> dict[str, list[bool]]:
    """For every pair of every host, whether the baseline comes first: drawn, then reversed in the next pair.

    Every other host has the opposite order of the host before it: with two hosts, each round has both orders.
    """
    generator = np.random.default_rng(seed)
    draws = [generator.random(-(-most // 2)) < 0.5 for dummy in hosts[::2]]
    found = {}
    for at, host in enumerate(hosts):
        own = ~draws[at // 2] if at % 2 else draws[at // 2]
        found[host] = [bool(first) for draw in own for first in (draw, not draw)]
    return found


def pairs_per_host(wanted: int, present: Sequence[str], begun: Mapping[str, int], pairs: Sequence[Pair]) -> int:
    """How many more pairs each present host must measure to reach `wanted` in total, lost hosts included."""
    done = sum(begun[host] for host in present) + sum(pair.host not in present for pair in pairs)
    return max(-(-(wanted - done) // len(present)), 0)


def in_order(baseline_first: bool, values: Mapping[str, Value]) -> tuple[Mapping[str, Value] | None, ...]:
    return (None, values) if baseline_first else (values, None)


def still_present(hosts: Sequence[str], trials: Sequence[Trial]) -> list[str]:
    lost = {trial.host for trial in trials if trial.state == State.LOST}
    return [host for host in hosts if host not in lost]


def pairs_of(study: Study, trials: Sequence[Trial]) -> list[Pair]:
    """The pairs in which both runs succeeded."""
    pairs = []
    for one, other in zip(trials[::2], trials[1::2], strict=True):
        first: Literal["baseline", "candidate"] = "baseline" if one.original else "candidate"
        original, tuned = (one, other) if first == "baseline" else (other, one)
        before, after = objective(study, original), objective(study, tuned)
        if before is None or after is None or original.metric is None or tuned.metric is None:
            continue
        pairs.append(
            Pair(
                host=one.host,
                pair=one.pair or 0,
                first=first,
                baseline=original.metric,
                candidate=tuned.metric,
                log_ratio=after - before,
                guards={
                    guard.metric: ratio
                    for guard in study.workload(original.benchmark).guard_metrics
                    if (ratio := _guard_ratio(guard, original, tuned)) is not None
                },
            )
        )
    return pairs


def _guard_ratio(guard: GuardMetric, original: Trial, tuned: Trial) -> float | None:
    """The log ratio; bounded, because a guard metric may be 0, such as a count of errors."""
    before, after = original.metrics.get(guard.metric), tuned.metrics.get(guard.metric)
    if before is None or after is None or before < 0 or after < 0:
        return None
    if before > 0 and after > 0:
        return log_ratio(after, before, guard.direction)
    better = (after > before) == (guard.direction == "maximise")
    return 0.0 if before == after else LARGEST_LOG_RATIO if better else -LARGEST_LOG_RATIO
