# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The study: one tuning job, as its file describes it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

from ansible_collections.autotune.kernel.plugins.module_utils._coupling import EXCLUSIVE
from ansible_collections.autotune.kernel.plugins.module_utils._kernel import canonical_name
from pydantic import Field, ValidationInfo, field_validator, model_validator

from .._plain import brief, few
from .beside import Command, Files, GuardLimits, StopCommand, WarmUp
from .constraints import parse_constraint
from .guard_benchmarks import GuardBenchmark
from .output_format import CheckedOutput, why_unknown
from .parameters import AnyParameter, ParameterName, Strict
from .presets import find_preset
from .sections import (
    AlgorithmName,
    Caution,
    Direction,
    Guard,
    GuardMetric,
    MetricName,
    Objective,
    Packages,
    RewardWeights,
    StateMetric,
    TrainingConfig,
    Verification,
    missing_packages,
    race_rounds,
    rounds_of,
)
from .space import SearchSpace

_NAME = r"^[a-z][a-z0-9_-]{0,62}$"
# YAML reads these as something else than text.
_YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


class Study(Strict):
    """One tuning job. Fields are validated in order: a validator may use those above its own.

    parameters: presets; their entries are in action_space already (see expansion.py).
    docs/reference/descriptions.yml has the meaning of each key.
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
    files: Files = []
    benchmark_command: Command
    output: CheckedOutput = "lines"
    early_stopping: bool = True
    environment: dict[str, str] = {}
    run_on: str | None = None
    packages: Packages = Packages()
    setup: Command | None = None
    start: Command | None = None
    stop: StopCommand | None = None
    between: Command | None = None
    warm_up: WarmUp = 0
    teardown: Command | None = None
    algorithm: AlgorithmName = "ppo"
    training_config: TrainingConfig = TrainingConfig()
    verification: Verification = Verification()
    guard_metrics: list[GuardMetric] = Field(default=[], max_length=100)
    guard_benchmarks: list[GuardBenchmark] = Field(default=[], max_length=20)
    reward: RewardWeights = RewardWeights()
    guard: GuardLimits = Guard()
    exploration: Literal["free", "cautious"] = "free"
    caution: Caution = Caution()
    warm_start: list[str | int] = Field(default=[], max_length=100)
    share: bool = False
    baseline_trials: int = Field(default=3, ge=2, le=100)
    control_interval: int = Field(default=10, ge=1)

    @field_validator("objectives")
    @classmethod
    def _check_metrics_differ(cls, objectives: list[Objective], info: ValidationInfo) -> list[Objective]:
        names = [info.data.get("reward_metric"), *(objective.metric for objective in objectives)]
        if twice := _repeated(names):
            raise ValueError(f"{twice} is named twice; reward_metric is an objective already")
        return objectives

    @field_validator("workload_name")
    @classmethod
    def _check_role_name(cls, name: str) -> str:
        if name.startswith("ansible") or name in _YAML_WORDS:
            raise ValueError(f"{name} cannot name a role, since Ansible or YAML would take it for something else")
        return name

    @field_validator("allow_unsafe")
    @classmethod
    def _check_names(cls, names: list[str]) -> list[str]:
        return [canonical_name(name) for name in names]

    @field_validator("warm_start")
    @classmethod
    def _check_studies(cls, studies: list[str | int]) -> list[str | int]:
        for study in studies:
            if not (0 < study < 2**63 if isinstance(study, int) else study):
                raise ValueError(f"{brief(study) or 'an empty text'} is neither a workload_name nor the ID of a study")
        return studies

    @field_validator("parameters", mode="before")
    @classmethod
    def _check_presets(cls, texts: Any) -> Any:
        listed = [texts] if isinstance(texts, str) else texts
        for text in listed if isinstance(listed, list) else ():
            find_preset(str(text))
        return listed

    @field_validator("action_space")
    @classmethod
    def _check_parameters(cls, parameters: list[AnyParameter]) -> list[AnyParameter]:
        names = [parameter.param for parameter in parameters]
        if twice := _repeated(names):
            raise ValueError(f"{twice} is listed twice")
        for one, other in EXCLUSIVE:
            if one in names and other in names:
                raise ValueError(f"{one} and {other} exclude each other; tune one of them")
        return parameters

    @field_validator("constraints")
    @classmethod
    def _check_constraints(cls, texts: list[str], info: ValidationInfo) -> list[str]:
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
            _space(parameters, texts)
        return texts

    @field_validator("guard_metrics")
    @classmethod
    def _check_guard_metrics(cls, guards: list[GuardMetric], info: ValidationInfo) -> list[GuardMetric]:
        names = [guard.metric for guard in guards]
        if twice := _repeated(names):
            raise ValueError(f"{twice} is guarded twice; a metric has one direction")
        if why := why_unknown(info.data.get("output", "lines"), names):
            raise ValueError(f"`output` {why}")
        return guards

    @field_validator("guard_benchmarks")
    @classmethod
    def _check_guard_benchmarks(cls, guards: list[GuardBenchmark], info: ValidationInfo) -> list[GuardBenchmark]:
        names = [info.data.get("workload_name"), *(guard.name for guard in guards)]
        if twice := _repeated(names):
            raise ValueError(f"{twice} names two workloads, this study's included; give the guard benchmark a `name`")
        return guards

    @field_validator("algorithm")
    @classmethod
    def _check_packages(cls, name: AlgorithmName, info: ValidationInfo) -> AlgorithmName:
        if info.context and (needed := missing_packages(name)):
            raise ValueError(needed)
        return name

    @model_validator(mode="after")
    def _check_restarts(self) -> Study:
        if self.restarting and self.start is None:
            raise ValueError(f"{few(self.restarting, ', ')} with `restart` takes a command `start`, of the service")
        return self

    @cached_property
    def space(self) -> SearchSpace:
        return _space(self.action_space, self.constraints)

    def unsafe_on(self, facts: Mapping[str, Any]) -> list[str]:
        """A line for each range that leaves the safe values of a host, given what `sysctl_info` found there."""
        found = []
        for parameter in self.action_space:
            safe = facts["parameters"].get(parameter.param, {}).get("safe_range")
            if safe and parameter.param not in self.allow_unsafe and (why := parameter.why_unsafe(safe)):
                found.append(f"{why} of this host; narrow it, or add {parameter.param} to the study's allow_unsafe")
        return found

    def trials_by_phase(self, hosts: int) -> dict[str, int]:
        """The largest number of trials in each phase with this many hosts, if none fails and none is idle."""
        rules, training = self.verification, self.training_config.total_timesteps
        return {
            "baseline": hosts * self.baseline_trials,
            # A control comes before the trial that follows a full interval.
            "control": hosts * max((training // hosts - 1) // self.control_interval, 0),
            "train": training,
            "race": race_rounds(hosts) * hosts * rules.candidates if rules.candidates > 1 else 0,
            "verify": 2 * rules.most_pairs(hosts),
            "ablate": 2
            * (rules.screening_pairs + rules.splitting_pairs(len(self.action_space)) + rules.most_pairs(hosts))
            if len(self.action_space) > 1 and rules.keep == "needed"
            else 0,
            # Without the search for a harmful value, which few runs need.
            "guard": sum(2 * self.guard_rounds(guard, hosts) * hosts for guard in self.guard_benchmarks),
            "recovery": hosts * self.baseline_trials,
        }

    def trials_on(self, hosts: int) -> int:
        """The largest number of trials in all."""
        return sum(self.trials_by_phase(hosts).values())

    def guard_rounds(self, guard: GuardBenchmark, hosts: int) -> int:
        """Pairs of a guard benchmark on each host at most."""
        return rounds_of(self.verification.pairs if guard.pairs is None else guard.pairs, hosts)

    def workload(self, guard_benchmark: str | None) -> Study | GuardBenchmark:
        """What a trial measured: the guard benchmark of this name, or, for None, the study itself.

        Raises KeyError if there is none of this name.
        """
        if guard_benchmark is None:
            return self
        return {guard.name: guard for guard in self.guard_benchmarks}[guard_benchmark]

    @property
    def benchmark_timeout(self) -> float:
        """Seconds after which its benchmark is killed."""
        return self.training_config.benchmark_timeout

    @property
    def longest_timeout(self) -> float:
        """The same of all benchmarks, the study's own and its guards."""
        return max([self.benchmark_timeout, *(guard.benchmark_timeout for guard in self.guard_benchmarks)])

    @property
    def longest_warm_up(self) -> float:
        """The same of warming up, in seconds."""
        return max([self.warm_up, *(guard.warm_up for guard in self.guard_benchmarks)])

    @property
    def restarting(self) -> list[str]:
        """The parameters for which the service has to start again."""
        return [parameter.param for parameter in self.action_space if parameter.restart]

    @property
    def commands(self) -> list[list[str]]:
        service = (self.start, self.stop)
        texts = (self.benchmark_command, self.setup, *service, self.between, self.teardown, self.guard.health_command)
        return [shlex.split(text) for text in texts if text]


def _space(parameters: list[AnyParameter], constraints: list[str]) -> SearchSpace:
    axes = [axis for parameter in parameters for axis in parameter.axes()]
    return SearchSpace(axes, [parameter.layout() for parameter in parameters], constraints)


def _repeated(names: Sequence[str | None]) -> str:
    """Those that are named more than once, as text; empty if there are none."""
    return few(sorted({brief(name) for name in names if name is not None and names.count(name) > 1}), " and ")
