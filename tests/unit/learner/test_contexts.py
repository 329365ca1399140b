"""Hosts that differ and loads that change: what the learner makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.ideas import Ideas
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.learner import search
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.model_based import ModelBased
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.policy import Policy
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.recommendation import recommend
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.surrogate import Surrogate
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.sections import TrainingConfig
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import SearchSpace
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Score, State, Trial

KINDS = {"small": [0.0], "large": [1.0]}


@pytest.fixture
def space(new_study: Callable[..., Study]) -> SearchSpace:
    return new_study().space


def evaluation(value: int, reward: float | None, host: str, seen: Mapping[str, float] | None = None) -> Trial:
    """Of vm.swappiness on a host, with the metrics seen meanwhile."""
    state = State.FAILED if reward is None else State.COMPLETE
    score = Score(reward, None, reward or 0.0)
    values = {"vm.swappiness": value}
    return Trial(Phase.TRAIN, values, host=host, state=state, observations=dict(seen or {}), score=score)


def learner(space: SearchSpace, contexts: Mapping[str, Any], *, policy: bool = False) -> ModelBased:
    return ModelBased(
        space,
        seed=1,
        config=TrainingConfig(),
        design=[],
        own={"vm.swappiness": 50},
        metrics=["cpu_usage"],
        contexts=contexts,
        known=[],
        earlier=[],
        ideas=Ideas(policy=policy),
    )


def test_a_candidate_that_had_the_easy_host_is_not_the_best_for_that(space: SearchSpace) -> None:
    """Best is 70 on either host, but the large one, where everything is far better, tried nothing above 50."""
    hill = lambda value: -(((value - 70) / 100) ** 2)  # noqa: E731
    trained = [evaluation(value, hill(value), "small") for value in range(50, 101, 4)]
    trained += [evaluation(value, hill(value) + 2, "large") for value in range(0, 51, 4)]
    best, blind = (recommend(space, trained, 1, contexts)[0]["vm.swappiness"] for contexts in (KINDS, {}))
    assert abs(int(best) - 70) <= 10
    assert int(blind) <= 50


def test_the_policy_learns_what_is_best_for_all_hosts(space: SearchSpace) -> None:
    """The small host wants 0 and the large one 100, neither much of the other's: its proposals are for both."""
    found = learner(space, KINDS, policy=True)
    for value in range(0, 101, 10):
        found.hear(evaluation(value, -4 * (value / 100) ** 2, "small"))
        found.hear(evaluation(value, -4 * (1 - value / 100) ** 2, "large"))
    for dummy in range(8):
        found._learn()
    small, large = found._proposed(1)[::2].mean(), found._proposed(1)[1::2].mean()
    assert 0.35 < small < 0.65
    assert 0.35 < large < 0.65


def test_what_fails_on_one_host_is_recommended_for_none(space: SearchSpace) -> None:
    """The higher the better, but beyond 60 the small host fails: candidates there were lucky to be on the large one."""
    trained = [evaluation(value, value / 100, "large") for value in range(0, 101, 10)]
    trained += [evaluation(value, value / 100 if value <= 60 else None, "small") for value in range(5, 101, 10)]
    assert int(recommend(space, trained, 1)[0]["vm.swappiness"]) == 100
    assert 50 <= int(recommend(space, trained, 1, KINDS)[0]["vm.swappiness"]) <= 60


def test_a_load_explains_what_candidates_are_not_to_blame_for(space: SearchSpace) -> None:
    """An idle host wants 20 and a busy one 80: the surrogate knows each, and 50 is the best for whatever comes."""
    found = learner(space, {})
    random = np.random.default_rng(1)
    for number in range(60):
        busy = number % 20 >= 10
        value = int(random.integers(0, 101))
        reward = -(((value - (80 if busy else 20)) / 100) ** 2)
        found.hear(evaluation(value, reward, "h1", {"cpu_usage": 90.0 if busy else 10.0}))
    found._learn()
    points = np.linspace(0, 1, 101)[:, None]
    best = lambda expected: int(np.argmax(expected.mean))  # noqa: E731
    idle, busy_now = found._contexts[:, 0].min(), found._contexts[:, 0].max()
    assert best(found._surrogate.expect(found._seen(points, np.full((101, 1), idle)))) < 40
    assert best(found._surrogate.expect(found._seen(points, np.full((101, 1), busy_now)))) > 60
    assert 35 < best(found._expect(points)) < 65


def test_what_a_candidate_does_to_the_metrics_is_no_context_of_its_own(space: SearchSpace) -> None:
    found = learner(space, {})
    for host, usage in (("h1", 10.0), ("h2", 90.0), ("h1", 50.0), ("h2", 50.0)):
        found.hear(evaluation(30, 0.1, host, {"cpu_usage": usage}))
    assert found._contexts[:, 0] == pytest.approx([10 / 60, 90 / 140, 10 / 60, 90 / 140])


def test_contexts_stand_for_every_host_of_this_fleet_and_for_no_other(space: SearchSpace) -> None:
    found = learner(space, KINDS)
    for number in range(30):
        for host in ("small", "large", "of an earlier study"):
            found.hear(evaluation(number, 0.1, host, {"cpu_usage": float(number)}))
    assert len(found._met()) == 8
    assert sorted(found._met()[:, 1]) == [0.0] * 4 + [1.0] * 4


def test_a_policy_is_not_asked_where_the_surrogate_that_it_learned_from_is_useless(
    space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has narrowed down by then, to something that was imagined."""
    monkeypatch.setattr(Surrogate, "quality", lambda self: 0.0)
    monkeypatch.setattr(Policy, "propose", lambda *dummy: pytest.fail("the policy was asked"))
    seen = iter(range(100))
    search(
        space,
        lambda candidates: [Trial.of_function(each, next(seen) * 0.6 % 1) for each in candidates],
        budget=20,
        seed=1,
    )
