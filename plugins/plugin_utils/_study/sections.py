# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The nested sections of a study: objectives, training, proof, guard limits. `Study` in study.py puts them together."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_serializer

from .._plain import brief
from .parameters import Strict
from .system_metrics import SYSTEM_METRICS

MetricName = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z][A-Za-z0-9_.%/-]*$")]
Direction = Literal["maximise", "minimise"]

AlgorithmName = Literal["ppo", "random", "tpe", "gp", "cmaes"]
_PACKAGES = {"tpe": ["optuna"], "gp": ["optuna"], "cmaes": ["optuna", "cmaes"]}

# YAML reads `off` as false.
_OrOff = BeforeValidator(lambda limit: None if limit is False else limit)
Count = Annotated[int | None, _OrOff]
Percentage = Annotated[float | None, _OrOff]


def missing_packages(algorithm: str) -> str | None:
    """What to install before this algorithm can be used, as a sentence; None if nothing is missing."""
    missing = [package for package in _PACKAGES.get(algorithm, []) if find_spec(package) is None]
    if not missing:
        return None
    return f"{algorithm} needs {' and '.join(missing)}: pip install {' '.join(missing)}"


class StateMetric(Strict):
    """A system metric that is part of the learner's observation."""

    metric: str
    description: str = ""

    @field_validator("metric")
    @classmethod
    def _check_metric(cls, name: str) -> str:
        if name not in SYSTEM_METRICS:
            raise ValueError(f"unknown system metric '{brief(name)}'; choose one of {', '.join(SYSTEM_METRICS)}")
        return name


class Objective(Strict):
    """A further metric to optimise, besides reward_metric, whose weight is 1; the benchmark prints both.

    The study optimises, and proves, the weighted mean of the log ratios to the host's own baseline. At equal weights,
    doubling one metric therefore outweighs losing a third of another, whatever their units.
    """

    metric: MetricName
    direction: Direction = "maximise"
    weight: float = Field(default=1.0, gt=0, le=1000)


class TrainingConfig(Strict):
    """The training budget and PPO's hyperparameters. A hyperparameter left out gets the default in _learner/policy.py.

    total_timesteps: number of training trials. benchmark_timeout: seconds. n_steps: imagined trials for each
    update of the policy.
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
    """reward = the weighted mean of performance and stability.

    By default performance dominates: a stability of 1 instead of 0.5 is worth 6 % of the metric, which decides between
    candidates that perform alike. With equal weights, on the lab's WAN, stability cost a tenth of the throughput.
    """

    performance: float = Field(default=0.9, gt=0)
    stability: float = Field(default=0.1, ge=0)

    @property
    def performance_share(self) -> float:
        """The weight of performance when the weights add up to 1."""
        return self.performance / (self.performance + self.stability)


class Verification(Strict):
    """How the winner is proved: `candidates` race each other, then the winner meets the baseline in interleaved pairs.

    pairs: largest number of pairs over all hosts, divided evenly and with at least two on each (`most_pairs`); the test
    stops as soon as it is decided. confidence: 1 minus the type I error. power: probability of detecting an improvement
    that this many pairs can detect. min_improvement: per cent; a smaller improvement does not count. keep: the values
    shown to be needed, or all that were proved together.
    """

    candidates: int = Field(default=3, ge=1, le=50)
    pairs: int = Field(default=40, ge=4, le=10_000)
    min_improvement: float = Field(default=1.0, ge=0)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    power: float = Field(default=0.9, ge=0.5, lt=1)
    keep: Literal["needed", "all"] = "needed"

    def rounds(self, hosts: int) -> int:
        """Pairs on each host at most."""
        return rounds_of(self.pairs, hosts)

    def most_pairs(self, hosts: int) -> int:
        """Pairs over so many hosts at most: fewer than `pairs` if they do not divide evenly, more if hosts are many."""
        return self.rounds(hosts) * hosts

    def fewest_rounds(self, hosts: int) -> int:
        """Pairs on each host without which a proof is not worth beginning."""
        return 4 if hosts == 1 else 2

    @property
    def screening_pairs(self) -> int:
        """Pairs in all for the contributions of the parameters."""
        return max(7 * self.pairs // 10, 8)

    def splitting_pairs(self, parameters: int) -> int:
        """Further pairs to split groups of parameters, which there are only if each cannot be judged alone."""
        return self.screening_pairs if parameters > largest_design(self.screening_pairs) else 0


def rounds_of(pairs: int, hosts: int) -> int:
    """Of so many pairs, those on each host; at least 2, since one pair shows nothing about its variance."""
    return max(pairs // hosts, 2)


def largest_design(pairs: int) -> int:
    """How many parameters a Hadamard design of at most so many pairs tells apart."""
    return 1 << (pairs.bit_length() - 1)


def race_rounds(hosts: int) -> int:
    """Trials of each racing candidate on each host at most: six over all hosts, and at least two per host."""
    return max(6 // hosts, 2)


class Packages(Strict):
    """What the distribution has to have installed. host: where the service runs. run_on: where the benchmark runs."""

    host: list[str] = Field(default=[], max_length=100)
    run_on: list[str] = Field(default=[], max_length=100)


class GuardMetric(Strict):
    """A metric, printed by the benchmark, that may worsen by at most `may_worsen` per cent of its value."""

    metric: MetricName
    direction: Direction
    may_worsen: float = Field(gt=0, le=100)


class Guard(Strict):
    """Limits during a trial. Beyond one of them the benchmark is killed, the host's original values are restored,
    and the candidate counts as failed. `off`, here None, disables a limit.

    memory_pressure, io_pressure: PSI full over 3 s, in per cent. free_memory: lower limit, in per cent. health_command:
    must exit with 0 within `health_timeout` seconds; runs twice a second where the benchmark runs.
    """

    oom_kills: Count = Field(default=0, ge=0)
    kernel_log: bool = True
    memory_pressure: Percentage = Field(default=60, ge=0, le=100)
    io_pressure: Percentage = Field(default=99, ge=0, le=100)
    free_memory: Percentage = Field(default=2, ge=0, lt=100)
    health_command: str | None = None
    health_timeout: float = Field(default=2, gt=0, le=60)

    @model_serializer
    def _serialise(self) -> dict[str, Any]:
        """None as `off`: a dump that excludes None would otherwise turn a disabled limit into the default."""
        limits = {name: getattr(self, name) for name in type(self).model_fields if name != "health_command"}
        written = {name: False if limit is None else limit for name, limit in limits.items()}
        return written | ({"health_command": self.health_command} if self.health_command else {})


class Caution(Strict):
    """Limits of `exploration: cautious`.

    step: per cent of a parameter's range by which a candidate may go beyond values known to do no harm.
    harm: per cent; a trial this much worse than the host's baseline did harm, as did a failed one.
    """

    step: float = Field(default=5, gt=0, le=100)
    harm: float = Field(default=10, gt=0, lt=100)
