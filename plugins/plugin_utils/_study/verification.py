# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a study says of its proof: how much evidence, of what, and what must not get worse."""

from __future__ import annotations

from pydantic import Field

from .objectives import Direction, MetricName
from .parameters import Strict


class Verification(Strict):
    """How the winner is proved: `candidates` race, the best meets the baseline in interleaved pairs.

    pairs: the largest number in all; the test stops as soon as it is decided. confidence: 1 - the chance to call luck
    an improvement. power: the chance to find a gain that so many pairs can detect. min_improvement is in per cent: a
    gain that is smaller is none.
    """

    candidates: int = Field(default=3, ge=1, le=50)
    pairs: int = Field(default=40, ge=4, le=10_000)
    min_improvement: float = Field(default=1.0, ge=0)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    power: float = Field(default=0.9, ge=0.5, lt=1)

    def rounds(self, hosts: int) -> int:
        """How many pairs each host has at most; two at least, for from one nobody learns how much it varies."""
        return max(self.pairs // hosts, 2)

    @property
    def screening(self) -> int:
        """Pairs in all at most by which the ablation learns what each parameter is worth; eight tell of eight."""
        return max(self.pairs // 2, 8)

    @property
    def without(self) -> int:
        """Pairs in all at most by which it learns whether what seems to be worth nothing is missed."""
        return max(self.pairs // 2, 8)

    def rounds_again(self, hosts: int) -> int:
        """Of the shorter proof after the ablation."""
        return max(self.pairs // 2 // hosts, 4 if hosts == 1 else 2)


class GuardMetric(Strict):
    """A metric that the benchmark prints beside the reward metric, and that may worsen by so many per cent at most."""

    metric: MetricName
    direction: Direction
    may_worsen: float = Field(gt=0, le=100)


def race_rounds(hosts: int) -> int:
    """How often each candidate of the race is measured on every host at most: six times in all, and twice a host."""
    return max(6 // hosts, 2)
