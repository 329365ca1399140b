# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A search on a simulated surface, fast enough to train a policy that decides which candidate is tried next.

As in `_learner/model_based.py`, but that it offers the best candidates by several criteria, and is told which one to
take. One decision takes some 6 ms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import sklearn
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.acquisition_policy import (
    BEST,
    UCB,
    Decision,
    Pool,
    described,
    offer,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.surrogate import Features
from scipy.stats import qmc
from sklearn.ensemble import ExtraTreesClassifier

from . import families
from .fast_process import Conditioned, FastProcess, log_expected_improvement
from .shapes import Numbers

# Its checks of arguments would take longer than fitting twelve trees does.
sklearn.set_config(skip_parameter_validation=True, assume_finite=True)

_POOL = Pool(random=120, mutants=100, parents=5)
_TREES, _RACED = 12, 3
surface_of = lru_cache(4000)(families.surface_of)


class SimulatedSearch:
    """One search; `take` evaluates one of the offered candidates.

    left: evaluations. share: of the gap, closed by the recommended candidate, after the race once none is left.
    features: of the offered candidates and of the state, shape (OFFERED * OF_CANDIDATE + OF_STATE,). best: the offered
    candidate that is the best, by criterion.
    """

    def __init__(self, family: str, number: int, parameters: int, budget: int, noise: float, seed: int) -> None:
        self._surface, self._noise = surface_of(family, number, parameters), noise
        self._space = self._surface.space
        self._random = np.random.default_rng([seed, number, parameters, budget])
        self._encode = Features(self._space)
        self._process = FastProcess(self._encode.size)
        self._points, self._values = np.zeros((0, parameters)), np.zeros(0)
        self._forest: ExtraTreesClassifier | None = None
        self._failed = self._grown = self._fitted = self._unchanged = 0
        self._truth = -math.inf
        self._own = self._space.encode(self._surface.default)
        self._evaluate(self._own, noise / math.sqrt(3))
        size = max(min(budget // 4, 2 * parameters + 2), min(budget, 4))
        design = qmc.Sobol(parameters, seed=seed).random_base2(max(size - 1, 1).bit_length())
        for point in self._space.snap(design)[:size]:
            self._evaluate(point)
        self.index, self.left = size, budget - size
        while np.isfinite(self._values).sum() < 3 and self.left:
            self._evaluate(self._space.snap(self._random.random((1, parameters)))[0])
            self.index, self.left = self.index + 1, self.left - 1
        self._total = max(self.left, 1)
        self._learn()
        if self.left:
            self._offer()

    def take(self, choice: int) -> float:
        """Evaluate an offered candidate; returns by how much the best point tried is better than before, in truth."""
        before, incumbent = self._truth, self._incumbent
        self._evaluate(self._offered[choice])
        self.index, self.left = self.index + 1, self.left - 1
        self._learn()
        if self.left:
            self._offer()
            self._unchanged = 0 if (self._incumbent != incumbent).any() else self._unchanged + 1
        return (self._truth - before) / self._surface.optimum

    def _evaluate(self, point: Numbers, noise: float | None = None) -> None:
        true = float(self._surface.at(point[None])[0])
        self._truth = max(self._truth, true)
        error = (self._noise if noise is None else noise) * self._random.normal()
        self._points = np.vstack([self._points, point])
        self._values = np.append(self._values, np.nan if math.isinf(true) else true + error)

    def _learn(self) -> None:
        succeeded = ~np.isnan(self._values)
        features, values = self._encode(self._points), self._values[succeeded]
        if len(values) >= self._fitted + max(self._fitted // 8, 1):
            self._process.fit(features[succeeded], values, 12 if self._fitted else 40)
            self._fitted = len(values)
        self._given = self._process.condition(features[succeeded], values)
        failed = int((~succeeded).sum())
        if failed and (self._forest is None or failed > self._failed or len(succeeded) > 1.15 * self._grown):
            self._forest = ExtraTreesClassifier(_TREES, max_features=None, random_state=0).fit(features, succeeded)
            self._failed, self._grown = failed, len(succeeded)
        tried = np.unique(self._points[succeeded], axis=0)
        means, feasible = self._process.posterior(self._given, self._encode(tried))[0], self._feasible(tried)
        ranked = self._surface.at(tried[np.argsort(-(means + self._process.scale * feasible))[:_RACED]])
        raced = ranked + self._noise / 3 * np.random.default_rng([7, len(self._values)]).normal(size=len(ranked))
        best = ranked[0] if self.left else ranked[np.argmax(raced)]
        self.share = float(np.clip(best / self._surface.optimum, -1, 1))

    def _feasible(self, points: Numbers) -> Numbers:
        """The logarithm of the probability of not failing."""
        if self._forest is None:
            return np.zeros(len(points))
        inputs = self._encode(points).astype(np.float32)
        votes = np.mean([tree.tree_.predict(inputs)[:, 1] for tree in self._forest.estimators_], axis=0)
        found: Numbers = np.log(np.maximum(votes, 1e-6))
        return found

    def _offer(self) -> None:
        succeeded = ~np.isnan(self._values)
        known, values = self._encode(self._points)[succeeded], self._values[succeeded]
        tried = np.unique(self._points[succeeded], axis=0)
        encoded = self._encode(tried)
        means = self._process.posterior(self._given, encoded)[0]
        self._incumbent, best = tried[np.argmax(means)], float(means.max())
        jittered = self._process.condition(known, values, np.exp(self._random.normal(size=self._encode.size)))
        best_jittered = float(self._process.posterior(jittered, encoded)[0].max())
        self._offered, judged = offer(
            self._space,
            [self._incumbent[None]],
            _POOL,
            lambda points: self._judged(points, jittered, best, best_jittered),
            self._random,
        )
        self.best = {name: int(np.argmax(judged[name])) for name in BEST}
        state = Decision(
            encode=self._encode, incumbent=self._incumbent, own=self._own, known=known, values=self._values,
            best=best, best_jittered=best_jittered, scale=self._process.scale, lengths=self._process.lengths,
            noise=self._process.noise, left=self.left, total=self._total, unchanged=self._unchanged,
        )  # fmt: skip
        self.features = described(self._offered, judged, state)

    def _judged(self, points: Numbers, jittered: Conditioned, best: float, best_jittered: float) -> dict[str, Numbers]:
        """Each criterion of each point, and what it is made of."""
        encoded, feasible = self._encode(points), self._feasible(points)
        means, deviations = self._process.posterior(self._given, encoded)
        others, wider = self._process.posterior(jittered, encoded)
        penalty = self._process.scale * feasible
        return {
            "mean": means + penalty,
            "ei": log_expected_improvement(means, deviations, best) + feasible,
            "ucb": means + UCB * deviations + penalty,
            "jittered ei": log_expected_improvement(others, wider, best_jittered) + feasible,
            "jittered ucb": others + UCB * wider + penalty,
            "means": means, "deviations": deviations, "others": others, "wider": wider, "feasible": feasible,
        }  # fmt: skip


def schedule(search: SimulatedSearch) -> int:
    """What the learner does: UCB for every third candidate, jittered lengthscales for every second one."""
    rule = "ucb" if search.index % 3 == 0 else "ei"
    return search.best[f"jittered {rule}" if search.index % 2 == 0 else rule]


RULES: dict[str, Callable[[SimulatedSearch], int]] = {
    "schedule": schedule,
    **{name: lambda search, name=name: search.best[name] for name in ("ei", "ucb", "mean")},  # type: ignore[misc]
}
