"""Hosts that differ, and loads that change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.components import Components
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.learner import search
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.model_based import ModelBasedPPO
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


def trial_of(value: int, reward: float | None, host: str, metrics: Mapping[str, float] | None = None) -> Trial:
    """A trial of vm.swappiness on a host, with the observed metrics."""
    state = State.FAILED if reward is None else State.COMPLETE
    score = Score(reward, None, reward or 0.0)
    values = {"vm.swappiness": value}
    return Trial(Phase.TRAIN, values, host=host, state=state, observations=dict(metrics or {}), score=score)


def learner(space: SearchSpace, contexts: Mapping[str, Any], *, policy: bool = False) -> ModelBasedPPO:
    return ModelBasedPPO(
        space,
        budget=64,
        seed=1,
        config=TrainingConfig(),
        asked=0,
        original={"vm.swappiness": 50},
        metrics=["cpu_usage"],
        contexts=contexts,
        known=[],
        earlier=[],
        components=Components(policy=policy),
    )


def test_a_candidate_tried_on_the_faster_host_is_not_preferred(space: SearchSpace) -> None:
    """70 is best on both hosts; the large one, where every reward is higher, tried nothing above 50."""
    hill = lambda value: -(((value - 70) / 100) ** 2)  # noqa: E731
    trained = [trial_of(value, hill(value), "small") for value in range(50, 101, 4)]
    trained += [trial_of(value, hill(value) + 2, "large") for value in range(0, 51, 4)]
    best, blind = (recommend(space, trained, 1, contexts)[0]["vm.swappiness"] for contexts in (KINDS, {}))
    assert abs(int(best) - 70) <= 10
    assert int(blind) <= 50


@pytest.mark.takes_seconds
def test_the_policy_learns_a_compromise_for_all_hosts(space: SearchSpace) -> None:
    """0 is best on the small host and 100 on the large one."""
    found = learner(space, KINDS, policy=True)
    for value in range(0, 101, 10):
        found.observe(trial_of(value, -4 * (value / 100) ** 2, "small"))
        found.observe(trial_of(value, -4 * (1 - value / 100) ** 2, "large"))
    for dummy in range(8):
        found._learn()
    small, large = found._policy_proposals(1)[::2].mean(), found._policy_proposals(1)[1::2].mean()
    assert 0.35 < small < 0.65
    assert 0.35 < large < 0.65


def test_a_candidate_that_may_fail_on_one_host_is_not_recommended(space: SearchSpace) -> None:
    """The higher the better, but above 60 the small host fails."""
    trained = [trial_of(value, value / 100, "large") for value in range(0, 101, 10)]
    trained += [trial_of(value, value / 100 if value <= 60 else None, "small") for value in range(5, 101, 10)]
    assert int(recommend(space, trained, 1)[0]["vm.swappiness"]) == 100
    assert 50 <= int(recommend(space, trained, 1, KINDS)[0]["vm.swappiness"]) <= 60


def test_the_load_is_part_of_the_context(space: SearchSpace) -> None:
    """20 is best on an idle host and 80 on a busy one; over both, 50."""
    found = learner(space, {})
    random = np.random.default_rng(1)
    for number in range(60):
        busy = number % 20 >= 10
        value = int(random.integers(0, 101))
        reward = -(((value - (80 if busy else 20)) / 100) ** 2)
        found.observe(trial_of(value, reward, "h1", {"cpu_usage": 90.0 if busy else 10.0}))
    found._learn()
    points = np.linspace(0, 1, 101)[:, None]
    best = lambda prediction: int(np.argmax(prediction.mean))  # noqa: E731
    idle, busy_now = found._contexts[:, 0].min(), found._contexts[:, 0].max()
    assert best(found._surrogate.predict([np.column_stack([points, np.full(101, idle)])])) < 40
    assert best(found._surrogate.predict([np.column_stack([points, np.full(101, busy_now)])])) > 60
    assert 35 < best(found._predict(points)) < 65


def test_the_context_is_what_was_observed_before_the_trial(space: SearchSpace) -> None:
    found = learner(space, {})
    for host, usage in (("h1", 10.0), ("h2", 90.0), ("h1", 50.0), ("h2", 50.0)):
        found.observe(trial_of(30, 0.1, host, {"cpu_usage": usage}))
    assert found._contexts[:, 0] == pytest.approx([10 / 60, 90 / 140, 10 / 60, 90 / 140])


def test_the_contexts_represent_every_host_of_this_study_and_no_other(space: SearchSpace) -> None:
    found = learner(space, KINDS)
    for number in range(30):
        for host in ("small", "large", "of an earlier study"):
            found.observe(trial_of(number, 0.1, host, {"cpu_usage": float(number)}))
    assert len(found._observed_contexts()) == 8
    assert sorted(found._observed_contexts()[:, 1]) == [0.0] * 4 + [1.0] * 4


@pytest.mark.takes_seconds
def test_the_policy_is_not_used_while_the_surrogate_is_useless(
    space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Surrogate, "quality", lambda self: 0.0)
    monkeypatch.setattr(Policy, "propose", lambda *dummy: pytest.fail("the policy was asked"))
    seen = iter(range(100))
    search(
        space,
        lambda candidates: [Trial.of_function(each, next(seen) * 0.6 % 1) for each in candidates],
        budget=20,
        seed=1,
    )
