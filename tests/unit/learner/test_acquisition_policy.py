# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the acquisition policy decides, what it is offered, and what it chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner import acquisition_policy, learner
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.acquisition_policy import (
    BEST,
    OF_CANDIDATE,
    OF_STATE,
    OFFERED,
    Pool,
    covers,
    offer,
    scores,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.components import Components
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.protocols import Proposal
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.sections import TrainingConfig
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Candidate, Numbers, SearchSpace
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Trial

search = partial(learner.search, config=TrainingConfig(n_steps=16, n_epochs=1))
CHOSEN, SIZE = "algorithm ppo, chosen by its trained policy", OFFERED * OF_CANDIDATE


@pytest.fixture
def space(new_study: Callable[..., Study]) -> SearchSpace:
    ranges = [{"param": f"vm.{name}", "min": 0, "max": 100} for name in ("swappiness", "dirty_ratio")]
    choice = {"param": "net.ipv4.tcp_congestion_control", "choices": ["reno", "cubic", "bbr"]}
    wide = {"param": "net.core.somaxconn", "min": 128, "max": 65536, "log": True}
    return new_study(action_space=[*ranges, wide, choice]).space


class Hill:
    """A host on which vm.swappiness 70 and bbr are best; it notes who proposed what."""

    slots = 1

    def __init__(self) -> None:
        self.proposals: list[Proposal] = []
        self._waiting: list[Candidate] = []

    def submit(self, proposals: Sequence[Proposal]) -> None:
        self.proposals += proposals
        self._waiting += [proposal.candidate for proposal in proposals]

    def collect(self) -> list[Trial]:
        waiting, self._waiting = self._waiting, []
        return [Trial.of_function(candidate, self.at(candidate)) for candidate in waiting]

    @staticmethod
    def at(candidate: Candidate) -> float | None:
        if float(candidate["vm.dirty_ratio"]) > 90:
            return None
        bonus = 0.3 * (candidate["net.ipv4.tcp_congestion_control"] == "bbr")
        return bonus - ((float(candidate["vm.swappiness"]) - 70) / 100) ** 2


def tried(space: SearchSpace, budget: int = 16, **given: Any) -> list[Proposal]:
    host = Hill()
    search(space, host, budget=budget, seed=1, **given)
    return host.proposals


@pytest.mark.takes_seconds
def test_it_decides_after_the_initial_design_and_the_same_for_the_same_seed(space: SearchSpace) -> None:
    found = tried(space)
    assert {proposal.by for proposal in found[:4]} == {"the initial design"}
    assert sum(proposal.by == CHOSEN for proposal in found[4:]) >= 6
    assert tried(space) == found


@pytest.mark.takes_seconds
@pytest.mark.parametrize(
    "given",
    [
        {"budget": 15},
        {"contexts": {"small": [0.0], "large": [1.0]}},
        {"earlier": [Trial.of_function({"vm.swappiness": 60}, 0.1)]},
        {"components": Components(acquisition_policy=False)},
    ],
    ids=["other-sizes", "several-hosts", "earlier-studies", "without-it"],
)
def test_the_fixed_schedule_decides_where_it_was_not_trained(space: SearchSpace, given: dict[str, Any]) -> None:
    assert CHOSEN not in {proposal.by for proposal in tried(space, **given)}


def test_it_decides_in_searches_of_some_sizes_alone() -> None:
    assert covers(16, 8)
    assert covers(32, 4)
    assert not any((covers(15, 8), covers(33, 8), covers(16, 3), covers(16, 9)))


def test_the_offered_candidates_are_the_best_by_each_criterion(space: SearchSpace) -> None:
    seen: list[Numbers] = []

    def judge(points: Numbers) -> dict[str, Numbers]:
        seen.append(points)
        return {name: points[:, at % 3] for at, name in enumerate(BEST)}

    start = np.full((1, 4), 0.99)
    offered, judged = offer(space, [start], Pool(random=30, mutants=40, parents=3), judge, np.random.default_rng(1))
    assert offered.shape == (OFFERED, 4)
    assert (seen[0][0] == space.snap(start)[0]).all()
    for at, name in enumerate(BEST):
        assert judged[name].shape == (OFFERED,)
        assert judged[name].max() == max(points[:, at % 3].max() for points in seen)


def test_few_distinct_candidates_are_offered_repeatedly(space: SearchSpace) -> None:
    def judge(points: Numbers) -> dict[str, Numbers]:
        return dict.fromkeys(BEST, points[:, 0])

    offered, dummy = offer(space, [], Pool(random=5, mutants=5, parents=2), judge, np.random.default_rng(1))
    assert offered.shape == (OFFERED, 4)


def test_candidates_are_scored_alike_wherever_they_stand() -> None:
    random = np.random.default_rng(2)
    candidates, state = random.normal(size=(OFFERED, OF_CANDIDATE)), random.normal(size=OF_STATE)
    order = random.permutation(OFFERED)
    one, other = (scores(np.concatenate([each.ravel(), state])) for each in (candidates, candidates[order]))
    np.testing.assert_allclose(one[order], other)
    assert np.ptp(one) > 0.1


def test_the_weights_hold_numbers_alone() -> None:
    with np.load(acquisition_policy.WEIGHTS, allow_pickle=False) as weights:
        assert all(np.isfinite(weights[name]).all() for name in weights.files)
