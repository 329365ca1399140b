# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""result.json: the outcome of a study, written by the trainer and read by everything else.

docs/reference/result.md describes every key; the descriptions are in docs/reference/descriptions.yml.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from ansible_collections.autotune.kernel.plugins.module_utils import _durable
from pydantic import Field, ValidationError, model_validator

from .._plain import few
from .._proof.evidence import (
    Ablation,
    CarryOver,
    GuardBenchmarkOutcome,
    GuardOutcome,
    GuardTest,
    InterimAnalysis,
    Interval,
    Pair,
    Parameter,
    Record,
    Recovery,
    Standing,
    Value,
)
from . import verdict

FILE_NAME = "result.json"
_MAX_SIZE = 16 * 2**20  # bytes; a real one has a few kB


class ResultError(ValueError):
    """A result.json that cannot be used; the message is one line."""


class Stability(Record):
    score: float
    parts: dict[str, float]


class Baseline(Record):
    metric: float
    stability: Stability | None = None
    original_values: dict[Parameter, str]
    cv_percent: float | None = None


class Best(Record):
    metric: float
    stability: Stability | None = None


class HostResult(Record):
    original_values: dict[Parameter, str]
    baseline_metric: float | None
    best_metric: float | None = None
    improvement: float | None = None
    interval: Interval | None = None
    pairs: int = 0
    trials: int = 0
    failures: int = 0
    kernel: str = "unknown"
    recovery: Recovery | None = None


class HostNoise(Record):
    cv_percent: float | None = None
    noise_percent: float | None = None
    drift_percent: float | None = None
    baseline_shifts: tuple[tuple[int, int, float], ...] = ()
    outlier: str | None = None


class Noise(Record):
    cv_percent: float | None = None
    detectable_percent: float | None = None
    notices: tuple[str, ...] = ()
    per_host: dict[str, HostNoise] = {}


class EarlyStopping(Record):
    training: str | None = None
    trials_saved: int = 0


class Objective(Record):
    metric: str
    direction: Literal["maximise", "minimise"]
    weight: float
    change: float | None = None


class RangeEnd(Record):
    """A number that is the last of the range that was searched.

    element: its place in a vector. gain: what the surrogate predicts, in per cent, for the last quarter of the range.
    wider: the end that a wider range might have. at_limit: values beyond are not safe, or run a known risk.
    """

    element: int | None = None
    end: Literal["lowest", "highest"]
    bound: int
    gain: float | None = None
    wider: int | None = None
    at_limit: bool = False


class KnownRisk(Record):
    """What the kernel's documentation warns of (see module_utils/_catalogue_risk.py)."""

    warning: str
    quote: str
    source: str


class Change(Record):
    """A parameter's original value on each host, its learned value, and what that rests on.

    basis, contribution, interval: of the value and of those in together_with; see Contribution.
    """

    param: Parameter
    description: str = ""
    original: dict[str, str] = {}
    learned: Value
    contribution: float | None = None
    interval: Interval | None = None
    basis: Literal["alone", "jointly", "not shown"] | None = None
    together_with: tuple[str, ...] = ()
    proposed_by: str = ""
    restart: bool = False
    range_ends: tuple[RangeEnd, ...] = ()
    risks: tuple[KnownRisk, ...] = ()


class Result(Record):
    """Changes are in per cent, durations in seconds; `interval` is the confidence interval of `improvement`."""

    format: Literal[2] = 2
    workload_name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
    verdict: Literal["improved", "no_improvement", "failed", "stopped"]
    proved: bool = False
    reason: str = ""
    metric: str
    direction: Literal["maximise", "minimise"] = "maximise"
    best_config: dict[Parameter, Value] | None = None
    best_reward: float | None = None
    improvement: float | None = None
    interval: Interval | None = None
    p_value: float | None = None
    confidence: float = 0.95
    pairs: int = 0
    baseline: Baseline | None = None
    best: Best | None = None
    per_host: dict[str, HostResult] = {}
    bootstrap: Interval | None = None
    evidence: tuple[Pair, ...] = ()
    interim_analyses: tuple[InterimAnalysis, ...] = ()
    decided_after: int | None = None
    carry_over: tuple[CarryOver, ...] = ()
    guard_metrics: tuple[GuardOutcome, ...] = ()
    guard_benchmarks: tuple[GuardBenchmarkOutcome, ...] = ()
    guard_tests: tuple[GuardTest, ...] = ()
    race: tuple[Standing, ...] = ()
    ablation: Ablation | None = None
    noise: Noise | None = None
    early_stopping: EarlyStopping | None = None
    objectives: tuple[Objective, ...] = ()
    trials: dict[str, int] = {}
    not_needed: int = 0
    seconds: dict[str, float] = {}
    parameters: tuple[Change, ...] = ()
    seed: int | None = None
    versions: dict[str, str] = {}
    started: str = ""
    finished: str = ""
    store: str = ""
    study_id: int | None = None
    study: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _improved_is_proved(cls, raw: Any) -> Any:
        return {**raw, "proved": verdict.is_proved(raw)} if isinstance(raw, dict) else raw

    @model_validator(mode="after")
    def _improved_is_complete(self) -> Self:
        needed = ("best_config", "improvement", "interval", "baseline", "best")
        missing = [name for name in needed if getattr(self, name) in (None, {})]
        if self.improved and missing:
            raise ValueError(f"the verdict is 'improved', but {' and '.join(missing)} is missing")
        return self

    @property
    def improved(self) -> bool:
        return self.verdict == "improved"

    @property
    def changes(self) -> tuple[Change, ...]:
        """One for each of the best values, also where `parameters` has no entry for it."""
        described = {change.param: change for change in self.parameters}
        return tuple(
            described.get(name, Change(param=name, learned=value)).model_copy(update={"learned": value})
            for name, value in (self.best_config or {}).items()
        )

    @property
    def role(self) -> str:
        """The learned role's name."""
        return self.workload_name.replace("-", "_")

    @property
    def persist(self) -> str:
        """The name of the drop-in in /etc/sysctl.d, and of the host's rollback record."""
        return f"autotune-{self.workload_name}"

    @property
    def allow_unsafe(self) -> list[str]:
        """The learned parameters that the study may set beyond denylist and safe range."""
        allowed = self.study.get("allow_unsafe") or []
        return sorted(set(self.best_config or {}) & {name for name in allowed if isinstance(name, str)})


def read(folder: Path) -> Result:
    """The result in `folder`; raises ResultError if there is none or it is invalid."""
    path = folder / FILE_NAME
    if not path.is_file():
        raise ResultError(f"{path} does not exist: name the folder that a study has written")
    if path.stat().st_size > _MAX_SIZE:
        raise ResultError(f"{path} is larger than {_MAX_SIZE // 2**20} MiB: it is not the result of a study")
    try:
        return Result.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise ResultError(f"{path} is not a valid result: {in_one_line(error)}") from error
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{path} is not JSON: {error}") from error
    except OSError as error:
        raise ResultError(f"{path} cannot be read: {error.strerror}") from error


def write(folder: Path, result: Result) -> Path:
    """Write `result` into `folder`, creating it if necessary. Readers see the old result or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    text = json.dumps(result.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False)
    _durable.write(str(path), f"{text}\n".encode(), locked=False)
    return path


def in_one_line(error: ValidationError) -> str:
    """What does not fit, as "evidence.0.host: Field required"."""
    where = [".".join(map(str, each["loc"])) or "it" for each in error.errors()]
    what = [each["msg"].removeprefix("Value error, ") for each in error.errors()]
    return few([f"{key}: {message}" for key, message in zip(where, what, strict=True)], "; ")
