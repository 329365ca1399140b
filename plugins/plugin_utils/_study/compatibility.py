# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Compares two studies: whether trials of one may be used in the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .study import Study

# Keys that affect neither the result of a trial nor the choice of the next candidate.
_IRRELEVANT = {"description", "environment", "files", "optional", "packages", "parameters", "share", "stop", "teardown"}
_OF_TRAINING = {"seed", "verbose", "total_timesteps"}


def differences(then: Study, now: Study) -> list[str]:
    """Why a run of the study as it was `then` cannot be resumed as it is `now`: a clause for each difference.

    A larger training budget is not a difference.
    """
    before, after = dict(_settings(then)), dict(_settings(now))
    found = [
        f"{name} was {_shown(before.get(name))} and is {_shown(after.get(name))}"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]
    budget, own = then.training_config.total_timesteps, now.training_config.total_timesteps
    if own < budget:
        found.append(f"training_config.total_timesteps was {budget} and is {own}, but may only grow")
    return found


def is_same_search(one: Study, other: Study) -> bool:
    """Whether a trial of one study can be used in the other without conversion."""
    wanted = ("workload_name", "reward_metric", "direction", "objectives", "action_space", "constraints", "reward")
    return _parts(one, wanted) == _parts(other, wanted)


def _parts(study: Study, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in _settings(study) if name.split(".")[0].split(" ")[0] in names}


def _settings(study: Study) -> Iterator[tuple[str, Any]]:
    """Every relevant key, with its place in the study file, and its value."""
    dumped = study.model_dump(mode="json")
    for parameter in dumped.pop("action_space"):
        yield from _leaves(f"action_space of {parameter['param']}", parameter)
    for guard in dumped.pop("guard_benchmarks"):
        yield from _leaves(f"guard_benchmarks of {guard['name']}", guard)
    for name in _OF_TRAINING:
        dumped["training_config"].pop(name)
    yield from _leaves("", dumped)


def _leaves(place: str, content: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if name in _IRRELEVANT:
            continue
        here = f"{place}.{name}" if place and " of " not in place else f"{place} {name}".strip()
        if isinstance(value, dict):
            yield from _leaves(here, value)
        else:
            yield here, value


def _shown(value: Any) -> str:
    return "absent" if value is None else json.dumps(value)
