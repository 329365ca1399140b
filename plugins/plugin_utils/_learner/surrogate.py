# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The surrogate: what the trials so far predict for candidates that were not tried."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from botorch.acquisition.analytic import _log_ei_helper
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier

from .._study.space import Numbers, SearchSpace, Value
from .._trial.trial import State, Trial
from .components import Components
from .gaussian_process import GaussianProcess
from .observation import HostContexts
from .protocols import point_of

_TREES = 64
_GROWTH = 1.08
_MAX_TRIALS = 600  # in the Gaussian process, whose cost grows with the cube of their number


@dataclass(frozen=True)
class Prediction:
    """For n points: mean and standard deviation of the reward without noise, and the probability of not failing."""

    mean: Numbers
    std: Numbers
    p_feasible: Numbers

    @property
    def log_p_feasible(self) -> Numbers:
        found: Numbers = np.log(np.maximum(self.p_feasible, 1e-6))
        return found


class Features:
    """The surrogate's features of points: shape (n, space.size) becomes (n, size).

    A choice among three or more is one-hot encoded, as its values have no order.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._axes = space.axes
        self.size = sum(len(axis.choices) if len(axis.choices) > 2 else 1 for axis in space.axes)

    def __call__(self, points: Numbers) -> Numbers:
        return np.column_stack([self._encoded(len(axis.choices), points[:, i]) for i, axis in enumerate(self._axes)])

    def _encoded(self, choices: int, column: Numbers) -> Numbers:
        if not choices:
            return column
        index = np.clip(np.round(column * choices - 0.5), 0, choices - 1)
        return index if choices == 2 else (index[:, None] == np.arange(choices)).astype(float)


class Surrogate:
    """A Gaussian process for the reward, and a classifier for the probability of not failing.

    A failure has no reward, and the border to it is sharp: a Gaussian process would smooth it over the neighbourhood,
    while trees can split there. multi_task: see `GaussianProcess`.
    """

    def __init__(self, features: int, seed: int, components: Components, *, multi_task: bool = False) -> None:
        self._process = GaussianProcess(features, multi_task=multi_task)
        self._seed, self._components = seed, components
        self._forest: ExtraTreesClassifier | None = None
        self._failed = self._grown = 0  # failures, and all trials, that the forest was fitted to

    def fit(self, features: Numbers, rewards: Numbers, noise: Numbers) -> None:
        """rewards: NaN where the trial failed; at least two did not. noise: the standard deviation of each reward."""
        kept = _kept(rewards)
        self._process.fit(features[kept], rewards[kept], noise[kept])
        self._fit_forest(features, ~np.isnan(rewards))

    def condition(
        self,
        features: Numbers,
        rewards: Numbers,
        noise: Numbers,
        pending: Numbers,
        lengthscale_factors: Numbers | float = 1.0,
    ) -> None:
        """Condition on the same data or more, with the fitted hyperparameters.

        pending: features of running trials, taken to end as predicted (kriging believer). lengthscale_factors: jitter
        of the fitted lengthscales, shape (features,).
        """
        kept = _kept(rewards)
        known, values, known_noise = features[kept], rewards[kept], noise[kept]
        self._process.condition(known, values, known_noise, lengthscale_factors)
        if len(pending):
            predicted, dummy = self._process.posterior(pending)
            self._process.condition(
                np.concatenate([known, pending]),
                np.concatenate([values, predicted]),
                np.concatenate([known_noise, np.zeros(len(pending))]),
                lengthscale_factors,
            )
        self._fit_forest(features, ~np.isnan(rewards))

    def copy(self) -> Surrogate:
        """One that can be conditioned otherwise."""
        copied = copy.copy(self)
        copied._process = copy.copy(self._process)
        return copied

    @property
    def scale(self) -> float:
        """The standard deviation of the rewards at the last fit."""
        return self._process.scale

    @property
    def lengthscales(self) -> Numbers:
        """Of each feature; shape (features,)."""
        return self._process.lengthscales

    @property
    def inferred_noise(self) -> float:
        """The standard deviation that all rewards share beside their known noise, in units of `scale`."""
        return self._process.inferred_noise

    def _fit_forest(self, features: Numbers, succeeded: NDArray[np.bool_]) -> None:
        """Refit after a new failure, or after many successes."""
        failed = int((~succeeded).sum())
        if not failed or not self._components.feasibility:
            return
        if self._forest is None or failed > self._failed or len(succeeded) > _GROWTH * self._grown:
            forest = ExtraTreesClassifier(_TREES, max_features=None, random_state=self._seed)
            self._forest, self._failed, self._grown = forest.fit(features, succeeded), failed, len(succeeded)

    def predict(self, features: Sequence[Numbers]) -> Prediction:
        """Averaged over contexts, each with the same points; a point is as feasible as in its worst context."""
        posteriors = [self._process.posterior(each) for each in features]
        mean, std = np.mean(posteriors, axis=0)
        return Prediction(mean, std, np.min([self._p_feasible(each) for each in features], axis=0))

    def contrasts(self, features: Numbers, weights: Numbers) -> tuple[Numbers, Numbers]:
        """Means and standard deviations of weighted sums of rewards; weights: shape (sums, n), each adds up to 0."""
        return self._process.contrasts(features, weights)

    def penalised(self, prediction: Prediction) -> Numbers:
        """The predicted reward, less where the candidate may fail."""
        return prediction.mean + self._process.scale * prediction.log_p_feasible

    def quality(self) -> float:
        """The correlation of the measured rewards with their leave-one-out predictions; 1 is perfect."""
        measured, predicted = self._process.leave_one_out()
        if np.ptp(measured) == 0 or np.ptp(predicted) == 0:
            return 0.0
        return float(np.corrcoef(measured, predicted)[0, 1])

    def _p_feasible(self, features: Numbers) -> Numbers:
        if self._forest is None:
            return np.ones(len(features))
        if len(self._forest.classes_) == 1:
            return np.full(len(features), 0.5)
        # predict_proba() checks and copies its input for each tree, which takes ten times as long.
        inputs = features.astype(np.float32)
        votes = [tree.tree_.predict(inputs)[:, 1] for tree in self._forest.estimators_]
        return np.mean(votes, axis=0)  # type: ignore[no-any-return]


def _kept(rewards: Numbers) -> NDArray[np.int_]:
    """The trials that the process is fitted to: those that did not fail; if they are many, the best and the latest."""
    succeeded = np.flatnonzero(~np.isnan(rewards))
    if len(succeeded) <= _MAX_TRIALS:
        return succeeded
    best = succeeded[np.argsort(-rewards[succeeded])[: _MAX_TRIALS // 2]]
    return np.unique(np.concatenate([best, succeeded[-_MAX_TRIALS // 2 :]]))


class RewardModel:
    """A surrogate fitted to trials, which predicts the reward averaged over the hosts.

    A candidate that may fail on any host is penalised, as it was tried on few of them.
    """

    def __init__(self, space: SearchSpace, trials: Sequence[Trial], hosts: HostContexts) -> None:
        self._space, self._hosts, self._features = space, hosts, Features(space)
        points = self._features(np.array([point_of(space, trial) for trial in trials]))
        rows = hosts.rows[[hosts.index(trial.host) for trial in trials]]
        rewards = np.array([np.nan if trial.state == State.FAILED else trial.score.reward for trial in trials])
        self._surrogate = Surrogate(self._features.size + hosts.size, 0, Components())
        self._surrogate.fit(np.hstack([points, rows]), rewards, np.array([t.score.uncertainty for t in trials]))

    def of_tried(self, trials: Sequence[Trial]) -> Numbers:
        """The reward of these trials' values, on all hosts."""
        points = self._features(np.array([point_of(self._space, trial) for trial in trials]))
        return self._of(in_contexts(points, self._hosts.rows[: self._hosts.known]))

    def of_values(self, values: Sequence[Mapping[str, Mapping[str, Value]]]) -> Numbers:
        """The reward of candidates, each given as the values that every host would have, by the host's name."""
        return self._of(self._on_hosts(values))

    def contrasts(
        self, values: Sequence[Mapping[str, Mapping[str, Value]]], weights: Numbers
    ) -> tuple[Numbers, Numbers]:
        """Weighted sums of n such candidates' rewards, and their standard deviations; weights: as in the surrogate."""
        features = self._on_hosts(values)
        return self._surrogate.contrasts(np.concatenate(features), np.tile(weights, len(features)) / len(features))

    def _on_hosts(self, values: Sequence[Mapping[str, Mapping[str, Value]]]) -> list[Numbers]:
        """The features of the candidates on each host."""
        return [
            np.hstack(
                [
                    self._features(np.array([self._space.encode(each[name]) for each in values])),
                    np.tile(self._hosts.rows[self._hosts.index(name)], (len(values), 1)),
                ]
            )
            for name in values[0]
        ]

    def _of(self, features: Sequence[Numbers]) -> Numbers:
        return self._surrogate.penalised(self._surrogate.predict(features))


def in_contexts(features: Numbers, contexts: Numbers) -> list[Numbers]:
    """The same features in each context: shapes (n, a) and (m, b) become m of (n, a + b)."""
    return [np.hstack([features, np.tile(context, (len(features), 1))]) for context in contexts]


def log_expected_improvement(prediction: Prediction, best: float) -> Numbers:
    """Of the reward over `best`, times the probability of not failing (Ament et al., NeurIPS 2023)."""
    z = torch.from_numpy((prediction.mean - best) / prediction.std)
    found: Numbers = _log_ei_helper(z).numpy() + np.log(prediction.std) + prediction.log_p_feasible
    return found
