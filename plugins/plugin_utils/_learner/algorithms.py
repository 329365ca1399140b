# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The algorithms that a study can name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np

from .._study.sections import AlgorithmName, TrainingConfig, missing_packages
from .._study.space import Candidate, SearchSpace, Value
from .._trial.trial import Trial
from .asking import Algorithm, DrawIn, remove_like
from .design import first_batch
from .ideas import Ideas


def new_algorithm(
    name: AlgorithmName,
    space: SearchSpace,
    *,
    budget: int,
    seed: int,
    config: TrainingConfig,
    own: Mapping[str, Value] | None,
    starts: Sequence[Candidate],
    metrics: Sequence[str],
    contexts: Mapping[str, Sequence[float]],
    known: Sequence[Trial],
    earlier: Sequence[Trial],
    ideas: Ideas,
) -> Algorithm:
    """Raises ValueError with what to do, if there is no such algorithm or it lacks a package."""
    if name not in get_args(AlgorithmName):
        raise ValueError(f"'{name}' is no algorithm; there are {', '.join(get_args(AlgorithmName))}")
    if needed := missing_packages(name):
        raise ValueError(f"algorithm {needed}")
    if name == "random":
        return RandomSearch(space, seed)
    if name == "ppo":
        from .model_based import ModelBased  # torch comes with it

        return ModelBased(
            space,
            seed=seed,
            config=config,
            design=first_batch(space, budget, starts, seed),
            own=own,
            metrics=metrics,
            contexts=contexts,
            known=known,
            earlier=earlier,
            ideas=ideas,
        )
    from .optuna_search import OptunaSearch  # an optional extra

    optuna = OptunaSearch(name, space, seed)
    for evaluation in [*earlier, *known]:
        optuna.hear(evaluation)
    return optuna


class RandomSearch:
    """Uniform over the unit cube."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space, self._seed = space, seed
        self._asked = 0
        self.pending: list[Candidate] = []
        self.promise: float | None = None

    def ask(self, draw_in: DrawIn) -> Candidate:
        generator = np.random.default_rng([self._seed, self._asked])
        self._asked += 1
        candidate = draw_in(self._space.decode(generator.random(self._space.size)))
        self.pending.append(candidate)
        return candidate

    def tell(self, evaluation: Trial) -> None:
        remove_like(evaluation, self.pending)

    def hear(self, evaluation: Trial) -> None:
        """Nothing is learned."""
