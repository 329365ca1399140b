# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The simulated searches on which the acquisition policy is trained, and its training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.acquisition_policy import (
    OF_CANDIDATE,
    OF_STATE,
    OFFERED,
    WEIGHTS,
    scores,
)
from ansible_collections.autotune.kernel.tests.performance.learner.simulated_search import RULES, SimulatedSearch


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
def test_the_learner_scores_candidates_as_the_network_that_was_trained() -> None:
    import torch  # seconds
    from ansible_collections.autotune.kernel.tests.performance.learner.bench_policy import SharedScorer, load

    scorer = SharedScorer()
    load(scorer, WEIGHTS)
    features = np.random.default_rng(1).normal(size=(5, OFFERED * OF_CANDIDATE + OF_STATE))
    with torch.no_grad():
        trained = scorer.forward_actor(torch.from_numpy(features.astype(np.float32))).numpy()
    assert np.ptp(trained) > 1
    np.testing.assert_allclose([scores(row) for row in features], trained, atol=1e-3)


@pytest.mark.takes_seconds
def test_training_goes_on_from_the_weights_that_are_there(tmp_path: Path) -> None:
    from ansible_collections.autotune.kernel.tests.performance.learner import bench_policy

    path = tmp_path / "trained.npz"
    bench_policy.train(steps=1, seed=1, path=path, start=WEIGHTS, environments=1, rollout=8)
    with np.load(path) as trained, np.load(WEIGHTS) as before:
        assert {name: trained[name].shape for name in trained} == {name: before[name].shape for name in before}
        assert not np.array_equal(trained["score.weight"], before["score.weight"])
        np.testing.assert_allclose(trained["score.weight"], before["score.weight"], atol=0.1)
