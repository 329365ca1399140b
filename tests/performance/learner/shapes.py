# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How parameters affect performance: random effects on points of the unit cube.

Modelled on kernel parameters: a buffer helps until it covers the path (knee), and too large a one hurts (hump);
a threshold acts at once (staircase); a switch enables another parameter (gate); of two buffers in a row the smaller one
decides (bottleneck); two values must match (ridge); overcommitted memory makes the host fail (cliff).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Axis
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Curve = Callable[[Numbers], Numbers]
Random = np.random.Generator


@dataclass(frozen=True)
class Effect:
    """The contribution of some axes to the log ratio: `weight` times `of(points)` in [0, 1], of shape (n,)."""

    kind: str
    weight: float
    axes: tuple[int, ...]
    of: Callable[[Numbers], Numbers]


@dataclass(frozen=True)
class Cliff:
    """Evaluations fail where `over(points)`, of shape (n,), is true."""

    kind: str
    over: Callable[[Numbers], NDArray[np.bool_]]


def knee(random: Random) -> Curve:
    rate, fall = random.uniform(3, 12), random.choice([0.0, 0.0, random.uniform(0.1, 0.6)])
    return lambda x: 1 - np.exp(-rate * x) - fall * x**2


def hump(random: Random) -> Curve:
    centre, left, right = random.uniform(0.1, 0.9), random.uniform(0.12, 0.6), random.uniform(0.12, 0.6)
    return lambda x: np.exp(-(((x - centre) / np.where(x < centre, left, right)) ** 2))


def plateau(random: Random) -> Curve:
    centre, half, edge = random.uniform(0, 1), random.uniform(0.08, 0.25), random.uniform(0.03, 0.2)
    return lambda x: 1 - np.clip((np.abs(x - centre) - half) / edge, 0, 1)


def staircase(random: Random) -> Curve:
    edges = np.sort(random.uniform(0.08, 0.92, random.integers(1, 4)))
    heights = random.permutation(np.linspace(0, 1, len(edges) + 1))
    return lambda x: heights[np.searchsorted(edges, x)]


def slope(random: Random) -> Curve:
    power = np.exp(random.uniform(-0.7, 0.7))
    return lambda x: x**power


def waves(random: Random) -> Curve:
    under, depth, count, phase = hump(random), random.uniform(0.08, 0.25), random.uniform(2, 4), random.uniform(0, 1)
    return lambda x: under(x) + depth * np.sin(2 * np.pi * (count * x + phase))


CURVES = {"knee": knee, "hump": hump, "plateau": plateau, "staircase": staircase, "slope": slope, "waves": waves}


def curve(
    axis: Axis, random: Random, *, chances: Sequence[float] = (0.25, 0.25, 0.15, 0.15, 0.1, 0.1)
) -> tuple[str, Curve]:
    """The effect of one axis, scaled to [0, 1]; each value of a choice has a height of its own."""
    if axis.choices:
        return "table", heights(axis, random)
    kind = random.choice(list(CURVES), p=chances)
    raw, mirrored = CURVES[kind](random), random.random() < 0.5
    spread = raw(np.linspace(0, 1, 513))
    low, high = float(spread.min()), float(spread.max())
    return kind, lambda x: np.clip((raw(1 - x if mirrored else x) - low) / (high - low), 0, 1)


def single(i: int, of: Curve, weight: float) -> Effect:
    return Effect("single", weight, (i,), lambda x: of(x[:, i]))


def heights(axis: Axis, random: Random) -> Curve:
    """A height in [0, 1] for each value of a choice; the lowest is 0, and the highest is 1."""
    found = random.permutation(np.concatenate([[0, 1], random.uniform(0, 1, len(axis.choices) - 2)]))
    return lambda x: found[np.minimum((x * len(found)).astype(int), len(found) - 1)]


def chosen(axes: Sequence[Axis], i: int, low: float, high: float, random: Random) -> Effect:
    """A choice with a height for each of its values, and a weight between these."""
    return single(i, heights(axes[i], random), random.uniform(low, high))


def gate(axes: Sequence[Axis], i: int, j: int, random: Random) -> Effect:
    """Parameter j matters only where i enables it."""
    opening, acting, rest = _half(axes[i], random), curve(axes[j], random)[1], random.uniform(0, 0.2)
    return Effect("gate", 1, (i, j), lambda x: np.where(opening(x[:, i]), 1, rest) * acting(x[:, j]))


def bottleneck(axes: Sequence[Axis], i: int, j: int, random: Random) -> Effect:
    one, other = (curve(axes[at], random, chances=(0.5, 0, 0.2, 0, 0.3, 0))[1] for at in (i, j))
    return Effect("bottleneck", 1, (i, j), lambda x: np.minimum(one(x[:, i]), other(x[:, j])))


def ridge(axes: Sequence[Axis], i: int, j: int, random: Random) -> Effect:
    tilt, width = random.choice([-1, 1]) * random.uniform(0.5, 1), random.uniform(0.15, 0.5)
    offset = 0.5 - tilt * 0.5 + random.uniform(-0.15, 0.15)
    return Effect(
        "ridge", 1, (i, j), lambda x: 1 - np.minimum(np.abs(x[:, i] - offset - tilt * x[:, j]) / width, 1) ** 1.5
    )


def peak(axes: Sequence[Axis], i: int, j: int, random: Random) -> Effect:
    centre, width = random.uniform(0.1, 0.9, 2), random.uniform(0.12, 0.3)
    return Effect("peak", 1, (i, j), lambda x: np.exp(-((x[:, [i, j]] - centre) ** 2).sum(axis=1) / (2 * width**2)))


def agreement(axes: Sequence[Axis], i: int, j: int, random: Random) -> Effect:
    """Two thresholds or choices that help only on the same side: neither shows anything on its own."""
    one, other = _half(axes[i], random), _half(axes[j], random)
    return Effect("agreement", 1, (i, j), lambda x: (one(x[:, i]) == other(x[:, j])).astype(float))


def interaction(axes: Sequence[Axis], i: int, j: int, random: Random) -> Effect:
    numeric = not axes[i].choices and not axes[j].choices
    kinds = [gate, gate, bottleneck, ridge, peak] if numeric else [gate, gate, gate, bottleneck, agreement]
    return kinds[random.integers(len(kinds))](axes, i, j, random)


def drop(axis: Axis, i: int, random: Random) -> Effect:
    """Beyond a threshold most of the performance is lost, as in thrashing, but evaluations do not fail."""
    most = _half(axis, random, 0.12, 0.3)
    return Effect("drop", 1, (i,), lambda x: (~most(x[:, i])).astype(float))


def cliff(axes: Sequence[Axis], near: Numbers, random: Random) -> Cliff:
    """Failures at one end of an axis, in a corner, or where a sum is too large; often close to the best point.

    near: the best point if nothing failed, shape (size,).
    """
    numeric = [at for at, axis in enumerate(axes) if not axis.choices]
    i, j = random.choice(numeric, 2, replace=False)
    up_i, up_j = (near[at] > 0.5 if random.random() < 0.6 else random.random() < 0.5 for at in (i, j))
    kind = random.choice(["edge", "corner", "sum", "choice"])
    if kind == "edge":
        close = abs(near[i] - (not up_i)) + random.uniform(-0.08, 0.1)
        limit = float(np.clip(close if random.random() < 0.5 else random.uniform(0.7, 0.95), 0.6, 0.97))
        return Cliff(kind, lambda x: _height(x[:, i], up_i) > limit)
    if kind == "sum":
        most = random.uniform(1.25, 1.7)
        return Cliff(kind, lambda x: _height(x[:, i], up_i) + _height(x[:, j], up_j) > most)
    choices = [at for at, axis in enumerate(axes) if axis.choices]
    if kind == "choice" and choices:
        at, limit = random.choice(choices), random.uniform(0.4, 0.8)
        bad = axes[at].encode(random.integers(len(axes[at].choices)))
        return Cliff(kind, lambda x: np.isclose(x[:, at], bad) & (_height(x[:, i], up_i) > limit))
    one, other = random.uniform(0.5, 0.75, 2)
    return Cliff("corner", lambda x: (_height(x[:, i], up_i) > one) & (_height(x[:, j], up_j) > other))


def _half(axis: Axis, random: Random, low: float = 0.25, high: float = 0.75) -> Callable[[Numbers], NDArray[np.bool_]]:
    """One side of a threshold, or a proper subset of the choices."""
    if axis.choices:
        count = len(axis.choices)
        members = np.isin(np.arange(count), random.choice(count, random.integers(1, count), replace=False))
        return lambda x: members[np.minimum((x * count).astype(int), count - 1)]
    limit, up = random.uniform(low, high), random.random() < 0.5
    return lambda x: _height(x, up) > limit


def _height(x: Numbers, up: bool) -> Numbers:
    return x if up else 1 - x
