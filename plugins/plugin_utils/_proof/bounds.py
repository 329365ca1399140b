# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Efficacy and futility bounds of a group-sequential test.

Errors are spent (Lan and DeMets, Biometrika 70, 1983) with the function of Hwang, Shih and DeCani (Statistics in
Medicine 9, 1990) and a gamma of -2: between O'Brien and Fleming's bounds, which need many pairs even for a large gain,
and Pocock's, which lose power. Bounds follow by numerical integration over the paths that have not stopped (Armitage,
McPherson and Rowe, JRSS A 132, 1969). Beta is spent in the same way (Pampallona, Tsiatis and Kim, 2001); the futility
bound is non-binding.

An analysis is identified by its information fraction: its share of all pairs that there can be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import expm1, pi, sqrt

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri  # those of scipy.stats check their arguments, which takes most of a proof

_MAX_Z = 9.0  # the density beyond is 0 in floating point
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)
_GAMMA = -2.0
_FIRST = 6  # pairs before the first analysis
_MAX_ANALYSES = 20

Fractions = tuple[float, ...]


@dataclass(frozen=True)
class Bounds:
    """At one analysis: |z| at or above `efficacy` is significant, z below `futility` ends the test without success."""

    efficacy: float
    futility: float


@lru_cache(maxsize=512)
def stopping_bounds(
    fractions: tuple[float, ...], planned: tuple[float, ...], alpha: float, power: float
) -> list[Bounds]:
    """The bounds of the analyses so far, at `fractions`.

    planned: the information fractions of all analyses as planned. alpha: two-sided. power: for `detectable_drift()`.
    """
    efficacy, dummy = _efficacy(fractions, alpha)
    futility, dummy = _futility(fractions, efficacy, detectable_drift(planned, alpha, power), 1 - power)
    return [Bounds(*each) for each in zip(efficacy, futility, strict=True)]


@lru_cache(maxsize=512)
def detectable_drift(planned: Fractions, alpha: float, power: float) -> float:
    """The expected z at the last planned analysis of the smallest gain that is detected with probability `power`."""
    efficacy, dummy = _efficacy(planned, alpha)
    last_spending = _increments(planned, 1 - power)[-1]

    def excess(candidate: float) -> float:
        """Type II error above what is left to spend, if the two bounds meet at the last analysis."""
        dummy, walk = _futility(planned[:-1], efficacy[:-1], candidate, 1 - power)
        return walk.below(planned[-1], efficacy[-1]) - last_spending

    single = float(ndtri(power) - ndtri(alpha / 2))
    return float(brentq(excess, 0.9 * single, 2 * single, xtol=1e-6))


def p_value(fractions: Fractions, z: float, alpha: float) -> float:
    """The two-sided p-value of a test that stopped at the last of `fractions`.

    Stage-wise ordering: stopping earlier is more extreme (Tsiatis, Rosner and Mehta, Biometrics 40, 1984).
    """
    before, walk = _efficacy(fractions[:-1], alpha)
    spent = sum(_increments(fractions[:-1], alpha / 2)) if before else 0.0
    return min(2 * (spent + walk.above(fractions[-1], abs(z))), 1.0)


def information_fractions(pairs: Sequence[int], most: int, *, last: bool) -> Fractions:
    """Of analyses after so many pairs, out of `most`; the last one is at 1, however few pairs there are by then."""
    fractions = [min(count / most, 1.0) for count in pairs]
    return (*fractions[:-1], 1.0) if last else tuple(fractions)


def planned_analyses(rounds: int, hosts: int) -> list[int]:
    """The rounds after which to analyse: from six pairs on after every two, if that makes at most twenty analyses.

    In a round each host measures one pair. With one host, an analysis follows an even number of rounds, in which both
    orders are equally frequent; with more, their orders differ (see pairing.py).
    """
    balanced = 2 if hosts == 1 else 1
    step = balanced * -(-rounds // (balanced * _MAX_ANALYSES))
    first = max(step, 2, -(-_FIRST // hosts))
    return [*range(first, rounds, step), rounds]


def _increments(fractions: Sequence[float], error: float) -> list[float]:
    """How much of a one-sided error each analysis spends."""
    spent = [error * expm1(-_GAMMA * fraction) / expm1(-_GAMMA) for fraction in fractions]
    return [float(each) for each in np.diff([0.0, *spent])]


def _efficacy(fractions: Sequence[float], alpha: float) -> tuple[list[float], _Walk]:
    """The efficacy bounds, and the walk without drift that has not crossed any of them."""
    walk, found = _Walk(0.0), []
    for fraction, spending in zip(fractions, _increments(fractions, alpha / 2), strict=True):
        high = _root(walk.above, fraction, spending)
        walk.continue_between(fraction, -high, high)
        found.append(high)
    return found, walk


def _futility(
    fractions: Sequence[float], efficacy: Sequence[float], drift: float, beta: float
) -> tuple[list[float], _Walk]:
    """The futility bounds, and the walk with this drift that has stopped at neither kind of bound."""
    walk, found = _Walk(drift), []
    for fraction, high, spending in zip(fractions, efficacy, _increments(fractions, beta), strict=True):
        low = high if fraction >= 1 else _root(walk.below, fraction, spending)
        low = min(max(low, -high), high)
        walk.continue_between(fraction, low, high)
        found.append(low)
    return found, walk


def _root(probability: Callable[[float, float], float], fraction: float, wanted: float) -> float:
    """The z at which a monotone probability is as wanted, or the end of the range that comes nearest to it."""

    def excess(z: float) -> float:
        return probability(fraction, z) - wanted

    low, high = excess(-_MAX_Z), excess(_MAX_Z)
    if low * high >= 0:
        return _MAX_Z if abs(high) < abs(low) else -_MAX_Z
    return float(brentq(excess, -_MAX_Z, _MAX_Z, xtol=1e-9))


class _Walk:
    """Brownian motion with drift, observed at the analyses: the density of its position while it has not stopped."""

    def __init__(self, drift: float) -> None:
        self._drift, self._fraction = drift, 0.0
        self._positions, self._masses = np.zeros(1), np.ones(1)

    def above(self, fraction: float, z: float) -> float:
        """The probability of reaching this analysis and being above `z` there."""
        return float(self._masses @ ndtr(-self._steps(fraction, z * sqrt(fraction))))

    def below(self, fraction: float, z: float) -> float:
        return float(self._masses @ ndtr(self._steps(fraction, z * sqrt(fraction))))

    def continue_between(self, fraction: float, low: float, high: float) -> None:
        """Keep the paths with z between `low` and `high` at this analysis."""
        low, high = low * sqrt(fraction), high * sqrt(fraction)
        positions = low + (high - low) * (_NODES + 1) / 2
        steps = self._steps(fraction, positions[:, None])
        densities = np.exp(-(steps**2) / 2) / sqrt(2 * pi) @ self._masses
        self._masses = densities / sqrt(fraction - self._fraction) * _WEIGHTS * (high - low) / 2
        self._positions, self._fraction = positions, fraction

    def _steps(self, fraction: float, position: float | np.ndarray) -> np.ndarray:
        """The step from each current position to `position`, in standard deviations."""
        elapsed = fraction - self._fraction
        steps: np.ndarray = (position - self._positions - self._drift * elapsed) / sqrt(elapsed)
        return steps
