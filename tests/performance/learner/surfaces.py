# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Synthetic surfaces for comparing learners: the performance of each candidate, drawn from a seed.

`draw` proceeds as follows:

1. Parameters as in real studies: integers on a log or linear scale (some with steps), choices of 3 to 5, booleans; at
   least half of them are integers. In one space of three, two parameters of the same range are constrained by `a <= b`.
2. A quarter to a half of the parameters have no influence (of 4, at most one). Each of the others has a random curve
   (shapes.py) with a log-normal weight: a few matter much, most a little. Pairs of them interact (half as many pairs as
   parameters that matter), and one surface of three has a drop: beyond a threshold most performance is lost.
3. On two surfaces of three, evaluations fail in up to 30 % of the space, often next to the optimum.
4. The default is a random point that does not fail, and is worse than 30 to 80 % of random points.
5. The optimum is scaled to be 15 to 170 % better than the default (uniform in the logarithm). It is found by an
   exhaustive search of the noise-free function (`climb`).

The surfaces favour no algorithm by design. Performance is the log ratio to the default; higher is better.
A measured metric is `baseline x exp(performance + noise)`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.parameters import (
    BoolParameter,
    ChoiceParameter,
    IntParameter,
    Parameter,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Axis, Candidate, SearchSpace, Value
from numpy.typing import NDArray

from .shapes import Cliff, Effect, Numbers, Random, cliff, curve, drop, interaction

SMALLEST_GAIN, LARGEST_GAIN = 0.15, 1.0  # log ratios of the optimum


@dataclass(frozen=True)
class Surface:
    """A workload on one host. shift: moves the landscape along each axis, and permutes choices. optimum: of `best`."""

    name: str
    space: SearchSpace
    default: Candidate
    effects: Sequence[Effect]
    cliffs: Sequence[Cliff]
    bound: tuple[int, int] | None
    shift: Numbers
    offset: float = 0.0
    scale: float = 1.0
    best: Candidate = field(default_factory=dict)
    optimum: float = math.nan

    def performance(self, values: Mapping[str, Value]) -> float | None:
        """The noise-free log ratio to the default, or None where the evaluation fails."""
        found = float(self.at(self.space.encode(values)[None, :])[0])
        return None if math.isinf(found) else found

    def share(self, values: Mapping[str, Value] | None) -> float:
        """The closed share of the gap between default (0) and optimum (1); -1 for a failure, and never less."""
        if values is None:
            return 0.0
        performance = self.performance(values)
        return -1.0 if performance is None else max(performance / self.optimum, -1.0)

    def at(self, points: Numbers) -> Numbers:
        """The performance at decodable points: shape (n, size) to (n,); -inf where evaluations fail."""
        moved = _moved(self.space.axes, points, self.shift)
        total = sum((effect.weight * effect.of(moved) for effect in self.effects), np.zeros(len(points)))
        return np.where(self.fails(points), -np.inf, (total - self.offset) * self.scale)

    def fails(self, points: Numbers) -> NDArray[np.bool_]:
        moved = _moved(self.space.axes, points, self.shift)
        over = np.zeros(len(points), dtype=bool)
        for each in self.cliffs:
            over |= each.over(moved)
        return over


def draw(seed: int, parameters: int) -> Surface:
    """The surface of this seed, with this number of parameters."""
    random = np.random.default_rng([seed, parameters])
    space, bound = space_of(parameters, random)
    axes = space.axes
    active = random.permutation(parameters)[: parameters - idle(parameters, random)]
    effects = [_main(axes[i], int(i), random) for i in active]
    for dummy in range(max(1, len(active) // 2)):
        i, j = random.choice(active, 2, replace=False)
        weight = 0.8 * np.exp(random.normal(0, 0.6))
        effects.append(replace(interaction(axes, int(i), int(j), random), weight=weight))
    if random.random() < 1 / 3:
        i = int(random.choice(active))
        effects.append(replace(drop(axes[i], i, random), weight=-random.uniform(1, 2.5)))
    bare = Surface(f"{parameters}/{seed}", space, {}, effects, [], bound, np.zeros(parameters))
    points = _sample(bare, 2000, random)
    near = points[np.argmax(bare.at(points))]
    cliffs: list[Cliff] = []
    for dummy in range(int(random.choice([0, 1, 2], p=[0.35, 0.4, 0.25]))):
        more = [*cliffs, cliff(axes, near, random)]
        if replace(bare, cliffs=more).fails(points).mean() < 0.3:
            cliffs = more
    gain = math.exp(random.uniform(math.log(SMALLEST_GAIN), math.log(LARGEST_GAIN)))
    return calibrate(replace(bare, cliffs=cliffs), gain, random)


def related(seed: int, parameters: int) -> tuple[Surface, Surface]:
    """Two related surfaces of one space, as of one workload on two generations of hosts.

    The second landscape is moved by about 5 % of every range, its weights differ by about a quarter, one effect is
    replaced, and default and gain are drawn again.
    """
    first = draw(seed, parameters)
    random = np.random.default_rng([seed, parameters, 1])
    effects = [replace(effect, weight=effect.weight * np.exp(random.normal(0, 0.25))) for effect in first.effects]
    at = int(random.integers(len(effects)))
    i = effects[at].axes[0]
    effects[at] = replace(_main(first.space.axes[i], i, random), weight=abs(effects[at].weight))
    shift = np.array([0.0 if axis.choices else random.normal(0, 0.05) for axis in first.space.axes])
    moved = replace(first, name=f"{first.name} moved", effects=effects, shift=shift, offset=0.0, scale=1.0)
    gain = math.exp(random.uniform(math.log(SMALLEST_GAIN), math.log(LARGEST_GAIN)))
    return first, calibrate(moved, gain, random)


def snap(space: SearchSpace, points: Numbers) -> Numbers:
    """space.encode(space.decode(point)) for many points at once, without the constraints."""
    snapped = np.empty_like(points)
    for at, axis in enumerate(space.axes):
        unit = np.clip(points[:, at], 0, 1)
        if axis.choices:
            count = len(axis.choices)
            snapped[:, at] = (np.minimum((unit * count).astype(int), count - 1) + 0.5) / count
            continue
        span = axis.high - axis.low
        value = axis.low * (axis.high / axis.low) ** unit if axis.log else axis.low + unit * span
        value = np.clip(axis.low + np.round((value - axis.low) / axis.step) * axis.step, axis.low, axis.high)
        snapped[:, at] = (
            np.log(value / axis.low) / math.log(axis.high / axis.low) if axis.log else (value - axis.low) / span
        )
    return snapped


class Landscape(Protocol):
    """A function for `climb` to maximise."""

    space: SearchSpace
    bound: tuple[int, int] | None

    def at(self, points: Numbers) -> Numbers: ...


def climb(surface: Landscape, random: Random, *, starts: int = 24, samples: int = 20_000) -> Numbers:
    """The best point of many samples, improved along single axes and by random steps; shape (size,)."""
    axes = surface.space.axes
    levels = [_levels(axis) for axis in axes]
    points = _sample(surface, samples, random)
    found = points[np.argsort(-surface.at(points))[:starts]]
    values = surface.at(found)
    for round_ in range(12):
        before = values.copy()
        for i in random.permutation(len(axes)):
            tried = np.repeat(found, len(levels[i]), axis=0)
            tried[:, i] = np.tile(levels[i], len(found))
            found, values = _better(surface, found, values, tried)
        # A ridge looks like a peak along each axis: also step along several axes at once, with decreasing widths.
        width = 0.3 * 0.7**round_
        some = random.random((len(found) * 100, len(axes))) < 2.5 / len(axes)
        moves = random.normal(0, width, some.shape) * some
        found, values = _better(surface, found, values, snap(surface.space, np.repeat(found, 100, axis=0) + moves))
        if round_ >= 5 and np.all(values - before < 1e-4 * abs(values)):
            break
    best: Numbers = found[np.argmax(values)]
    return best


def calibrate(surface: Surface, gain: float, random: Random, default: Candidate | None = None) -> Surface:
    """The surface with a default (drawn unless given) and an optimum, scaled to be better by `gain`."""
    bare = replace(surface, offset=0.0, scale=1.0)
    if default is None:
        points = _sample(bare, 400, random)
        ranked = points[np.argsort(bare.at(points))]
        working = ranked[~bare.fails(ranked)]
        default = surface.space.decode(working[int(random.uniform(0.2, 0.7) * len(working))])
    offset = float(bare.at(surface.space.encode(default)[None, :])[0])
    peak = climb(bare, random)
    scale = gain / (float(bare.at(peak[None, :])[0]) - offset)
    best = surface.space.decode(peak)
    return replace(surface, default=default, offset=offset, scale=scale, best=best, optimum=gain)


def space_of(size: int, random: Random) -> tuple[SearchSpace, tuple[int, int] | None]:
    kinds = ["log", "linear", "choice", "bool"]
    while True:
        drawn = [str(kind) for kind in random.choice(kinds, size, p=[0.35, 0.25, 0.2, 0.2])]
        if sum(kind in ("log", "linear") for kind in drawn) * 2 >= size:
            break
    parameters = [_parameter(f"net.synthetic.p{at:02}", kind, random) for at, kind in enumerate(drawn)]
    constraints, bound = [], None
    numeric = [at for at, kind in enumerate(drawn) if kind in ("log", "linear")]
    if random.random() < 1 / 3:
        a, b = (int(at) for at in random.choice(numeric, 2, replace=False))
        parameters[b] = parameters[a].model_copy(update={"param": parameters[b].param})
        constraints, bound = [f"{parameters[a].param} <= {parameters[b].param}"], (a, b)
    axes = [axis for parameter in parameters for axis in parameter.axes()]
    return SearchSpace(axes, [parameter.layout() for parameter in parameters], constraints), bound


def _parameter(name: str, kind: str, random: Random) -> Parameter:
    if kind == "bool":
        return BoolParameter(param=name, type="bool")
    if kind == "choice":
        return ChoiceParameter(
            param=name, type="choice", choices=["reno", "cubic", "bbr", "vegas", "htcp"][: random.integers(3, 6)]
        )
    if kind == "log":
        low = 2 ** int(random.integers(0, 15))
        return IntParameter(param=name, type="int", min=low, max=low * 2 ** int(random.integers(4, 13)), log=True)
    step, count = int(random.choice([1, 1, 5, 100])), int(random.choice([10, 100, 1000]))
    low = int(random.integers(0, 5)) * step
    return IntParameter(param=name, type="int", min=low, max=low + step * count, step=step)


def idle(parameters: int, random: Random) -> int:
    return int(random.integers(0, 2)) if parameters <= 4 else round(parameters * random.uniform(0.25, 0.5))


def _main(axis: Axis, i: int, random: Random) -> Effect:
    kind, of = curve(axis, random)
    return Effect(kind, float(np.exp(random.normal(0, 0.8))), (i,), lambda x: of(x[:, i]))


def _sample(surface: Landscape, count: int, random: Random) -> Numbers:
    points = snap(surface.space, random.random((count, surface.space.size)))
    if surface.bound:
        a, b = surface.bound
        points[:, a] = np.minimum(points[:, a], points[:, b])
    return points


def _better(surface: Landscape, found: Numbers, values: Numbers, tried: Numbers) -> tuple[Numbers, Numbers]:
    """Each of `found`, or the best of its successors in `tried` if that is better."""
    judged = surface.at(tried)
    if surface.bound:
        a, b = surface.bound
        judged[tried[:, a] > tried[:, b]] = -np.inf
    each = judged.reshape(len(found), -1)
    at = np.argmax(each, axis=1)
    ahead = each[np.arange(len(found)), at] > values
    chosen = tried.reshape(len(found), -1, tried.shape[1])[np.arange(len(found)), at]
    return np.where(ahead[:, None], chosen, found), np.where(ahead, each[np.arange(len(found)), at], values)


def _levels(axis: Axis) -> Numbers:
    """Every choice of an axis, or at most 65 of its values."""
    if axis.choices:
        return (np.arange(len(axis.choices)) + 0.5) / len(axis.choices)
    return np.unique([axis.encode(axis.decode(unit)) for unit in np.linspace(0, 1, 65)])


def _moved(axes: Sequence[Axis], points: Numbers, shift: Numbers) -> Numbers:
    if not shift.any():
        return points
    choice = np.array([bool(axis.choices) for axis in axes])
    return np.where(choice, (points + shift) % 1.0, np.clip(points + shift, 0.0, 1.0))
