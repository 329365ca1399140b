# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A host as the trainer sees it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from .evaluation import Evaluation, Job


@dataclass
class Ticket:
    """A job on its way: `evaluation` once it is done."""

    job: Job
    evaluation: Evaluation | None = None


@dataclass
class Host:
    """A host that is ready; `recent` holds its latest measurements of the baseline, newest last."""

    name: str
    facts: dict[str, Any]
    baseline_values: dict[str, str]
    own: deque[Ticket] = field(default_factory=deque)
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=3))
    baseline_metrics: list[float] = field(default_factory=list)
    since_control: int = 0
    baseline_failures: int = 0

    @property
    def baseline(self) -> float:
        return median(self.recent)


def shared(parameters: Sequence[str], one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The parameters of which two hosts that run on one kernel have only one."""
    if one["boot_id"] != other["boot_id"]:
        return []
    same_network = one["network_namespace"] == other["network_namespace"]
    return [parameter for parameter in parameters if same_network or not parameter.startswith(("net.", "net/"))]


def differing_values(one: Host, other: Host) -> str:
    """What differs between two hosts' own values, as one clause; empty where nothing does."""
    return " and ".join(
        f"{parameter} is {value} on {one.name} and {other.baseline_values[parameter]} on {other.name}"
        for parameter, value in one.baseline_values.items()
        if value != other.baseline_values[parameter]
    )
