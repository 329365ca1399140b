# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a study takes over from others: values by name, performance against each host's own baseline."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._memory.warm_start import (
    in_space,
    is_shared,
    named_studies,
    translate,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.tables import HostRow, StudyRow, TrialRow
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import State

SWAPPINESS = {"param": "vm.swappiness", "min": 0, "max": 100}
DIRTY = {"param": "vm.dirty_ratio", "min": 5, "max": 60}
BACKGROUND = {"param": "vm.dirty_background_ratio", "min": 1, "max": 40}
CONTROL = {"param": "net.ipv4.tcp_congestion_control", "choices": ["reno", "bbr"]}
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

NewStudy = Callable[..., Study]


def row_of(of: Study, number: int = 1, **fields: Any) -> StudyRow:
    content = of.model_dump(mode="json", exclude_none=True)
    own = {"id": number, "workload_name": of.workload_name, "study": content, "seed": 1, "started": NOW}
    return StudyRow(**{**own, **fields})


def trial_row(requested: dict[str, Any], performance: float | None = 0.1, **fields: Any) -> TrialRow:
    failed = performance is None
    content = {
        "host_id": 5,
        "id": 1,
        "phase": "train",
        "original": False,
        "requested": requested,
        "applied": {name: str(value) for name, value in requested.items()},
        "state": "failed" if failed else "complete",
        "metric": None if failed else 50.0,
        "streamed": [],
        "metrics": {},
        "performance": performance,
        "stability_parts": {},
        "reward": -2.0 if failed else performance,
        "observations": {},
        "health": {},
        "seconds": {},
        "error": "out of memory" if failed else None,
    }
    return TrialRow(**{**content, **fields})


HOSTS = [HostRow(id=5, name="h1", facts={}, original_values={})]


def test_values_are_translated_by_name_and_performance_is_kept(new_study: NewStudy) -> None:
    old, new = new_study(action_space=[SWAPPINESS, DIRTY]), new_study(action_space=[DIRTY, CONTROL, SWAPPINESS])
    rows = [trial_row({"vm.swappiness": 10, "vm.dirty_ratio": 30}, 0.25, noise=0.02)]
    told: list[str] = []
    (found,) = translate(new, row_of(old, 3), HOSTS, rows, {"net.ipv4.tcp_congestion_control": "reno"}, told.append)
    assert found.requested == {
        "vm.dirty_ratio": 30,
        "net.ipv4.tcp_congestion_control": "reno",
        "vm.swappiness": 10,
    }
    assert (found.score.performance, found.score.noise) == (0.25, 0.02)
    assert found.score.reward == pytest.approx(0.9 * 0.25 + 0.1)
    assert (found.host, found.state != State.LOST) == ("h1 of study 3", True)
    assert told == ["learning from 1 trials of study 3 (small)"]


def test_applied_values_count_and_original_values_are_no_candidate(new_study: NewStudy) -> None:
    study = new_study()
    rows = [
        trial_row({"vm.swappiness": 11}, applied={"vm.swappiness": "12"}),
        trial_row({"vm.swappiness": "60"}, original=True, phase="verify"),
        trial_row({"vm.swappiness": "60"}, original=True, phase="baseline"),
        trial_row({"vm.swappiness": 90}, None, applied={}),
    ]
    kept, failed = translate(study, row_of(study), HOSTS, rows, {}, lambda text: None)
    assert kept.requested == {"vm.swappiness": 12}
    assert (failed.requested, failed.state == State.FAILED, failed.score.performance) == (
        {"vm.swappiness": 90},
        True,
        None,
    )


def test_trials_outside_the_search_space_are_skipped_and_reported(new_study: NewStudy) -> None:
    old = new_study(action_space=[SWAPPINESS, CONTROL])
    new = new_study(action_space=[{**SWAPPINESS, "max": 50}, {**CONTROL, "choices": ["bbr", "cubic"]}])
    rows = [
        trial_row({"vm.swappiness": swappiness, "net.ipv4.tcp_congestion_control": control})
        for swappiness, control in [(50, "bbr"), (51, "bbr"), (90, "bbr"), (10, "reno")]
    ]
    told: list[str] = []
    found = translate(new, row_of(old, 3), HOSTS, rows, {}, told.append)
    assert [one.requested for one in found] == [{"vm.swappiness": 50, "net.ipv4.tcp_congestion_control": "bbr"}]
    assert told[0] == (
        "skipped trials of study 3 that are outside this search space, by parameter: "
        "vm.swappiness (2), net.ipv4.tcp_congestion_control (1)"
    )


def test_the_reward_uses_the_new_study_s_weights(new_study: NewStudy) -> None:
    new = new_study(reward={"performance": 1.0, "stability": 3.0})
    rows = [trial_row({"vm.swappiness": 10}, 0.2, health={"retransmits": 0.05}, reward=9.0)]
    (found,) = translate(new, row_of(new), HOSTS, rows, {}, lambda text: None)
    assert found.score.reward == pytest.approx((0.2 + 3 * 0.5) / 4)


def test_missing_stability_parts_count_as_in_that_host_s_baseline(new_study: NewStudy) -> None:
    new = new_study()
    own = trial_row({"vm.swappiness": 60}, 0.0, original=True, stability_parts={"retransmits": 0.5})
    seen = trial_row({"vm.swappiness": 10}, 0.0, health={"retransmits": 0.05})
    unseen = trial_row({"vm.swappiness": 10}, 0.0)
    found = translate(new, row_of(new), HOSTS, [own, seen, unseen], {}, lambda text: None)
    assert [trial.score.reward for trial in found] == pytest.approx([0.05, 0.05])


def test_a_candidate_that_violates_constraints_is_skipped(new_study: NewStudy) -> None:
    space = new_study(
        action_space=[DIRTY, BACKGROUND], constraints=["vm.dirty_background_ratio < vm.dirty_ratio"]
    ).space
    assert in_space(space, {"vm.dirty_ratio": 20, "vm.dirty_background_ratio": 10}, {})[0] is not None
    candidate, lacking = in_space(space, {"vm.dirty_ratio": 10, "vm.dirty_background_ratio": 30}, {})
    assert candidate is None
    assert lacking


def test_a_coarser_step_takes_the_nearest_value(new_study: NewStudy) -> None:
    space = new_study(action_space=[{**SWAPPINESS, "step": 25}]).space
    assert in_space(space, {"vm.swappiness": 30}, {}) == ({"vm.swappiness": 25}, [])


def test_the_largest_value_of_a_range_that_no_float_can_hold_is_in_it(new_study: NewStudy) -> None:
    largest = 18446744073692774399
    space = new_study(action_space=[{"param": "kernel.shmmax", "min": 1, "max": largest, "log": True}]).space
    assert in_space(space, {"kernel.shmmax": str(largest)}, {}) == ({"kernel.shmmax": largest}, [])


def test_a_missing_parameter_gets_the_nearest_value_to_the_original(new_study: NewStudy) -> None:
    space = new_study(action_space=[SWAPPINESS, DIRTY]).space
    candidate, dummy = in_space(space, {"vm.swappiness": 30}, {"vm.swappiness": "60", "vm.dirty_ratio": "90"})
    assert candidate == {"vm.swappiness": 30, "vm.dirty_ratio": 60}


def test_warm_start_names_compatible_studies_by_workload_or_id(new_study: NewStudy) -> None:
    rows = [
        row_of(new_study(), 1),
        row_of(new_study(workload_name="web"), 2),
        row_of(new_study(workload_name="web", direction="minimise"), 3),
        row_of(new_study(workload_name="web", action_space=[DIRTY]), 4),
        row_of(new_study(workload_name="web", reward_metric="latency"), 5),
        row_of(new_study(), 6, study={"nonsense": 1}),
        row_of(new_study(), 9),
    ]
    told: list[str] = []
    study = new_study(warm_start=["web", 1, 6, "1", 77])
    assert [row.id for row in named_studies(rows, study, 9, told.append)] == [1, 2]
    assert told == [
        "warm_start: study 3 (web) is not used: its direction is different",
        "warm_start: study 4 (web) is not used: it tuned none of these parameters",
        "warm_start: study 5 (web) is not used: its reward_metric is different",
        "warm_start: study 6 (small) is not used: it was stored by an incompatible version",
        "warm_start: this store has no study 77",
    ]


def test_a_study_does_not_warm_start_from_itself(new_study: NewStudy) -> None:
    study = new_study(warm_start=["small"])
    rows = [row_of(study, 1), row_of(study, 2)]
    assert [row.id for row in named_studies(rows, study, 2, lambda text: None)] == [1]


@pytest.mark.parametrize(
    ("changes", "fields", "shared"),
    [
        ({}, {}, True),
        ({}, {"finished": NOW + timedelta(minutes=1)}, True),
        ({}, {"finished": NOW - timedelta(minutes=1)}, False),
        ({"share": False}, {}, False),
        ({"workload_name": "other"}, {}, False),
        ({"action_space": [{**SWAPPINESS, "max": 50}]}, {}, False),
        ({"verification": {"pairs": 20}}, {}, True),
    ],
)
def test_only_concurrent_runs_of_the_same_study_share(
    changes: dict[str, Any], fields: dict[str, Any], shared: bool, new_study: NewStudy
) -> None:
    other = new_study(**{"share": True, **changes})
    assert is_shared(row_of(other, 2, **fields), new_study(share=True), NOW) is shared


def test_performances_stay_finite_however_far_apart_the_scales_are(new_study: NewStudy) -> None:
    study = new_study()
    rows = [trial_row({"vm.swappiness": 10}, 14.0, metric=1e9)]
    (found,) = translate(study, row_of(study), HOSTS, rows, {}, lambda text: None)
    assert math.isfinite(found.score.reward)
    assert found.score.reward <= 2.0
