# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The candidates from which a policy chooses, and what it is told of them.

In the simulated searches on which it is trained, and in our learner.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.mutation import mutate
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import SearchSpace

from .shapes import Numbers

OFFERED = 48  # candidates
OF_CANDIDATE, OF_STATE = 14, 8  # features
# How many of the offered ones are the best by each criterion.
BEST = {"ei": 12, "ucb": 12, "jittered ei": 10, "jittered ucb": 8, "mean": 4}
UCB = 2.0  # standard deviations
_GENERATIONS = 2


@dataclass(frozen=True)
class Pool:
    """How many candidates are looked at: random ones, mutants a generation, and parents of these by each criterion."""

    random: int
    mutants: int
    parents: int


@dataclass(frozen=True)
class State:
    """Of a search at a decision.

    encode: the surrogate's features of points. known: those of the points that did not fail. scale, lengths, noise: of
    the surrogate; noise: its standard deviation, of standardised values. left: decisions, of `total`. unchanged: for
    how many decisions the incumbent has been the same.
    """

    encode: Callable[[Numbers], Numbers]
    incumbent: Numbers
    own: Numbers
    known: Numbers
    values: Numbers
    best: float
    best_jittered: float
    scale: float
    lengths: Numbers
    noise: float
    left: int
    total: int
    unchanged: int


def offer(
    space: SearchSpace,
    incumbent: Numbers,
    pool: Pool,
    judge: Callable[[Numbers], dict[str, Numbers]],
    random: np.random.Generator,
) -> tuple[Numbers, dict[str, Numbers]]:
    """The best candidates by each criterion, shape (OFFERED, space.size), and how they are judged.

    judge: each criterion of points, by name, and the means, deviations and log probabilities that it is made of.
    """
    points = space.snap(np.vstack([incumbent, random.random((pool.random, space.size))]))
    for dummy in range(_GENERATIONS):
        judged = judge(points)
        parents = np.unique([np.argsort(-judged[name])[: pool.parents] for name in BEST if name != "mean"])
        mutants = mutate(space, points[parents], pool.mutants, random)
        points = np.vstack([points[parents], space.snap(mutants)])
    judged = judge(points)
    ranked = [np.argsort(-judged[name])[:count] for name, count in BEST.items()]
    chosen = list(dict.fromkeys([*np.concatenate(ranked), *random.permutation(len(points))]))[:OFFERED]
    chosen = [chosen[at % len(chosen)] for at in range(OFFERED)]
    return points[chosen], {name: column[chosen] for name, column in judged.items()}


def described(offered: Numbers, judged: Mapping[str, Numbers], state: State) -> Numbers:
    """The features of the offered candidates and of the state, shape (OFFERED * OF_CANDIDATE + OF_STATE,)."""
    encoded = state.encode(offered)

    def below_best(name: str) -> Numbers:
        return judged[name] - judged[name].max()

    def distances(points: Numbers) -> Numbers:
        squares = ((encoded[:, None] - points[None]) / state.lengths) ** 2
        found: Numbers = np.sqrt(squares.sum(2)).min(1)
        return found

    of_candidates = [
        (judged["means"] - state.best) / state.scale, judged["deviations"] / state.scale,
        np.clip(below_best("ei"), -6, 0) / 2, np.clip(below_best("jittered ei"), -6, 0) / 2,
        np.clip(below_best("ucb") / state.scale, -4, 0), np.clip(below_best("jittered ucb") / state.scale, -4, 0),
        judged["feasible"], distances(state.encode(state.incumbent[None])),
        distances(state.encode(state.own[None])), distances(state.known),
        (offered != state.incumbent).mean(1), (offered != state.own).mean(1),
        (judged["others"] - state.best_jittered) / state.scale, judged["wider"] / state.scale,
    ]  # fmt: skip
    expected = float(np.clip(judged["ei"].max() - math.log(state.scale), -8, 1)) / 4
    of_state = [
        state.left / state.total, math.log(state.left) / 4, math.log(offered.shape[1]) / 2,
        math.log(len(state.values)) / 4, state.noise, expected, float(np.isnan(state.values).mean()),
        min(state.unchanged, 20) / 10,
    ]  # fmt: skip
    found: Numbers = np.clip(np.concatenate([np.column_stack(of_candidates).ravel(), of_state]), -8, 8)
    return found
