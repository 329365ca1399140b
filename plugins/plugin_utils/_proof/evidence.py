# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The evidence of race, proof, ablation and guard benchmarks, as result.json stores it.

`log_ratio` and `guards` are natural logarithms of candidate over baseline; all other changes, contributions and their
intervals are percentages. Above 0 is better, whatever the metric's direction.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from ansible_collections.autotune.kernel.plugins.module_utils import _kernel
from pydantic import BaseModel, ConfigDict, StrictFloat, StrictInt, StrictStr
from pydantic.functional_validators import AfterValidator


def _parameter(name: str) -> str:
    # No other rule than that of the study, or a run would fail over a name at its end, after all of its trials.
    _kernel.components(name)
    return name


def _value(value: int | float | str) -> int | float | str:
    # Ansible evaluates {{ }} wherever it finds it in a role's defaults, and no kernel value needs it.
    if isinstance(value, str) and (not value.isascii() or not value.isprintable() or re.search(r"\{[{%#]", value)):
        raise ValueError(f"{value!r} is not a valid value for a kernel parameter")
    return value


Parameter = Annotated[str, AfterValidator(_parameter)]
Value = Annotated[StrictInt | StrictFloat | StrictStr, AfterValidator(_value)]
Interval = tuple[float, float]


class Record(BaseModel):
    """Immutable, and without NaN and infinity, which JSON cannot represent."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Standing(Record):
    """A candidate at the end of the race.

    worst_case: the change on its worst host, which it was ranked by; penalised if unstable. None if never measured.
    eliminated_after: the round after which it was out of the race, None if it stayed to the end.
    """

    values: dict[Parameter, Value]
    worst_case: float | None
    by_host: dict[str, float]
    trials: int
    unstable: bool = False
    failed: bool = False
    eliminated_after: int | None = None


class Pair(Record):
    """The baseline and the candidate, measured one directly after the other on one host.

    log_ratio: over all objectives. guards: the log ratio of each guard metric that both runs printed.
    """

    host: str
    pair: int
    first: Literal["baseline", "candidate"]
    baseline: float
    candidate: float
    log_ratio: float
    guards: dict[str, float] = {}


class InterimAnalysis(Record):
    """The state of the proof after `pairs` pairs. interval: repeated confidence interval; z: the test statistic."""

    pairs: int
    improvement: float
    interval: Interval
    z: float
    efficacy_bound: float
    futility_bound: float


def refused(proof: Proof, reason: str) -> Proof:
    """A proof that does not count, although its pairs alone would show an improvement."""
    return proof.model_copy(update={"improved": False, "reason": reason, "decided_after": None})


class GuardOutcome(Record):
    """Whether a guard metric was shown to be non-inferior (`holds`); `change` is None where it was not measured."""

    metric: str
    direction: Literal["maximise", "minimise"]
    may_worsen: float
    change: float | None
    interval: Interval | None
    holds: bool


class HostChange(Record):
    """The improvement on one host, with its interval."""

    improvement: float
    interval: Interval


class CarryOver(Record):
    """Whether the runs of a proof depended on the runs before them (see carry_over.py).

    by_effect: whether it was the effect of the run before that was found, and not a correlation of pairs. change: how
    much better a run right after one of the candidate was, with its interval. detectable: what would have been found
    98 times in 100. correlation: of a pair with the host's pair before it. pause: seconds before each run.
    """

    found: bool
    by_effect: bool
    change: float
    interval: Interval
    p_value: float
    detectable: float
    correlation: float
    pause: float = 0.0


class Recovery(Record):
    """How a host performs with its original values at the end of the run, relative to the beginning.

    recovered: whether it is not significantly worse. change: None if the benchmark fails now.
    """

    recovered: bool
    change: float | None = None
    interval: Interval | None = None


class Proof(Record):
    """The outcome of the sequential test; without enough pairs there is only a reason.

    decided_after: the pairs after which the improvement was proved; the others are for carry-over and the interval.
    interval: the repeated confidence interval of the last analysis, valid however early the test stopped. bootstrap:
    BCa interval at the study's confidence, as if the number of pairs had been fixed. p_value: two-sided, stage-wise,
    when the test decided. carry_over: one for each time that the proof was begun, the last of these pairs.
    """

    improved: bool
    reason: str
    evidence: tuple[Pair, ...] = ()
    improvement: float | None = None
    interval: Interval | None = None
    bootstrap: Interval | None = None
    p_value: float | None = None
    interim_analyses: tuple[InterimAnalysis, ...] = ()
    guard_metrics: tuple[GuardOutcome, ...] = ()
    by_host: dict[str, HostChange] = {}
    decided_after: int | None = None
    carry_over: tuple[CarryOver, ...] = ()


class GuardTest(Record):
    """A test of some of the values on a guard benchmark. holds: they were shown not to worsen it."""

    benchmark: str
    params: tuple[Parameter, ...]
    holds: bool
    change: float | None
    interval: Interval | None
    pairs: int


class GuardBenchmarkOutcome(Record):
    """Whether the learned values were shown not to worsen a guard benchmark (`holds`), and by which pairs.

    measured: whether these very values were tested; if not, `holds` says nothing. dropped: values that were left out
    because they worsened it.
    """

    name: str
    metric: str
    direction: Literal["maximise", "minimise"]
    may_worsen: float
    holds: bool
    measured: bool = True
    reason: str
    change: float | None
    interval: Interval | None
    dropped: tuple[Parameter, ...] = ()
    by_host: dict[str, HostChange] = {}
    evidence: tuple[Pair, ...] = ()
    interim_analyses: tuple[InterimAnalysis, ...] = ()


class Contribution(Record):
    """What one parameter of the winner contributes, and whether the learned role keeps it.

    decision: harmful means taken out for a guard benchmark, reset put back to the hosts' own value before the race,
    unchanged that every host had the value already. basis: whether the contribution was shown, None if it was not
    measured. confounded_with: parameters that were only ever measured together with it; contribution and interval are
    then those of all of them together.
    """

    param: Parameter
    decision: Literal["kept", "dropped", "harmful", "reset", "unchanged"]
    basis: Literal["alone", "jointly", "not shown"] | None = None
    contribution: float | None = None
    interval: Interval | None = None
    confounded_with: tuple[str, ...] = ()


class Contrast(Record):
    """Two runs in a row on one host: `first` had the winner's values and `second` the original ones, then vice versa.

    log_ratio: how much better the first run was. Parameters in neither list had the same value in both runs.
    """

    host: str
    pair: int
    first: tuple[str, ...]
    second: tuple[str, ...]
    log_ratio: float


class Ablation(Record):
    """all_values: the winner's proof. fewer_values: the latest proof of a reduced set, if there was one."""

    reason: str
    contributions: tuple[Contribution, ...]
    contrasts: tuple[Contrast, ...] = ()
    all_values: Proof
    fewer_values: Proof | None = None

    @property
    def proof(self) -> Proof:
        """The proof of the values that were kept."""
        return self.fewer_values if self.fewer_values and self.fewer_values.improved else self.all_values

    def parameters(self, decision: Literal["kept", "dropped", "harmful", "reset", "unchanged"]) -> tuple[str, ...]:
        return tuple(each.param for each in self.contributions if each.decision == decision)
