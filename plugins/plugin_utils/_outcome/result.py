# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""result.json: how a study ended, as the trainer writes it and everything else reads it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from . import verdict
from .evidence import Ablation, GuardMetric, Look, Pair, Racer
from .part import Parameter, Part, Value

FILE_NAME = "result.json"
_LARGEST = 16 * 2**20  # bytes; a real one is a few kB


class ResultError(ValueError):
    """A result.json that cannot be used; the message is one line that says why."""


class Stability(Part):
    """How steadily the host did its work, in [0, 1], and the factors of that by name (see _evaluation/stability.py)."""

    score: float
    parts: dict[str, float]


class Baseline(Part):
    """The values found before tuning, and what they yield: the geometric mean over the pairs, if there are any."""

    metric: float
    stability: Stability | None = None
    values: dict[Parameter, str]
    cv_percent: float | None = None


class Best(Part):
    """What the best values yield: the geometric mean over the pairs; its ratio to the baseline's is the improvement."""

    metric: float
    stability: Stability | None = None


class HostResult(Part):
    """One host's part; `improvement` and its interval in per cent, positive is better."""

    baseline_values: dict[Parameter, str]
    baseline_metric: float | None
    best_metric: float | None = None
    improvement: float | None = None
    interval: tuple[float, float] | None = None
    pairs: int = 0
    evaluations: int = 0
    failures: int = 0
    kernel: str = "unknown"


class HostNoise(Part):
    """How a host's baseline behaved. Per cents: before training, over the whole run, and how it drifted (above 0 is
    better). jumps: between which of its evaluations it jumped, and by how much; odd: how it is unlike the other hosts.
    """

    cv_percent: float | None = None
    noise_percent: float | None = None
    drift_percent: float | None = None
    jumps: tuple[tuple[int, int, float], ...] = ()
    odd: str | None = None


class Noise(Part):
    """What was known of the noise when the baselines had been measured: how large it is from run to run, which gain the
    proof finds in it, and what was said of that. All in per cent.
    """

    cv_percent: float | None = None
    detectable_percent: float | None = None
    said: tuple[str, ...] = ()
    per_host: dict[str, HostNoise] = {}


class EarlyStopping(Part):
    """What was not done because it would not have mattered. training: why it ended before its budget was spent."""

    training: str | None = None
    evaluations_saved: int = 0
    ended_early: int = 0
    seconds_saved: float = 0.0


class Objective(Part):
    """One of several metrics, and by how much the best values change it, in per cent, above 0 is better."""

    metric: str
    direction: Literal["maximise", "minimise"]
    weight: float
    change: float | None = None


class Change(Part):
    """A parameter's way from each host's own value to the learned one, and what it contributes by that."""

    param: Parameter
    description: str = ""
    from_: dict[str, str] = Field(alias="from")
    to: Value
    share: float | None = None
    interval: tuple[float, float] | None = None


class Result(Part):
    """How a study ended. Shares are per cents, times are seconds, `interval` is (low, high) around `improvement`.

    proved: the best values were proved to be better; a study may be stopped after that, and have no role.
    not_needed: evaluations that were planned at most, and that the verdict did without.
    """

    format: Literal[1] = 1
    workload_name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
    verdict: Literal["improved", "no_improvement", "failed", "stopped"]
    proved: bool = False
    reason: str = ""
    metric: str
    direction: Literal["maximise", "minimise"] = "maximise"
    best_config: dict[Parameter, Value] | None = None
    best_reward: float | None = None
    improvement: float | None = None
    interval: tuple[float, float] | None = None
    p_value: float | None = None
    confidence: float = 0.95
    pairs: int = 0
    baseline: Baseline | None = None
    best: Best | None = None
    per_host: dict[str, HostResult] = {}
    bootstrap: tuple[float, float] | None = None
    evidence: tuple[Pair, ...] = ()
    looks: tuple[Look, ...] = ()
    guard_metrics: tuple[GuardMetric, ...] = ()
    race: tuple[Racer, ...] = ()
    ablation: Ablation | None = None
    noise: Noise | None = None
    early_stopping: EarlyStopping | None = None
    objectives: tuple[Objective, ...] = ()
    evaluations: dict[str, int] = {}
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
    def _improved_says_by_how_much(self) -> Self:
        if self.improved:
            lacking = [
                name
                for name in ("best_config", "improvement", "interval", "baseline", "best")
                if getattr(self, name) in (None, {})
            ]
            if lacking:
                raise ValueError(f"the verdict is 'improved', but {' and '.join(lacking)} is missing")
        return self

    @property
    def improved(self) -> bool:
        return self.verdict == "improved"

    @property
    def changes(self) -> tuple[Change, ...]:
        """One change for each of the best values, also where `parameters` does not describe it."""
        described = {change.param: change for change in self.parameters}
        unknown = {"description": "", "from": {}}
        return tuple(
            Change.model_validate(
                {
                    **(described[name].model_dump(by_alias=True) if name in described else unknown),
                    "param": name,
                    "to": value,
                }
            )
            for name, value in (self.best_config or {}).items()
        )

    @property
    def dropped(self) -> tuple[str, ...]:
        """What the winner changed and the learned role leaves alone, for it contributes nothing measurable."""
        return tuple(share.param for share in self.ablation.shares if share.fate == "dropped") if self.ablation else ()

    @property
    def unchanged(self) -> tuple[str, ...]:
        """What the winner left as every host had it."""
        return (
            tuple(share.param for share in self.ablation.shares if share.fate == "unchanged") if self.ablation else ()
        )

    @property
    def role(self) -> str:
        """The learned role's name."""
        return self.workload_name.replace("-", "_")

    @property
    def persist(self) -> str:
        """The name of the drop-in in /etc/sysctl.d and of the host's record for roll-back."""
        return f"autotune-{self.workload_name}"

    @property
    def allow_unsafe(self) -> list[str]:
        """The learned parameters that are on the denylist, and that the study allowed."""
        allowed = self.study.get("allow_unsafe") or []
        return sorted(set(self.best_config or {}) & {name for name in allowed if isinstance(name, str)})


def read(folder: Path) -> Result:
    """The result in `folder`; ResultError when there is none or it is no result."""
    path = folder / FILE_NAME
    if not path.is_file():
        raise ResultError(f"{path} does not exist: name the folder that a study's run has written")
    if path.stat().st_size > _LARGEST:
        raise ResultError(f"{path} is larger than {_LARGEST // 2**20} MB: that is no result of a study")
    try:
        return Result.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise ResultError(f"{path} is no result of a study: {_in_one_line(error)}") from error
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{path} is not JSON: {error}") from error
    except OSError as error:
        raise ResultError(f"{path} cannot be read: {error.strerror}") from error


def write(folder: Path, result: Result) -> Path:
    """Put `result` into `folder`, which is made if need be; whoever reads meanwhile sees the old one or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    text = json.dumps(result.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(path, text + "\n")
    return path


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a crash at any moment leaves the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _in_one_line(error: ValidationError) -> str:
    messages = [
        f"{'.'.join(map(str, e['loc'])) or 'it'}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
    ]
    more = f" (and {len(messages) - 2} more)" if len(messages) > 2 else ""
    return "; ".join(messages[:2]) + more
