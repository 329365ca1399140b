# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The surrogate: what the evaluations so far let expect of candidates that were not tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special
from sklearn.ensemble import ExtraTreesClassifier

from .._study.space import SearchSpace
from .._trial.trial import State, Trial
from .environment import Contexts
from .gaussian_process import GaussianProcess, Numbers
from .ideas import Ideas

_TREES = 64
_GROWTH = 1.08
# A Gaussian process takes time with the cube of the number of evaluations: beyond these the worst are left out.
MOST = 600


@dataclass(frozen=True)
class Expectation:
    """Of n points: the reward without noise (mean and standard deviation), and the chance of not failing."""

    mean: Numbers
    std: Numbers
    works: Numbers


class Features:
    """What the surrogate sees of points: shape (n, space.size) becomes (n, size).

    Of three choices or more each becomes a column of its own, for none lies between two others.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._axes = space.axes
        self.size = sum(len(axis.choices) if len(axis.choices) > 2 else 1 for axis in space.axes)

    def __call__(self, points: Numbers) -> Numbers:
        return np.column_stack([self._of(len(axis.choices), points[:, at]) for at, axis in enumerate(self._axes)])

    def _of(self, choices: int, column: Numbers) -> Numbers:
        if not choices:
            return column
        position = np.clip(np.round(column * choices - 0.5), 0, choices - 1)
        return position if choices == 2 else (position[:, None] == np.arange(choices)).astype(float)


class Surrogate:
    """A Gaussian process for the reward, and trees for where evaluations fail.

    Failures say nothing of how good a candidate would be, and cliffs are sharp: so they do not go into the process,
    which would smooth them over their neighbourhood, but into trees, which cut. related: as of a GaussianProcess.
    """

    def __init__(self, features: int, seed: int, ideas: Ideas, *, related: bool = False) -> None:
        self._process = GaussianProcess(features, related=related)
        self._seed, self._ideas = seed, ideas
        self._forest: ExtraTreesClassifier | None = None
        self._failed = self._grown = 0  # of the data when the trees grew

    def fit(self, features: Numbers, rewards: Numbers, errors: Numbers) -> None:
        """rewards are NaN where the evaluation failed; at least two are not. errors: their standard deviations."""
        known = _kept(rewards)
        self._process.fit(features[known], rewards[known], errors[known])
        self._grow(features, ~np.isnan(rewards))

    def doubt(self, factors: Numbers | float) -> None:
        """Until the next fit, and from condition() on: every axis matters more, or less, than the data say."""
        self._process.doubt(factors)

    def condition(self, features: Numbers, rewards: Numbers, errors: Numbers, pending: Numbers) -> None:
        """The same data or more, hyperparameters as they are; what is pending is taken to come out as expected."""
        kept = _kept(rewards)
        known, values, spreads = features[kept], rewards[kept], errors[kept]
        self._process.condition(known, values, spreads)
        if len(pending):
            expected, dummy = self._process.predict(pending)
            both = [(known, pending), (values, expected), (spreads, np.zeros(len(pending)))]
            self._process.condition(*map(np.concatenate, both))
        self._grow(features, ~np.isnan(rewards))

    def _grow(self, features: Numbers, worked: NDArray[np.bool_]) -> None:
        """New trees for new failures; what works where it was expected to is no news, until there is much of it."""
        failed = int((~worked).sum())
        if not failed or not self._ideas.feasibility:
            return
        if self._forest is None or failed > self._failed or len(worked) > _GROWTH * self._grown:
            forest = ExtraTreesClassifier(_TREES, max_features=None, random_state=self._seed)
            self._forest, self._failed, self._grown = forest.fit(features, worked), failed, len(worked)

    @property
    def spread(self) -> float:
        """Of the rewards, as the process sees them: the unit in which differences are large or small."""
        return float(self._process.spread)

    def expect(self, features: Numbers) -> Expectation:
        mean, std = self._process.predict(features)
        return Expectation(mean, std, self._works(features))

    def quality(self) -> float:
        """The correlation of what was measured with what would have been predicted without it: 1 is perfect."""
        left_out, values = self._process.left_out(), self._process.values
        if np.ptp(values) == 0 or np.ptp(left_out) == 0:
            return 0.0
        return float(np.corrcoef(left_out, values)[0, 1])

    def _works(self, features: Numbers) -> Numbers:
        if self._forest is None:
            return np.ones(len(features))
        if len(self._forest.classes_) == 1:
            return np.full(len(features), 0.5)
        seen = features.astype(np.float32)
        # Of each tree by itself: scikit-learn's own way checks and copies, and takes ten times as long.
        votes = [tree.tree_.predict(seen)[:, 1] for tree in self._forest.estimators_]
        return np.mean(votes, axis=0)  # type: ignore[no-any-return]


def _kept(rewards: Numbers) -> NDArray[np.int_]:
    """What the process sees: the evaluations that did not fail, the best and the latest of them if they are many."""
    worked = np.flatnonzero(~np.isnan(rewards))
    if len(worked) <= MOST:
        return worked
    best = worked[np.argsort(-rewards[worked])[: MOST // 2]]
    return np.unique(np.concatenate([best, worked[-MOST // 2 :]]))


def place_of(space: SearchSpace, evaluation: Trial) -> Numbers:
    """Where the values lie that the kernel kept; what it says nothing of is as it was asked for. Shape (size,)."""
    return space.encode({**evaluation.requested, **evaluation.applied})


def expected_rewards(
    space: SearchSpace, evaluations: Sequence[Trial], wanted: Sequence[Trial], hosts: Contexts
) -> list[float]:
    """What a surrogate of the evaluations expects where the wanted ones were, on average over the hosts.

    Where it may fail on one of them it is worth less: each candidate was tried on few.
    """
    features = Features(space)

    def seen(some: Sequence[Trial], rows: Numbers) -> Numbers:
        return np.hstack([features(np.array([place_of(space, one) for one in some])), rows])

    surrogate = Surrogate(features.size + hosts.size, 0, Ideas())
    rewards = np.array([np.nan if one.state == State.FAILED else one.score.reward for one in evaluations])
    errors = np.array([one.score.uncertainty for one in evaluations])
    surrogate.fit(seen(evaluations, hosts.rows[[hosts.number(one.host) for one in evaluations]]), rewards, errors)
    each = [surrogate.expect(seen(wanted, np.tile(row, (len(wanted), 1)))) for row in hosts.rows[: hosts.known]]
    works = np.min([expected.works for expected in each], axis=0)
    means = np.mean([expected.mean for expected in each], axis=0) + surrogate.spread * np.log(np.maximum(works, 1e-6))
    return [float(mean) for mean in means]


def log_expected_improvement(mean: Numbers, std: Numbers, best: float) -> Numbers:
    """Its logarithm tells points apart where the improvement itself is 0 to a computer (Ament et al., 2023)."""
    z = (mean - best) / std
    density = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    far = np.minimum(z, -1.0)
    ratio = 1 + far * np.sqrt(np.pi / 2) * special.erfcx(-far / np.sqrt(2))
    tail = density + np.where(far < -1e3, -2 * np.log(-far), np.log(np.maximum(ratio, 1e-300)))
    near = np.maximum(z, -1.0)
    body = np.log(np.exp(-0.5 * near**2) / np.sqrt(2 * np.pi) + near * special.ndtr(near))
    found: Numbers = np.log(std) + np.where(z < -1, tail, body)
    return found
