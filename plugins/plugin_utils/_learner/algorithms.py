# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The algorithms that a study can name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np

from .._study.sections import AlgorithmName, TrainingConfig, missing_packages
from .._study.space import Candidate, SearchSpace, Value
from .._trial.trial import State, Trial
from .components import Components
from .initial_design import DesignFirst, initial_design
from .protocols import Algorithm, Project, Proposal


def new_algorithm(
    name: AlgorithmName,
    space: SearchSpace,
    *,
    budget: int,
    seed: int,
    config: TrainingConfig,
    original: Mapping[str, Value] | None,
    starting_candidates: Sequence[Proposal],
    metrics: Sequence[str],
    contexts: Mapping[str, Sequence[float]],
    known: Sequence[Trial],
    earlier: Sequence[Trial],
    components: Components,
) -> Algorithm:
    """The parameters are those of `search`. Raises ValueError for an unknown algorithm or a missing package."""
    if name not in get_args(AlgorithmName):
        raise ValueError(f"unknown algorithm '{name}'; choose one of {', '.join(get_args(AlgorithmName))}")
    if needed := missing_packages(name):
        raise ValueError(f"algorithm {needed}")
    if name == "random":
        return RandomSearch(space, seed)
    if name == "ppo":
        design = initial_design(space, budget, starting_candidates, seed)
        if sum(trial.state not in (State.LOST, State.FAILED) for trial in earlier) > len(design):
            design = []

        def model_based() -> Algorithm:
            from .model_based import ModelBasedPPO  # imports torch

            return ModelBasedPPO(
                space,
                budget=budget,
                seed=seed,
                config=config,
                asked=len(design),
                original=original,
                metrics=metrics,
                contexts=contexts,
                known=known,
                earlier=earlier,
                components=components,
            )

        return DesignFirst(design, model_based)
    if name == "tpe" or name == "gp" or name == "cmaes":
        from .optuna_search import OptunaSearch  # an optional dependency

        optuna = OptunaSearch(name, space, seed)
        for trial in [*earlier, *known]:
            optuna.observe(trial)
        return optuna
    raise ValueError(f"algorithm '{name}' has no branch in new_algorithm()")


class RandomSearch:
    """Uniform over the unit cube."""

    expected_gain: float | None = None
    proposed_by = "random search"

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space, self._generator = space, np.random.default_rng(seed)

    def ask(self, project: Project, pending: Sequence[Candidate]) -> Candidate:
        return project(self._space.decode(self._generator.random(self._space.size)))

    def observe(self, trial: Trial) -> None: ...
