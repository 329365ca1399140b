# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Learned numbers at an end of the range that was searched, and what a wider range might bring."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue import find, why_unsafe
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_entry import Machine

from .._fleet.host import Host
from .._learner.recommendation import MIN_TRIALS
from .._outcome.result import RangeEnd
from .._study.risks import risks_of
from .._study.space import Axis, Candidate, Point, SearchSpace, Value
from .._study.study import Study
from .._trial.reward import percent
from .._trial.trial import State, Trial

_INSIDE = 0.25  # of the range: how far from its end the surrogate is asked for comparison, and how far it might widen


def range_ends(
    study: Study, learned: Mapping[str, Value], trained: Sequence[Trial], hosts: Mapping[str, Host]
) -> dict[str, tuple[RangeEnd, ...]]:
    """By parameter, each of its numbers that is the lowest or highest of its range.

    The surrogate compares the end with a point a quarter of the range inside, the other values being those learned, or
    the first host's original ones.
    """
    originals = next(iter(hosts.values())).original_values if hosts else {}
    candidate: Candidate = {**originals, **learned}
    point = study.space.encode(candidate)
    ends = [at for at, axis in enumerate(study.space.axes) if axis.parameter in learned and _at_end(axis, candidate)]
    gains = _gains(study, point, ends, trained)
    found: dict[str, tuple[RangeEnd, ...]] = {}
    for at, gain in zip(ends, gains, strict=True):
        axis = study.space.axes[at]
        highest = point[at] > 0.5
        promising = gain is not None and gain >= study.verification.min_improvement
        wider = _wider(axis, highest=highest)
        at_limit = wider is not None and _is_risky(axis, candidate, hosts, wider)
        end = RangeEnd(
            element=axis.element if _elements(axis.parameter, study.space) > 1 else None,
            end="highest" if highest else "lowest",
            bound=int(axis.high if highest else axis.low),
            gain=gain,
            wider=wider if promising and not at_limit else None,
            at_limit=at_limit,
        )
        found[axis.parameter] = (*found.get(axis.parameter, ()), end)
    return found


def _at_end(axis: Axis, candidate: Candidate) -> bool:
    if axis.choices:
        return False
    try:
        number = int(str(candidate[axis.parameter]).split()[axis.element])
    except (IndexError, ValueError):
        return False
    return number <= axis.low or number >= axis.high


def _gains(study: Study, point: Point, ends: Sequence[int], trained: Sequence[Trial]) -> list[float | None]:
    """For each axis, the predicted change in per cent from inside its range to the end at which the point lies."""
    if not ends or sum(trial.state == State.COMPLETE for trial in trained) < MIN_TRIALS:
        return [None] * len(ends)
    from .._learner.observation import HostContexts
    from .._learner.surrogate import RewardModel  # imports torch

    points = [point]
    for at in ends:
        inside = np.array(point)
        inside[at] = 1 - _INSIDE if point[at] > 0.5 else _INSIDE
        points.append(inside)
    wanted = [Trial.of_function(study.space.decode(each), None) for each in points]
    rewards = RewardModel(study.space, trained, HostContexts({})).of_tried(wanted)
    share = study.reward.performance_share
    return [percent(float(rewards[0] - reward) / share) for reward in rewards[1:]]


def _wider(axis: Axis, *, highest: bool) -> int | None:
    """An end about a quarter farther out, on a log scale a power of two; None if there is none."""
    if axis.log:
        factor = (axis.high / axis.low) ** _INSIDE
        # At least the next power of two outside.
        power = (
            max(round(math.log2(axis.high * factor)), math.floor(math.log2(axis.high)) + 1)
            if highest
            else min(round(math.log2(axis.low / factor)), math.ceil(math.log2(axis.low)) - 1)
        )
        end = 2 ** max(power, 0)
    else:
        width = max((axis.high - axis.low) * _INSIDE, 1)
        end = round(axis.high + width if highest else axis.low - width)
        end = max(end, 0) if axis.low >= 0 else end
    return end if (end > axis.high if highest else end < axis.low) else None


def _is_risky(axis: Axis, candidate: Candidate, hosts: Mapping[str, Host], end: int) -> bool:
    """Whether this number is not safe on every host, or would run a risk."""
    numbers = str(candidate[axis.parameter]).split()
    numbers[axis.element] = str(end)
    text = " ".join(numbers)
    machines = [Machine(host.facts["memory_bytes"], host.facts["cpus"]) for host in hosts.values()]
    if find(axis.parameter) and any(why_unsafe(axis.parameter, text, machine) for machine in machines):
        return True
    originals = {name: host.original_values for name, host in hosts.items()}
    return bool(risks_of(axis.parameter, text, originals))


def _elements(parameter: str, space: SearchSpace) -> int:
    return next(layout.elements for layout in space.layouts if layout.parameter == parameter)
