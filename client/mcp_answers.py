# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the MCP server's tools answer. Percentages are per cents, durations seconds.

All text in an answer is plain: studies, hosts and benchmarks may contain anything.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from pydantic import BaseModel, model_validator

from ..dashboard import schemas
from ..plugins.plugin_utils._plain import plain_line


class Answer(BaseModel):
    @model_validator(mode="before")
    @classmethod
    def _is_plain(cls, raw: Any) -> Any:
        return _plain(raw)


def _plain(value: Any) -> Any:
    """Text on one line and without control characters; None for numbers that JSON does not have."""
    if isinstance(value, str):
        return plain_line(value.replace("\N{NO-BREAK SPACE}", " ").replace("\n", "; "))
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_plain(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value


class Workload(Answer):
    """A study of the library. study: for plan(). packages: what it needs on the tuned hosts."""

    name: str
    study: str
    stresses: str
    metric: str
    direction: str
    parameters: list[str]
    guard_benchmarks: list[str]
    packages: list[str]


class Workloads(Answer):
    """unusable: library studies that do not work on this controller, with the reason."""

    workloads: list[Workload]
    unusable: list[str]


class Studies(Answer):
    """Latest first. next_cursor: for the next page; None on the last one. note: why the list is empty."""

    studies: list[schemas.Summary]
    total: int
    next_cursor: int | None
    note: str | None = None


class Process(Answer):
    """A playbook that this server started. exit_code: None while it runs. study_id: of a run, once it has begun."""

    plan_id: str
    kind: str
    workload: str
    command: str
    log: str
    started: datetime
    exit_code: int | None
    last_lines: list[str]
    study_id: int | None = None


class StudyStatus(Answer):
    """headline: the state in one sentence that claims no more than was proved. notices: the latest events."""

    id: int
    workload_name: str
    headline: str
    status: schemas.Status
    hosts: list[schemas.Host]
    notices: list[str]


class ServerStatus(Answer):
    """why_not: why nothing can be changed here; None if it can. processes: what this server started, latest last.

    study: None if the store has none, as `note` says.
    """

    root: str
    store: str
    may_change: bool
    why_not: str | None
    processes: list[Process]
    study: StudyStatus | None
    note: str | None = None


class Value(Answer):
    """A parameter of the best configuration. basis: what the value rests on."""

    param: str
    original: str
    value: str
    change: str
    range: str
    basis: list[str]


class Arm(Answer):
    trials: int
    mean: float | None
    median: float
    minimum: float
    maximum: float
    cv_percent: float | None


class Result(Answer):
    """The best configuration with its evidence. proved: without that, do not roll the values out.

    best: the values; before there is a winner, those of the best training trial, which prove nothing. arms: baseline
    and candidate of the proof, in the metric's unit. interpretation: the interval in plain words. evidence: each pair
    of the proof, in the form of result.json. summary: what the terminal shows at the study's end. attention: what
    somebody has to look after.
    """

    study_id: int
    workload_name: str
    headline: str
    verdict: str | None
    reason: str | None
    metric: str
    direction: str
    proved: bool
    improvement: float | None
    interval: list[float] | None
    confidence: float | None
    p_value: float | None
    pairs: int
    better_pairs: int
    best: list[Value]
    arms: dict[str, Arm]
    interpretation: str | None
    summary: list[str]
    attention: list[str]
    evidence: list[dict[str, Any]]
    next_step: str


class Trials(Answer):
    """In order of time. next_cursor: for the next page; None if there are no more trials yet."""

    trials: list[schemas.Trial]
    total: int
    next_cursor: int | None


class Explanation(Answer):
    """A trial in words, and its fields in the form of the store."""

    study_id: int
    trial_id: int
    explanation: list[str]
    trial: dict[str, Any]


class PlanAnswer(Answer):
    """What would be changed. plan_id: None if this server may not change anything, as why_not says.

    values: the new value of each parameter; of a run, its range. seconds: an estimate of the duration, explained in
    `duration`. preview: the end of the playbook's output in check mode. next_step: how to carry it out.
    """

    plan_id: str | None
    expires_in_seconds: float | None
    why_not: str | None
    kind: str
    workload: str
    hosts: list[str]
    values: dict[str, str]
    command: str
    trials_at_most: int | None = None
    seconds: float | None = None
    duration: str | None = None
    preview: list[str] = []
    notices: list[str] = []
    next_step: str


class Begun(Answer):
    """A process that was started, and how to follow it."""

    plan_id: str
    command: str
    log: str
    next_step: str


class Stopping(Answer):
    study_id: int
    requested: str
    next_step: str
