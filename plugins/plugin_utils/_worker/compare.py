# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Sets of values side by side: in each round, every set is measured once, in random order, under a lease."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils._catalogue import find
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_entry import Machine

from .._pace import usual
from .._plain import brief, few
from .._study.parameters import kernel_text, why_unsafe
from .._study.presets import expert_settings
from .._study.space import Value
from .._study.study import Study
from .._trial.reward import checked, objective
from .._trial.trial import Phase, Trial
from .interrupt import Interrupts
from .progress import duration
from .repetition import Repetition
from .trial_runner import HostContext, run_trial

ORIGINAL = "original values"


def problem_with(sets: Mapping[str, Any], rounds: int, parameters: Collection[str]) -> str | None:
    """What is wrong with what is to be compared, of a study with these parameters; None if nothing is."""
    if rounds < 1:
        return f"rounds is {rounds}; it must be at least 1"
    for name, values in sets.items():
        if not isinstance(values, Mapping):
            return f"compare: {brief(name)} is not a dictionary of parameters and values"
        if unknown := [parameter for parameter in values if parameter not in parameters]:
            return f"compare: {brief(name)} changes {few(unknown, ', ')}, which the study does not tune"
    return None


def unsafe_in(sets: Mapping[str, Mapping[str, Value]], study: Study, facts: Mapping[str, Any]) -> list[str]:
    """A line for each value that is not safe on a host, given what `sysctl_info` found there.

    They may have been learned on a larger one.
    """
    found = []
    for name, values in sets.items():
        for parameter, value in values.items():
            safe = facts["parameters"].get(parameter, {}).get("safe_range")
            allowed = not safe or parameter in study.allow_unsafe
            if not allowed and (why := why_unsafe(parameter, [kernel_text(value)], safe)):
                remedy = f"leave it out, or add {parameter} to the study's allow_unsafe"
                found.append(f"compare: {brief(name)}: {why} of this host; {remedy}")
    return found


def _unsafe(values: Mapping[str, Value], machine: Machine, allowed: Collection[str]) -> Iterator[str]:
    for parameter, value in values.items():
        setting = find(parameter)
        safe = setting.safe_range(machine) if setting and parameter not in allowed else None
        if safe and (why := why_unsafe(parameter, [kernel_text(value)], safe)):
            yield why


def measured(
    context: HostContext,
    plan: Sequence[tuple[str, Mapping[str, Value]]],
    interrupts: Interrupts,
    show: Callable[[str], None],
) -> Iterator[tuple[str, Trial]]:
    """Run the benchmark with the values of the plan in order: the name of each, and its trial; shows a line for each.

    Raises ConnectionLost, and what `context.apply` raises.
    """
    seconds: list[float] = []
    repetition = Repetition()
    for at, (name, values) in enumerate(plan, start=1):
        began = time.monotonic()
        run = partial(run_trial, context, Trial.pending(Phase.BASELINE, values), interrupts, show)
        trial = repetition.undisturbed(run, lambda text: show(f"{context.host}: {text}"))
        seconds.append(time.monotonic() - began)
        trial = checked(context.study, trial)
        if trial.error:
            found = f"failed: {trial.error}"
        else:
            left = duration(usual(seconds) * (len(plan) - at))
            found = f"{trial.metric:.6g} {context.study.reward_metric}, {left} left"
        show(f"{at}/{len(plan)} {context.host}: {name} {found}")
        yield name, trial


def compare(
    context: HostContext,
    machine: Machine,
    sets: Mapping[str, Mapping[str, Value]],
    rounds: int,
    interrupts: Interrupts,
    show: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Measure the host's own values, the sets and the expert settings of the study's parameters, if safe there.

    Returns a row for each run: host, round, name, and metric and objective (see reward.py), None if it failed.

    A set names the parameters that it changes. Raises ConnectionLost, and what `context.apply` raises.
    """
    own: dict[str, Value] = dict(context.originals)
    # As they were published, which may be outside the study's ranges: not what a production host is to try.
    is_cautious = context.study.exploration == "cautious"
    experts = {} if is_cautious else expert_settings(context.study.space.parameters)
    for name in list(experts):
        for why in _unsafe(experts[name], machine, context.study.allow_unsafe):
            experts.pop(name, None)
            show(f"{context.host}: {name} is not measured: {why} of this host")
    if is_cautious:
        show(f"{context.host}: exploration is cautious, so that expert settings are not measured")
    everything: dict[str, Mapping[str, Value]] = {
        ORIGINAL: own,
        **{name: {**own, **values} for name, values in {**experts, **sets}.items()},
    }
    # Every host has its own order, which another run repeats.
    order = random.Random(context.host)
    plan = [
        (name, everything[name]) for dummy in range(rounds) for name in order.sample(list(everything), len(everything))
    ]
    return [
        {
            "host": context.host,
            "round": 1 + at // len(everything),
            "name": name,
            "metric": trial.metric,
            "objective": objective(context.study, trial),
        }
        for at, (name, trial) in enumerate(measured(context, plan, interrupts, show))
    ]
