# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a proof can find, known before any time is spent on it."""

from __future__ import annotations

from math import log1p, sqrt

from scipy.stats import norm, t

from .._evaluation.reward import percent
from .._study.verification import Verification
from .sequential import planned_looks, reach


def detectable(cv: float, pairs: int, hosts: int, confidence: float, power: float) -> float:
    """The gain, in per cent, that the proof finds with probability `power`; with any larger one it is better still.

    cv: the baseline's coefficient of variation from one run to the next on a host, in per cent. pairs: at most, in all.
    """
    rounds = Verification(pairs=pairs).rounds(hosts)
    planned = tuple(at / rounds for at in planned_looks(rounds, hosts))
    scores = reach(planned, 1 - confidence, power)
    # What is not known of the noise itself costs as much more as in a single test.
    freedom = hosts * (rounds - 1)
    tails = (1 - confidence) / 2, 1 - power
    unknown = sum(t.isf(tail, freedom) for tail in tails) / sum(norm.isf(tail) for tail in tails)
    return percent(scores * unknown * sqrt(2) * log1p(cv / 100) / sqrt(rounds * hosts))
