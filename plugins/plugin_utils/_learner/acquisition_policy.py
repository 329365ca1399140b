# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The acquisition policy: which of the best candidates is tried next, decided by a network that PPO has trained.

In the manner of MetaBO (Volpp et al., ICLR 2020): one network, which all candidates share, scores each of them from
what the surrogate predicts of it, how far it is from others, and the state of the search. It was trained on simulated
searches by tests/performance/learner/bench_policy.py of the source repository, which makes the features by the same
functions; docs/explanation/learner.md says on which surfaces, and what it achieves on others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from .._study.space import Numbers, SearchSpace
from .mutation import mutate

WEIGHTS = Path(__file__).with_suffix(".npz")
OFFERED = 48  # candidates
OF_CANDIDATE, OF_STATE = 14, 8  # features
# How many of the offered ones are the best by each criterion.
BEST = {"ei": 12, "ucb": 12, "jittered ei": 10, "jittered ucb": 8, "mean": 4}
UCB = 2.0  # standard deviations
_GENERATIONS = 2
# It was trained on searches of up to 48 trials, but with 48 it is no better than the fixed schedule.
_TRIALS, _PARAMETERS = range(16, 33), range(4, 9)


def covers(trials: int, parameters: int) -> bool:
    """Whether the policy decides in searches of this size."""
    return trials in _TRIALS and parameters in _PARAMETERS


@dataclass(frozen=True)
class Pool:
    """How many candidates are screened: random ones, mutants a generation, and parents of these by each criterion."""

    random: int
    mutants: int
    parents: int


@dataclass(frozen=True)
class Decision:
    """The state of a search at a decision.

    encode: the surrogate's features of points. known: those of the points that did not fail. values: of all trials, NaN
    for failures. best, best_jittered: the highest predicted mean of a point that was tried. scale, lengths, noise: of
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
    starts: Sequence[Numbers],
    pool: Pool,
    judge: Callable[[Numbers], dict[str, Numbers]],
    random: np.random.Generator,
) -> tuple[Numbers, dict[str, Numbers]]:
    """The best candidates by each criterion, shape (OFFERED, space.size), and how they are judged.

    starts: points to screen beside the random ones, each of shape (n, space.size). judge: each criterion of points, by
    name, and the means, deviations and log probabilities that it is made of.
    """
    points = space.snap(np.vstack([*starts, random.random((pool.random, space.size))]))
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


def described(offered: Numbers, judged: Mapping[str, Numbers], state: Decision) -> Numbers:
    """The features of the offered candidates and of the state, shape (OFFERED * OF_CANDIDATE + OF_STATE,)."""
    encoded = state.encode(offered)

    def below_best(name: str) -> Numbers:
        found: Numbers = judged[name] - judged[name].max()
        return found

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


def scores(features: Numbers) -> Numbers:
    """Of the offered candidates, shape (OFFERED,); the policy tries the one with the highest."""
    weights = _weights()
    candidates, state = np.split(features, [OFFERED * OF_CANDIDATE])
    candidates = candidates.reshape(OFFERED, OF_CANDIDATE)
    hidden = np.hstack([candidates, np.tile(state, (OFFERED, 1))])
    for layer in ("body.0", "body.2"):
        hidden = np.tanh(hidden @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"])
    learned = hidden @ weights["score.weight"].T + weights["score.bias"]
    expected = np.maximum(candidates[:, 2], candidates[:, 3] - 0.3)  # the improvement, plain and jittered
    found: Numbers = weights["steepness"] * expected + learned[:, 0]
    return found


@cache
def _weights() -> dict[str, Numbers]:
    with np.load(WEIGHTS) as weights:
        return {name: weights[name].astype(float) for name in weights.files}
