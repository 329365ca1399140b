# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""When a proof that is looked at again and again may stop: a group-sequential test with a bound on both errors.

Looking several times gives luck several chances, so each look has a boundary of its own. How much of the error may be
spent by when is Lan and DeMets' function like O'Brien and Fleming's (Biometrika 70, 1983): next to nothing at first,
so that the last look is hardly stricter than a single test would be. The boundaries follow by numerical integration
over the paths that have not stopped yet (Armitage, McPherson and Rowe, JRSS A 132, 1969). Against missing a gain there
is the same thing mirrored (Pampallona, Tsiatis and Kim, 2001), not binding: going on beyond it does no harm.

A look is described by its share of all pairs there can be; a score is the statistic as a standard normal one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

# Nobody scores more by luck, and a density further out is 0 in floating point.
_HIGHEST = 9.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)
_LOOKS = 10


@dataclass(frozen=True)
class Boundary:
    """At one look: a score of `proved` or beyond (on either side) is decided, one below `hopeless` not worth more."""

    proved: float
    hopeless: float


@lru_cache(maxsize=512)
def boundaries(shares: tuple[float, ...], planned: tuple[float, ...], error: float, power: float) -> list[Boundary]:
    """The boundaries of the looks so far, at `shares` of the pairs; `planned` are those of all looks as planned.

    error: of both sides together, where there is no difference. power: the chance to find `reach()`.
    """
    proved = _proved(shares, error)
    hopeless = _hopeless(shares, proved, reach(planned, error, power), 1 - power)
    return [Boundary(*each) for each in zip(proved, hopeless, strict=True)]


@lru_cache(maxsize=512)
def reach(planned: tuple[float, ...], error: float, power: float) -> float:
    """The expected score at the last look of a gain that is found with probability `power`.

    In standard errors of all pairs: what is less than that, more pairs would be needed for.
    """
    proved = _proved(planned, error)

    def missed(drift: float) -> float:
        """How much more is missed than may be, when the last look has no room between its two boundaries."""
        hopeless = _hopeless(planned[:-1], proved[:-1], drift, 1 - power)
        paths = _Paths(drift)
        for share, low, high in zip(planned[:-1], hopeless, proved[:-1], strict=True):
            paths.go_on(share, low, high)
        return paths.below(planned[-1], proved[-1]) - (1 - power - _spent(planned[-2] if planned[1:] else 0, 1 - power))

    single = float(norm.isf(error / 2) + norm.ppf(power))
    return float(brentq(missed, 0.9 * single, 2 * single, xtol=1e-6))


def p_value(shares: tuple[float, ...], score: float, error: float) -> float:
    """The two-sided p value of a test that stopped at the last of `shares`.

    Stage-wise: to stop earlier would have been more extreme (Tsiatis, Rosner and Mehta, Biometrics 40, 1984). Uniform
    where there is no difference, and at most `error` exactly where the boundary was reached.
    """
    proved = _proved(shares, error)
    paths = _Paths(0.0)
    for share, bound in zip(shares[:-1], proved[:-1], strict=True):
        paths.go_on(share, -bound, bound)
    before = 2 * _spent(shares[-2], error / 2) if shares[1:] else 0.0
    return min(before + 2 * paths.above(shares[-1], abs(score)), 1.0)


def shares_of(pairs: Sequence[int], most: int, *, last: bool) -> tuple[float, ...]:
    """Looks after so many pairs, as shares of `most`; the last one is at everything, however little that has become."""
    shares = [min(count / most, 1.0) for count in pairs]
    return (*shares[:-1], 1.0) if last else tuple(shares)


def planned_looks(rounds: int, together: int) -> list[int]:
    """After which rounds to look: ten times at most, after whole blocks of two, and from four pairs on.

    together: how many pairs a round has, one a host. A block has either order once (see verification.py).
    """
    step = 2 * -(-rounds // (2 * _LOOKS))
    first = max(step, 2 if together > 1 else 4)
    return [*range(first, rounds, step), rounds]


def _spent(share: float, error: float) -> float:
    """How much of a one-sided error may be spent by then."""
    return float(2 * norm.sf(norm.isf(error / 2) / sqrt(share))) if share > 0 else 0.0


@lru_cache(maxsize=512)
def _proved(shares: tuple[float, ...], error: float) -> tuple[float, ...]:
    paths, found = _Paths(0.0), []
    before = 0.0
    for share in shares:
        spent = _spent(share, error / 2)
        bound = _root(paths.above, share, spent - before)
        paths.go_on(share, -bound, bound)
        found.append(bound)
        before = spent
    return tuple(found)


def _hopeless(shares: Sequence[float], proved: Sequence[float], drift: float, error: float) -> list[float]:
    paths, found = _Paths(drift), []
    before = 0.0
    for share, high in zip(shares, proved, strict=True):
        spent = _spent(share, error)
        low = high if share >= 1 else -_root(paths.below_negative, share, spent - before)
        low = min(max(low, -high), high)
        paths.go_on(share, low, high)
        found.append(low)
        before = spent
    return found


def _root(tail: Callable[[float, float], float], share: float, wanted: float) -> float:
    """The score beyond which so much of the probability lies; it falls as the score rises."""
    if tail(share, _HIGHEST) >= wanted:
        return _HIGHEST
    if tail(share, -_HIGHEST) <= wanted:
        return -_HIGHEST
    return float(brentq(lambda score: tail(share, score) - wanted, -_HIGHEST, _HIGHEST, xtol=1e-9))


class _Paths:
    """Brownian motion with a drift, seen at the looks: the density of where it is if it has not stopped yet."""

    def __init__(self, drift: float) -> None:
        self._drift, self._share = drift, 0.0
        self._places, self._masses = np.zeros(1), np.ones(1)

    def above(self, share: float, score: float) -> float:
        """The probability to come so far without stopping, and to score more than that then."""
        return float(self._masses @ norm.sf(self._gap(share, score * sqrt(share))))

    def below(self, share: float, score: float) -> float:
        return float(self._masses @ norm.cdf(self._gap(share, score * sqrt(share))))

    def below_negative(self, share: float, score: float) -> float:
        return self.below(share, -score)

    def _gap(self, share: float, place: float) -> np.ndarray:
        return (place - self._places - self._drift * (share - self._share)) / sqrt(share - self._share)

    def go_on(self, share: float, low: float, high: float) -> None:
        """Keep the paths that score between the two."""
        low, high = low * sqrt(share), high * sqrt(share)
        places = low + (high - low) * (_NODES + 1) / 2
        length = share - self._share
        gaps = (places[:, None] - self._places - self._drift * length) / sqrt(length)
        self._masses = (norm.pdf(gaps) @ self._masses) / sqrt(length) * _WEIGHTS * (high - low) / 2
        self._places, self._share = places, share
