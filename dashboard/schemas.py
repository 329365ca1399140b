# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The objects of the API, from which openapi.py makes its schemas."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Error(BaseModel):
    error: str


class Trial(BaseModel):
    """change_percent: of a candidate against its host's baseline."""

    id: int
    phase: str
    label: str
    host: str
    metric: float | None
    change_percent: float | None
    reward: float | None
    stability: float | None
    state: str
    error: str | None
    finished: datetime | None


class FullTrial(BaseModel):
    """All fields of plugin_utils/_trial/trial.py. benchmark: the guard benchmark that ran, if not the study's own."""

    model_config = ConfigDict(extra="allow")

    id: int
    phase: str
    benchmark: str | None
    host: str
    metric: float | None
    requested: dict[str, Any] | None
    applied: dict[str, Any] | None
    state: str
    error: str | None


class Event(BaseModel):
    id: int
    at: datetime | None
    host: str | None
    text: str


class Host(BaseModel):
    """doing, since: its activity. lost: why it left. restored: whether its original values are back, verified."""

    name: str
    doing: str | None
    since: datetime | None
    lost: str | None
    trials: int
    failures: int
    baseline_metric: float | None
    restored: bool | None


class Status(BaseModel):
    """interrupted: not finished, without a trainer. not_needed: planned trials that the verdict did without.

    reward and best_*: of training. request: the latest stop or restore request.
    """

    phase: str
    verdict: str | None
    reason: str | None
    interrupted: bool
    trials: int
    trials_planned: int
    not_needed: int
    failed: int
    best_percent: float | None
    best_trial: int | None
    reward: float | None
    best_reward: float | None
    episode: int
    elapsed_seconds: float | None
    left_seconds: float | None
    updated: datetime | None
    request: dict[str, Any] | None


class Message(BaseModel):
    """trials and events: the latest, or those since the cursor of the request."""

    cursor: Annotated[str, Field(pattern=r"^\d+-\d+$")]
    status: Status
    hosts: list[Host]
    trials: list[Trial]
    events: list[Event]


class _Study(BaseModel):
    """metrics: what an improvement is about, in words: the metric, or all objectives."""

    id: int
    workload_name: str
    metric: str
    metrics: str
    direction: Literal["maximise", "minimise"]
    seed: int
    started: datetime | None
    finished: datetime | None
    phase: str
    trials_planned: int
    verdict: str | None
    reason: str | None
    running: bool
    interrupted: bool
    trials: int
    failed: int


class Study(_Study):
    """study: the study file. result: result.json. result_problem: why that cannot be read.

    best: the best training trial, which proves nothing.
    """

    study: dict[str, Any] | None
    result: dict[str, Any] | None
    result_problem: str | None
    status: Status
    hosts: list[dict[str, Any]]
    parameters: list[str]
    best: dict[str, Any] | None
    failures: list[Trial]


class Summary(_Study):
    """improvement, interval: per cents."""

    hosts: int
    improvement: float | None
    interval: list[Any] | None
    confidence: float | None
    pairs: float | None
    proved: bool
    best_config: dict[str, Any] | None


class _Page(BaseModel):
    total: int
    page: int
    pages: int


class Studies(_Page):
    studies: list[Summary]
    q: str
    verdict: str


class Table(_Page):
    trials: list[Trial]
    sort: str
    order: str
    phase: str
    host: str
    failed: str


class Figure(BaseModel):
    data: list[Any]
    layout: dict[str, Any]


class Chart(BaseModel):
    """figure: for Plotly. shown, total: points."""

    name: str
    summary: str
    shown: int
    total: int
    figure: Figure


MODELS = (Error, Trial, FullTrial, Event, Host, Status, Message, Study, Summary, Studies, Table, Figure, Chart)
