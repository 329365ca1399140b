# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Our learner with the policy of `acquisition_policy.py` in place of its fixed schedule of criteria.

The candidates are offered, and described, as in `simulated_search.py`, on whose searches the policy was trained, but
from among more of them, as the learner screens more; the surrogate is the learner's own.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any
from unittest import mock

import numpy as np
import torch
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner import model_based
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.surrogate import (
    Surrogate,
    in_contexts,
    log_expected_improvement,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Candidate

from .acquisition_policy import WEIGHTS, SharedScorer, load
from .offering import UCB, Pool, State, described, offer
from .shapes import Numbers

_POOL = Pool(random=400, mutants=250, parents=8)


class PolicyDecides(model_based.ModelBasedPPO):
    """budget: of the whole search."""

    def __init__(self, space: Any, *, budget: int, **given: Any) -> None:
        super().__init__(space, **given)
        self._budget, self._decisions = budget, max(budget - given["asked"], 1)
        self._scorer = SharedScorer()
        load(self._scorer, WEIGHTS)
        self._incumbent: Numbers | None = None
        self._unchanged = 0

    def _proposal(self, index: int, pending: Sequence[Candidate]) -> Numbers:
        generator = np.random.default_rng([self._seed, index])
        if not self._is_useful:
            self.expected_gain, self.proposed_by = None, "random"
            return generator.random(self._space.size)
        data = self._known_features(), self._rewards, self._noise, self._pending_features(pending)
        jittered = copy.copy(self._surrogate)
        jittered._process = copy.copy(self._surrogate._process)
        self._surrogate.condition(*data)
        jittered.condition(*data, np.exp(generator.normal(size=self._size)))
        tried = np.unique(self._points[~np.isnan(self._rewards)], axis=0)
        means = self._predicted(self._surrogate, tried).mean
        incumbent, best = tried[np.argmax(means)], float(means.max())
        best_jittered = float(self._predicted(jittered, tried).mean.max())
        if self._incumbent is not None:
            self._unchanged = 0 if (incumbent != self._incumbent).any() else self._unchanged + 1
        self._incumbent = incumbent

        def judged(points: Numbers) -> dict[str, Numbers]:
            plain, other = self._predicted(self._surrogate, points), self._predicted(jittered, points)
            penalty = self._surrogate._process.scale * plain.log_p_feasible
            return {
                "mean": plain.mean + penalty,
                "ei": log_expected_improvement(plain, best),
                "ucb": plain.mean + UCB * plain.std + penalty,
                "jittered ei": log_expected_improvement(other, best_jittered),
                "jittered ucb": other.mean + UCB * other.std + penalty,
                "means": plain.mean, "deviations": plain.std, "others": other.mean, "wider": other.std,
                "feasible": plain.log_p_feasible,
            }  # fmt: skip

        offered, found = offer(self._space, incumbent, _POOL, judged, generator)
        self.expected_gain, self.proposed_by = float(np.exp(found["ei"].max())), "the policy"
        process: Any = self._surrogate._process
        inferred = float(process._model.likelihood.second_noise.detach())
        state = State(
            encode=self._features, incumbent=incumbent, own=self._space.encode(self._original),
            known=self._features(self._points[~np.isnan(self._rewards)]), values=self._rewards,
            best=best, best_jittered=best_jittered, scale=process.scale,
            lengths=process._matern.lengthscale.detach().numpy().ravel()[: self._features.size],
            noise=math.sqrt(inferred + float(np.mean((self._noise / process.scale) ** 2))),
            left=max(self._budget - index, 1), total=self._decisions, unchanged=self._unchanged,
        )  # fmt: skip
        features = described(offered, found, state)
        with torch.no_grad():
            at = int(self._scorer.forward_actor(torch.from_numpy(features[None].astype(np.float32))).argmax())
        chosen_point: Numbers = offered[at]
        return chosen_point

    def _predicted(self, surrogate: Surrogate, points: Numbers) -> Any:
        contexts = self._in_this_study(self._observed_contexts())
        return surrogate.predict(in_contexts(self._features(points), contexts))


def deciding(budget: int) -> Any:
    """A context in which `learner.search` has the policy decide."""

    def new(space: Any, **given: Any) -> PolicyDecides:
        return PolicyDecides(space, budget=budget, **given)

    return mock.patch.object(model_based, "ModelBasedPPO", new)
