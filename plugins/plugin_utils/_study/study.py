# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The study: one tuning job, as its file describes it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from ansible_collections.autotune.kernel.plugins.module_utils._coupling import EXCLUSIVE
from ansible_collections.autotune.kernel.plugins.module_utils._kernel import canonical_name
from pydantic import Field, ValidationInfo, field_validator

from .._plain import brief, few
from .algorithm import AlgorithmName, missing
from .command import script_of, shell_syntax
from .constraints import parse_constraint
from .guard import Caution, Guard
from .metrics import SYSTEM_METRICS
from .objectives import Direction, EarlyStopping, EarlyStoppingOrNot, MetricName, Objective
from .parameters import AnyParameter, ParameterName, Strict
from .presets import named
from .space import SearchSpace
from .verification import GuardMetric, Verification, race_rounds

_NAME = r"^[a-z][a-z0-9_-]{0,62}$"


class StateMetric(Strict):
    metric: str
    description: str = ""

    @field_validator("metric")
    @classmethod
    def _can_be_sampled(cls, name: str) -> str:
        if name not in SYSTEM_METRICS:
            raise ValueError(f"'{brief(name)}' is no system metric; there are {', '.join(SYSTEM_METRICS)}")
        return name


class TrainingConfig(Strict):
    """How long and how to learn; what is left out is as in _learner/policy.py.

    n_steps to clip_range are of PPO: n_steps imagined evaluations make one update of the policy.

    total_timesteps is the number of training evaluations; benchmark_timeout is in seconds.
    """

    total_timesteps: int = Field(default=40, ge=1, le=1_000_000)
    n_steps: int | None = Field(default=None, ge=2)
    batch_size: int | None = Field(default=None, ge=2)
    n_epochs: int | None = Field(default=None, ge=1)
    learning_rate: float | None = Field(default=None, gt=0, le=1)
    gamma: float | None = Field(default=None, ge=0, le=1)
    gae_lambda: float | None = Field(default=None, ge=0, le=1)
    ent_coef: float | None = Field(default=None, ge=0)
    clip_range: float | None = Field(default=None, gt=0)
    benchmark_timeout: float = Field(default=60, gt=0, le=86_400)
    max_steps_per_episode: int = Field(default=10, ge=1)
    seed: int | None = Field(default=None, ge=0, lt=2**32)
    verbose: bool = False


class RewardWeights(Strict):
    """reward = performance weight x performance + stability weight x stability.

    A study is after its metric: with these weights a stability of 1 instead of 0.5 is worth 6 % of it, and decides
    where candidates are alike. With half and half, on the lab's WAN, a tenth of the throughput was given up for it.
    """

    performance: float = Field(default=0.9, gt=0)
    stability: float = Field(default=0.1, ge=0)

    @property
    def share(self) -> float:
        """By how much the reward grows with the performance."""
        return self.performance / (self.performance + self.stability)


class Study(Strict):
    """One tuning job. Field order matters: a check may look at the fields above its own.

    parameters: presets, whose entries are in action_space already (see completion.py).
    """

    workload_name: Annotated[str, Field(pattern=_NAME)]
    reward_metric: MetricName
    direction: Direction = "maximise"
    objectives: list[Objective] = Field(default=[], max_length=20)
    allow_unsafe: list[ParameterName] = Field(default=[], max_length=1000)
    parameters: list[str] = Field(default=[], max_length=20)
    action_space: list[AnyParameter] = Field(min_length=1, max_length=200)
    constraints: list[str] = Field(default=[], max_length=200, validate_default=True)
    state_space: list[StateMetric] = Field(default=[], max_length=100)
    files: list[str] = Field(default=[], max_length=1000)
    benchmark_command: str
    streams: bool = Field(default=False, description="what the benchmark prints on its way is the metric of that while")
    early_stopping: EarlyStoppingOrNot = EarlyStopping()
    environment: dict[str, str] = {}
    run_on: str | None = None
    setup: str | None = None
    teardown: str | None = None
    algorithm: AlgorithmName = "ppo"
    training_config: TrainingConfig = TrainingConfig()
    verification: Verification = Verification()
    guard_metrics: list[GuardMetric] = Field(default=[], max_length=100)
    reward: RewardWeights = RewardWeights()
    guard: Guard = Guard()
    exploration: Literal["free", "cautious"] = "free"
    caution: Caution = Caution()
    warm_start: list[str | int] = Field(
        default=[], max_length=100, description="earlier studies in the store: workloads or IDs"
    )
    share: bool = Field(default=False, description="learn from runs of this study on other controllers, same store")
    baseline_evaluations: int = Field(default=3, ge=2, le=100)
    control_interval: int = Field(default=10, ge=1, description="a control after this many evaluations on a host")

    @field_validator("objectives")
    @classmethod
    def _name_each_metric_once(cls, objectives: list[Objective], info: ValidationInfo) -> list[Objective]:
        names = [info.data.get("reward_metric"), *(objective.metric for objective in objectives)]
        twice = sorted({brief(name) for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{few(twice, ' and ')} is there already; name every metric once, the reward_metric first")
        return objectives

    @field_validator("allow_unsafe")
    @classmethod
    def _are_names(cls, names: list[str]) -> list[str]:
        return [canonical_name(name) for name in names]

    @field_validator("warm_start")
    @classmethod
    def _can_be_in_a_store(cls, studies: list[str | int]) -> list[str | int]:
        for study in studies:
            if not (0 < study < 2**63 if isinstance(study, int) else study):
                raise ValueError(f"{brief(study) or 'an empty text'} is neither a workload nor the ID of a study")
        return studies

    @field_validator("parameters", mode="before")
    @classmethod
    def _are_presets(cls, texts: Any) -> Any:
        listed = [texts] if isinstance(texts, str) else texts
        for text in listed if isinstance(listed, list) else ():
            named(str(text))
        return listed

    @field_validator("action_space")
    @classmethod
    def _differ(cls, parameters: list[AnyParameter]) -> list[AnyParameter]:
        names = [parameter.param for parameter in parameters]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"names {few(twice, ' and ')} twice")
        for one, other in EXCLUSIVE:
            if one in names and other in names:
                raise ValueError(f"{one} and {other} exclude each other; tune one of them")
        return parameters

    @field_validator("constraints")
    @classmethod
    def _can_hold(cls, texts: list[str], info: ValidationInfo) -> list[str]:
        parameters = info.data.get("action_space", [])
        sizes = {p.param: len(p.elements) if p.type == "vector" else 1 for p in parameters if p.type != "choice"}
        problems = []
        for text in texts:
            try:
                places = parse_constraint(text).places()
            except ValueError as error:
                problems.append(f"`{brief(text)}` {error}")
                continue
            problems += [
                f"`{brief(text)}`: {brief(name)}[{at}] is not a number in the action_space"
                for name, at in places
                if parameters and at >= sizes.get(name, 0)
            ]
        if problems:
            raise ValueError(few(problems, "; "))
        if parameters:
            _space_of(parameters, texts)
        return texts

    @field_validator("benchmark_command", "setup", "teardown")
    @classmethod
    def _is_a_command(cls, command: str | None, info: ValidationInfo) -> str | None:
        if command is None:
            return None
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise ValueError(f"cannot be split into words: {error}") from error
        if not words:
            raise ValueError("is empty; write the command to run")
        if syntax := shell_syntax(command):
            remedy = "set variables in `environment`" if syntax.endswith("=") else "write a script"
            raise ValueError(
                f"holds `{brief(syntax)}`, which only a shell understands, and no shell reads it: {remedy}, "
                "or quote what is meant literally"
            )
        find: Callable[[str], object] | None = (info.context or {}).get("find")
        script = script_of(words)
        if script and not _stays_inside(script):
            raise ValueError(
                f"names {brief(script)}, which leads out of the folder of the study; put it beside the study"
            )
        if find and script and not find(script):
            raise ValueError(f"names {brief(script)}, which is neither beside the study nor in the current folder")
        return command

    @field_validator("algorithm")
    @classmethod
    def _is_installed(cls, name: AlgorithmName, info: ValidationInfo) -> AlgorithmName:
        if info.context and (lacking := missing(name)):
            raise ValueError(lacking.partition(": ")[2])
        return name

    @field_validator("guard")
    @classmethod
    def _checks_health_with_a_command(cls, guard: Guard, info: ValidationInfo) -> Guard:
        try:
            cls._is_a_command(guard.health_command, info)
        except ValueError as error:
            raise ValueError(f"health_command {error}") from error
        return guard

    @field_validator("files")
    @classmethod
    def _exist(cls, names: list[str], info: ValidationInfo) -> list[str]:
        find: Callable[[str], object] | None = (info.context or {}).get("find")
        problems = [f"{brief(name)} must be a relative path without .." for name in names if not _stays_inside(name)]
        problems += [f"{brief(name)} is not there" for name in names if find and _stays_inside(name) and not find(name)]
        if problems:
            raise ValueError(few(problems, "; "))
        return names

    @cached_property
    def space(self) -> SearchSpace:
        return _space_of(self.action_space, self.constraints)

    def unsafe_on(self, facts: Mapping[str, Any]) -> list[str]:
        """What the study would try on a host that is not safe there, from what `sysctl_info` found; a line each."""
        found = []
        for parameter in self.action_space:
            safe = facts["parameters"].get(parameter.param, {}).get("safe_range")
            if safe and parameter.param not in self.allow_unsafe and (said := parameter.leaves(safe)):
                found.append(f"{said} of this host; narrow it, or name {parameter.param} in the study's allow_unsafe")
        return found

    def evaluations_by_phase(self, hosts: int) -> dict[str, int]:
        """How many evaluations each phase takes at most on so many hosts, if every host does its share."""
        rules, training = self.verification, self.training_config.total_timesteps
        return {
            "baseline": hosts * self.baseline_evaluations,
            # A control comes before the evaluation that follows a full interval.
            "control": hosts * max((training // hosts - 1) // self.control_interval, 0),
            "train": training,
            "race": race_rounds(hosts) * hosts * rules.candidates if rules.candidates > 1 else 0,
            "verify": 2 * rules.rounds(hosts) * hosts,
            "ablate": 2 * (rules.screening + rules.without + rules.rounds_again(hosts) * hosts)
            if len(self.action_space) > 1
            else 0,
        }

    def evaluations_on(self, hosts: int) -> int:
        """The same in all: what the study takes at most if none fails."""
        return sum(self.evaluations_by_phase(hosts).values())

    @property
    def commands(self) -> list[list[str]]:
        texts = (self.benchmark_command, self.setup, self.teardown, self.guard.health_command)
        return [shlex.split(text) for text in texts if text]


def _stays_inside(name: str) -> bool:
    return bool(name) and not name.startswith("/") and ".." not in name.split("/")


def _space_of(parameters: list[AnyParameter], constraints: list[str]) -> SearchSpace:
    axes = [axis for parameter in parameters for axis in parameter.axes()]
    return SearchSpace(axes, [parameter.layout() for parameter in parameters], constraints)
