from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.initial_design import (
    initial_design,
    starting_candidates,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.mutation import mutate
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import SearchSpace
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from hypothesis import given, settings
from hypothesis import strategies as st

SPACE = [
    {"param": "vm.dirty_ratio", "min": 2, "max": 90, "log": True},
    {"param": "vm.dirty_background_ratio", "min": 1, "max": 50, "step": 7},
    {
        "param": "net.ipv4.tcp_rmem",
        "elements": [{"value": 4096}, {"min": 4096, "max": 2**20}, {"min": 8192, "max": 2**24}],
    },
    {"param": "net.ipv4.tcp_congestion_control", "choices": ["reno", "cubic", "bbr"]},
]
CONSTRAINTS = ["vm.dirty_background_ratio < vm.dirty_ratio"]


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    content = {"workload_name": "w", "reward_metric": "m", "benchmark_command": "true"}
    return Study.model_validate({**content, "action_space": SPACE, "constraints": CONSTRAINTS}).space


def is_legal(space: SearchSpace, point: np.ndarray) -> bool:
    candidate = space.decode(point)
    low, middle, high = map(int, str(candidate["net.ipv4.tcp_rmem"]).split())
    ordered = low <= middle <= high
    return ordered and float(candidate["vm.dirty_background_ratio"]) < float(candidate["vm.dirty_ratio"])


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_every_proposal_satisfies_the_constraints(space: SearchSpace, seed: int) -> None:
    random = np.random.default_rng(seed)
    parents = space.snap(random.random((3, space.size)))
    proposed = random.uniform(-0.5, 1.5, (10, space.size))
    for point in space.snap(np.concatenate([proposed, mutate(space, parents, 10, random)])):
        assert is_legal(space, point)
        assert space.encode(space.decode(point)) == pytest.approx(point, abs=1e-9)


@given(st.lists(st.lists(st.floats(-0.2, 1.2), min_size=5, max_size=5), min_size=1, max_size=8))
def test_snapping_many_points_is_decoding_and_encoding_each(space: SearchSpace, points: list[list[float]]) -> None:
    wanted = np.array([space.encode(space.decode(np.array(point))) for point in points])
    assert space.snap(np.array(points)) == pytest.approx(wanted, abs=1e-9)


def test_mutants_differ_from_their_parent_in_a_few_axes(space: SearchSpace) -> None:
    parent = space.snap(np.full((1, space.size), 0.5))
    mutants = mutate(space, parent, 400, np.random.default_rng(1))
    changed = (mutants != parent).sum(axis=1)
    assert changed.min() >= 1
    assert np.median(changed) <= 3
    assert ((mutants >= 0) & (mutants <= 1)).all()


def test_the_initial_design_covers_the_space_and_leaves_most_of_the_budget(space: SearchSpace) -> None:
    for budget in (1, 5, 32, 200):
        design = initial_design(space, budget, [], seed=1)
        assert 1 <= len(design) <= max(4, budget // 4)
    spread = np.array([space.encode(proposal.candidate) for proposal in initial_design(space, 200, [], seed=1)])
    assert (np.ptp(spread, axis=0) > 0.5).all()
    assert initial_design(space, 40, [], seed=1) != initial_design(space, 40, [], seed=2)


def test_expert_settings_keep_the_other_parameters_at_their_original_values(new_study: Callable[..., Study]) -> None:
    study = new_study(
        action_space=[
            {"param": "vm.swappiness", "min": 0, "max": 100},
            {"param": "vm.vfs_cache_pressure", "min": 10, "max": 500},
        ]
    )
    original = {"vm.swappiness": "60", "vm.vfs_cache_pressure": "100"}
    proposed = starting_candidates(study.space, original)
    found = [proposal.candidate for proposal in proposed]
    assert "expert setting tuned-throughput-performance" in [proposal.by for proposal in proposed]
    assert {"vm.swappiness": 10, "vm.vfs_cache_pressure": 100} in found  # TuneD's throughput-performance
    assert all(candidate["vm.vfs_cache_pressure"] == 100 for candidate in found)
    # Nothing is recommended to a host that has these values already.
    assert starting_candidates(study.space, {**original, "vm.swappiness": "10"}) == []
