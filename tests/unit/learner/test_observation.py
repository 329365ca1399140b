from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.observation import (
    HostContexts,
    Observer,
    to_point,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Score, State, Trial

METRICS = ["cpu_usage", "load_1m"]


def evaluate(candidates: Sequence[dict[str, Any]]) -> list[Trial]:
    """The more swappiness the better; 13 fails."""
    found = []
    for candidate in candidates:
        value = float(candidate["vm.swappiness"])
        failed = value == 13
        trial = Trial(
            Phase.TRAIN,
            candidate,
            host="h1",
            state=State.FAILED if failed else State.COMPLETE,
            applied={name: str(value) for name, value in candidate.items()},
            observations={"cpu_usage": 50.0},
            score=Score(None if failed else math.log1p(value / 100), None, value / 100),
        )
        found.append(trial)
    return found


@pytest.fixture
def start(study: Study) -> np.ndarray:
    original = {"vm.swappiness": "60", "net.ipv4.tcp_congestion_control": "reno"}
    return Observer(study.space, METRICS).at_baseline(original, {"cpu_usage": 50.0})


def test_the_observation_is_values_performance_and_metrics(study: Study, start: np.ndarray) -> None:
    assert start == pytest.approx([0.6, 0.25, 0.0, 0.5, 0.0])
    (trial,) = evaluate([{"vm.swappiness": 100, "net.ipv4.tcp_congestion_control": "bbr"}])
    observed = Observer(study.space, METRICS).after(trial)
    assert observed == pytest.approx([1.0, 0.75, math.log(2) / 2, 0.5, 0.0])


def test_a_failure_is_observed_as_the_worst_performance(study: Study) -> None:
    (trial,) = evaluate([{"vm.swappiness": 13, "net.ipv4.tcp_congestion_control": "bbr"}])
    observer = Observer(study.space, METRICS)
    assert observer.after(trial)[2] == -1.0
    assert observer.box.contains(observer.after(trial))


def test_observes_the_applied_values(study: Study) -> None:
    requested = {"vm.swappiness": 100, "net.ipv4.tcp_congestion_control": "bbr"}
    trial = Trial(Phase.TRAIN, requested, host="h1", applied={"vm.swappiness": "50"}, score=Score(0.0))
    assert Observer(study.space, []).after(trial) == pytest.approx([0.5, 0.75, 0.0])


@pytest.mark.parametrize(("action", "point"), [(-1, 0), (0, 0.5), (1, 1), (-7, 0), (7, 1)])
def test_actions_are_clipped(action: float, point: float) -> None:
    assert to_point(np.array([action], dtype=np.float32)) == pytest.approx([point])


def test_the_observation_distinguishes_hosts_that_differ(study: Study) -> None:
    contexts = HostContexts({"small": [0.0, 1.0, 3.0], "middle": [1.0, 1.1, 3.0], "large": [4.0, 1.0, 3.0]})
    observer = Observer(study.space, [], contexts)
    original = {"vm.swappiness": "60", "net.ipv4.tcp_congestion_control": "reno"}
    # A difference of a tenth does not count: one feature is left.
    assert [observer.at_baseline(original, {}, host)[-1] for host in ("small", "middle", "large")] == [0.0, 0.25, 1.0]
    assert observer.at_baseline(original, {}, "joined later")[-1] == 0.5
    assert observer.box.contains(observer.at_baseline(original, {}, "large"))


def test_hosts_that_are_alike_have_no_features(study: Study) -> None:
    assert HostContexts({"h1": [1.0, 2.0], "h2": [1.0, 2.1]}).size == 0
    assert HostContexts({}).size == 0
