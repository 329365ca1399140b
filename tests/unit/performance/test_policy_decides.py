# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""PPO as what decides: in the simulated searches on which it is trained, and in our learner."""

from __future__ import annotations

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner import model_based
from ansible_collections.autotune.kernel.tests.performance.learner.measuring import Bench, Noise, alike
from ansible_collections.autotune.kernel.tests.performance.learner.offering import OF_CANDIDATE, OF_STATE, OFFERED
from ansible_collections.autotune.kernel.tests.performance.learner.ours import search_with_policy
from ansible_collections.autotune.kernel.tests.performance.learner.simulated_search import RULES, SimulatedSearch
from ansible_collections.autotune.kernel.tests.performance.learner.surfaces import draw


def test_a_simulated_search_is_the_same_for_the_same_seed_and_choices() -> None:
    one, other = (SimulatedSearch("additive", 5000, 4, 12, 0.03, seed=1) for dummy in range(2))
    while one.left:
        assert one.features.shape == (OFFERED * OF_CANDIDATE + OF_STATE,)
        assert np.isfinite(one.features).all()
        assert (one.features == other.features).all()
        one.take(RULES["schedule"](one))
        other.take(RULES["schedule"](other))
    assert one.share == other.share <= 1


@pytest.mark.takes_seconds
def test_the_policy_decides_in_our_learner_and_nowhere_else() -> None:
    before = model_based.ModelBasedPPO
    surface = draw(3, 4)
    tried = []
    for dummy in range(2):
        bench = Bench(alike(surface), Noise(0.03), seed=1)
        search_with_policy(bench, 10, 1)
        tried.append([trial.requested for trial in bench.evaluations])
    assert tried[0] == tried[1]
    assert len(tried[0]) == 10
    assert model_based.ModelBasedPPO is before
