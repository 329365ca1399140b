# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A simulated fleet that measures candidates on synthetic surfaces, with noise, drift, different hosts and loads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.parameters import kernel_text
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.sections import RewardWeights
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Candidate, SearchSpace
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.reward import log_ratio, score
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, State, Trial

from .shapes import Numbers, Random
from .surfaces import Surface, calibrate, climb, draw

BASELINE = 100.0


@dataclass(frozen=True)
class Noise:
    """Noise of the measured performance, as log ratios (0.03 is about 3 %).

    sigma: standard deviation. uneven: how much it varies between points (0: constant; 1: a third to three times).
    drift: standard deviation of each host's random walk after 100 evaluations. tails: fraction of outliers, which have
    five times the noise.
    """

    sigma: float
    uneven: float = 0.0
    drift: float = 0.0
    tails: float = 0.0


@dataclass(frozen=True)
class Host:
    """A host with a surface for each load; its state_space metrics reveal its kind and the load."""

    name: str
    surfaces: Mapping[float, Surface]
    kind: float

    def observations(self, load: float, random: Random) -> dict[str, float]:
        return {
            "memory_used_percent": float(np.clip(50 + 80 * self.kind + random.normal(0, 3), 0, 100)),
            "cpu_usage": float(np.clip(50 + 80 * load + random.normal(0, 3), 0, 100)),
        }


def alike(surface: Surface) -> list[Host]:
    """One host with a constant load."""
    return [Host("bench1", {0.0: surface}, kind=0.0)]


def contexts_of(hosts: Sequence[Host]) -> dict[str, Sequence[float]]:
    """The features of the hosts, for `search` and `recommend`."""
    return {host.name: [host.kind] for host in hosts}


@dataclass(frozen=True)
class Together:
    """All hosts and loads as one surface: the mean performance; a candidate that fails on one host fails."""

    space: SearchSpace
    bound: tuple[int, int] | None
    surfaces: Sequence[Surface]

    def at(self, points: Numbers) -> Numbers:
        found: Numbers = np.mean([surface.at(points) for surface in self.surfaces], axis=0)
        return found

    @cached_property
    def optimum(self) -> float:
        """Of the best compromise."""
        return float(self.at(climb(self, np.random.default_rng(0), starts=8, samples=5000)[None, :])[0])

    def share(self, values: Candidate | None) -> float:
        if values is None:
            return 0.0
        return max(float(self.at(self.space.encode(values)[None, :])[0]) / self.optimum, -1.0)


def together(hosts: Sequence[Host]) -> Together:
    surfaces = [surface for host in hosts for surface in host.surfaces.values()]
    return Together(surfaces[0].space, surfaces[0].bound, surfaces)


def fleet(seed: int, parameters: int, *, hosts: int = 4, loads: Sequence[float] = (0.0,)) -> list[Host]:
    """Different hosts, from small to large (`kind` -0.5 to 0.5), under loads of -0.5 to 0.5.

    The landscape moves along every axis with kind and load, by up to half of the range, and choices are permuted. The
    moves are reduced until some compromise brings at least half of each host's own gain. All have the same default.
    """
    plain = draw(seed, parameters)
    random = np.random.default_rng([seed, parameters, 2])
    axes = plain.space.axes
    by_kind, by_load = (
        random.uniform(-0.5, 0.5, parameters) * [not axis.choices for axis in axes] for dummy in range(2)
    )
    exchanged = np.array([random.integers(len(a.choices)) / len(a.choices) if a.choices else 0 for a in axes])
    for reach in (1.0, 0.7, 0.5, 0.35, 0.25, 0.1):
        found = []
        for at, kind in enumerate(np.linspace(-0.5, 0.5, hosts)):
            surfaces = {}
            for load in loads:
                shift = reach * (by_kind * kind + by_load * load) + (exchanged if kind > 0 and reach == 1 else 0)
                there = replace(plain, name=f"{plain.name} host {at + 1} load {load:g}", shift=shift)
                if there.fails(plain.space.encode(plain.default)[None, :])[0]:
                    there = replace(there, cliffs=[])  # the default must not fail
                surfaces[float(load)] = calibrate(there, plain.optimum, random, default=plain.default)
            found.append(Host(f"bench{at + 1}", surfaces, float(kind)))
        if together(found).optimum >= plain.optimum / 2:
            break
    return found


def evaluated(
    number: int, job: Trial, asked: Candidate, metric: float | None, observations: Mapping[str, float]
) -> Trial:
    """The trial as the trainer would record it; without a metric it failed."""
    trial = replace(
        job,
        id=number,
        requested=asked,
        applied={name: kernel_text(value) for name, value in asked.items()},
        state=State.FAILED if metric is None else State.COMPLETE,
        metric=metric,
        observations=dict(observations),
        error="the benchmark failed" if metric is None else None,
    )
    performance = None if metric is None else log_ratio(metric, BASELINE, "maximise")
    return replace(trial, score=score(trial, performance, RewardWeights()))


@dataclass
class Bench:
    """An evaluator for `search` that keeps all its trials.

    The n-th measurement of a seed has the same noise for every candidate, so that all algorithms face the same noise.
    The hosts take turns; the load of all changes every `load_lasts` evaluations.
    """

    hosts: Sequence[Host]
    noise: Noise
    seed: int
    load_lasts: int = 10
    history: Sequence[Trial] = ()  # trials of an earlier study, for a warm start
    evaluations: list[Trial] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)  # of each trial, without noise, for its host and load

    def __post_init__(self) -> None:
        self._random = np.random.default_rng([self.seed, 77])
        self._loads = np.random.default_rng([self.seed, 78])
        self._tilt = np.random.default_rng([self.seed, 79]).normal(size=self.space.size)
        self._walks = {host.name: 0.0 for host in self.hosts}
        self._load = self._next_load()

    @property
    def space(self) -> SearchSpace:
        return self.surface.space

    @property
    def surface(self) -> Surface:
        """The surface of the first host; all have the same one unless hosts differ."""
        return next(iter(self.hosts[0].surfaces.values()))

    def observed(self) -> list[dict[str, float]]:
        """Each host's metrics before its first evaluation."""
        random = np.random.default_rng([self.seed, 80])
        return [host.observations(self._load, random) for host in self.hosts]

    def __call__(self, candidates: Sequence[Candidate]) -> list[Trial]:
        return [self.measure(candidate) for candidate in candidates]

    def measure(self, values: Candidate | None, phase: Phase = Phase.TRAIN, host: str | None = None) -> Trial:
        """One trial, on the named host or the next one; values: None for the default."""
        number = len(self.evaluations)
        if number and number % self.load_lasts == 0:
            self._load = self._next_load()
        there = next((h for h in self.hosts if h.name == host), self.hosts[number % len(self.hosts)])
        surface = there.surfaces[self._load]
        asked = surface.default if values is None else values
        performance = surface.performance(asked)
        observations = there.observations(self._load, self._random)
        ratio = self._noise(surface, asked, there.name)
        metric = None if performance is None else BASELINE * math.exp(performance + ratio)
        evaluation = evaluated(number + 1, Trial.pending(phase, values, there.name), asked, metric, observations)
        self.evaluations.append(evaluation)
        self.shares.append(surface.share(asked))
        return evaluation

    def _noise(self, surface: Surface, values: Candidate, host: str) -> float:
        """The same random numbers for every candidate; uneven noise scales them by its position."""
        normal, tail, step = self._random.normal(), self._random.random(), self._random.normal()
        self._walks[host] += self.noise.drift / 10 * step
        where = (surface.space.encode(values) - 0.5) @ self._tilt / max(np.linalg.norm(self._tilt), 1e-9)
        scale = 3.0 ** (self.noise.uneven * float(np.clip(3 * where, -1, 1)))
        return self._walks[host] + self.noise.sigma * scale * (5.0 if tail < self.noise.tails else 1.0) * normal

    def _next_load(self) -> float:
        return float(self._loads.choice(list(self.hosts[0].surfaces)))
