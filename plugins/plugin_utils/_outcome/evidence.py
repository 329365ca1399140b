# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a result rests on: the race, the pairs and the looks of the proof, the guard metrics, the ablation."""

from __future__ import annotations

from typing import Literal

from .part import Parameter, Part, Value


class Pair(Part):
    """Evidence: the baseline and the candidate, measured one after the other on one host.

    change: what it says, over all objectives, in per cent, above 0 is better; guards: the same of each guard metric.
    """

    host: str
    pair: int
    first: Literal["baseline", "candidate"]
    baseline: float
    candidate: float
    change: float | None = None
    guards: dict[str, float] = {}


class Look(Part):
    """What the sequential proof saw after so many pairs (see _proof/sequential.py)."""

    pairs: int
    gain: float
    interval: tuple[float, float]
    score: float
    proved_at: float
    hopeless_at: float


class GuardMetric(Part):
    """Whether a metric was shown not to have worsened by more than it may; above 0 is better."""

    metric: str
    direction: Literal["maximise", "minimise"]
    may_worsen: float
    change: float | None
    interval: tuple[float, float] | None
    holds: bool


class Racer(Part):
    """How a candidate came off in the race (see _proof/race.py); changes against the baseline."""

    values: dict[Parameter, Value]
    worth: float | None
    by_host: dict[str, float]
    evaluations: int
    unstable: bool = False
    failed: bool = False
    left_after: int | None = None


class Share(Part):
    """What a parameter of the winner contributes, and what became of it (see _proof/ablation.py).

    None where every host had the value anyway. together: parameters that only ever changed along with it.
    """

    param: Parameter
    fate: Literal["kept", "dropped", "unchanged"]
    share: float | None = None
    interval: tuple[float, float] | None = None
    together: tuple[str, ...] = ()


class Swap(Part):
    """Evidence: `these` had the winner's values and `others` the host's own, then the other way round.

    change: how much better the first was. What was known to be needed by then had the winner's values in both.
    """

    host: str
    pair: int
    these: tuple[str, ...]
    others: tuple[str, ...]
    change: float


class Proved(Part):
    """What a proof said of some values."""

    improved: bool
    reason: str
    improvement: float | None
    interval: tuple[float, float] | None
    p_value: float | None
    evidence: tuple[Pair, ...]
    looks: tuple[Look, ...]


class Ablation(Part):
    """How the winner's values became fewer. fewer_values: the proof of what seemed enough, if it came so far."""

    reason: str
    shares: tuple[Share, ...]
    swaps: tuple[Swap, ...] = ()
    all_values: Proved
    fewer_values: Proved | None = None
