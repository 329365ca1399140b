from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.recommendation import recommend
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study

NewStudy = Callable[..., Study]
NewTrial = Callable[..., Any]


def test_recommends_distinct_candidates_that_never_failed(new_study: NewStudy, evaluated: NewTrial) -> None:
    space = new_study().space
    trained = [
        evaluated(10, 0.1),
        evaluated(20, 0.9),
        evaluated(20, None),
        evaluated(30, 0.2),
        evaluated(30, 0.4),
        evaluated(40, None),
    ]
    assert [candidate["vm.swappiness"] for candidate in recommend(space, trained, 3)] == [30, 10]
    assert [candidate["vm.swappiness"] for candidate in recommend(space, trained, 1)] == [30]
    assert recommend(space, trained[-1:], 3) == []
    assert recommend(space, [], 3) == []


def test_a_single_lucky_trial_is_not_trusted(new_study: NewStudy, evaluated: NewTrial) -> None:
    """A noisy hill around 70, and an outlier at 5 that is better than all."""
    random = np.random.default_rng(1)
    hill = [evaluated(value, 0.5 - ((value - 70) / 60) ** 2 + random.normal(0, 0.03)) for value in range(0, 101, 4)]
    lucky = evaluated(5, 0.6)
    best = recommend(new_study().space, [*hill, lucky], 3)
    assert all(abs(int(candidate["vm.swappiness"]) - 70) <= 12 for candidate in best)


def test_the_same_trials_give_the_same_recommendation(new_study: NewStudy, evaluated: NewTrial) -> None:
    random = np.random.default_rng(2)
    trained = [evaluated(int(value), random.normal()) for value in random.integers(0, 101, 30)]
    assert recommend(new_study().space, trained, 30) == recommend(new_study().space, trained, 30)
