# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The guard benchmarks of a study: other workloads that the learned values must not worsen."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, model_validator

from .beside import Command, Files, GuardLimits, StopCommand, WarmUp
from .output_format import CheckedOutput
from .parameters import Strict
from .sections import Direction, GuardMetric, MetricName, Objective

# What a guard study says of its benchmark, by the key that has it here.
_TAKEN = {
    "name": "workload_name",
    "metric": "reward_metric",
    **{
        key: key
        for key in (
            "benchmark_command",
            "output",
            "direction",
            "objectives",
            "environment",
            "run_on",
            "setup",
            "start",
            "stop",
            "between",
            "warm_up",
            "teardown",
            "files",
            "guard",
        )
    },
}


class GuardBenchmark(Strict):
    """A benchmark whose metric the learned values must not worsen by more than `may_worsen` per cent.

    study: the path of a study file, relative to this one, which fills in the keys that are left out; its own guard
    benchmarks are not followed. The trainer, which has no files, gets all keys. guard: None for the study's limits.
    pairs: at most, over all hosts; None for those of the proof.
    """

    study: str | None = None
    name: Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z][A-Za-z0-9_.%/-]*$")] = ""
    metric: MetricName
    direction: Direction = "maximise"
    objectives: list[Objective] = Field(default=[], max_length=20)
    may_worsen: float = Field(gt=0, le=100)
    pairs: int | None = Field(default=None, ge=4, le=10_000)
    files: Files = []
    benchmark_command: Command
    output: CheckedOutput = "lines"
    benchmark_timeout: float = Field(default=60, gt=0, le=86_400)
    environment: dict[str, str] = {}
    run_on: str | None = None
    setup: Command | None = None
    start: Command | None = None
    stop: StopCommand | None = None
    between: Command | None = None
    warm_up: WarmUp = 0
    teardown: Command | None = None
    guard: GuardLimits | None = None

    @model_validator(mode="before")
    @classmethod
    def _take_from_study(cls, given: Any, info: ValidationInfo) -> Any:
        if not isinstance(given, dict):
            return given
        content = dict(given)
        read: Callable[[str], Mapping[str, Any]] | None = (info.context or {}).get("read_guard_study")
        if read and isinstance(given.get("study"), str):
            content = taken_from(read(given["study"])) | content
        if isinstance(content.get("metric"), str):
            content.setdefault("name", content["metric"])
        return content

    @property
    def reward_metric(self) -> str:
        """What a study calls its metric."""
        return self.metric

    @property
    def guard_metrics(self) -> list[GuardMetric]:
        """A guard benchmark has none: its own metric is what guards."""
        return []

    @property
    def commands(self) -> list[list[str]]:
        health = self.guard and self.guard.health_command
        service = (self.start, self.stop)
        texts = (self.benchmark_command, self.setup, *service, self.between, self.teardown, health)
        return [shlex.split(text) for text in texts if text]


def taken_from(study: Mapping[str, Any]) -> dict[str, Any]:
    """What the content of a study file says of its benchmark, as keys of GuardBenchmark."""
    found = {key: study[there] for key, there in _TAKEN.items() if there in study}
    training = study.get("training_config")
    if isinstance(training, dict) and "benchmark_timeout" in training:
        found["benchmark_timeout"] = training["benchmark_timeout"]
    return found
