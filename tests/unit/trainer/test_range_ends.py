from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.range_ends import range_ends
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Trial

NewStudy = Callable[..., Study]
GIB = 2**30
SPACE = [
    {"param": "vm.swappiness", "min": 10, "max": 90},
    {"param": "net.core.somaxconn", "min": 128, "max": 4096, "log": True},
    {
        "param": "net.ipv4.tcp_rmem",
        "elements": [{"value": 4096}, {"value": 131072}, {"min": 131072, "max": 2**24, "log": True}],
    },
    {"param": "net.ipv4.tcp_autocorking", "type": "bool"},
]
ORIGINAL = {
    "vm.swappiness": "60",
    "net.core.somaxconn": "4096",
    "net.ipv4.tcp_rmem": f"4096 131072 {2**22}",
    "net.ipv4.tcp_autocorking": "1",
}


@pytest.fixture
def study(new_study: NewStudy) -> Study:
    return new_study(action_space=SPACE)


def hosts(memory: int = 16 * GIB) -> dict[str, Any]:
    return {"h1": SimpleNamespace(facts={"memory_bytes": memory, "cpus": 4}, original_values=ORIGINAL)}


def trained(study: Study, per_unit: dict[str, float], count: int = 40) -> list[Trial]:
    """Trials whose reward rises by so much from the low end of an axis to its high end."""
    rng, found = np.random.default_rng(1), []
    for dummy in range(count):
        point = rng.random(study.space.size)
        reward = sum(per_unit.get(axis.parameter, 0.0) * at for axis, at in zip(study.space.axes, point, strict=True))
        found.append(Trial.of_function(study.space.decode(point), reward))
    return found


def test_what_is_inside_its_range_or_a_choice_is_not_named(study: Study) -> None:
    assert range_ends(study, {"vm.swappiness": 11, "net.ipv4.tcp_autocorking": 0}, [], hosts()) == {}


def test_without_trials_it_only_says_where_the_range_ended(study: Study) -> None:
    found = range_ends(study, {"vm.swappiness": 10, "net.ipv4.tcp_rmem": f"4096 131072 {2**24}"}, [], hosts())
    (swappiness,), (rmem,) = found["vm.swappiness"], found["net.ipv4.tcp_rmem"]
    assert (swappiness.end, swappiness.bound, swappiness.element, swappiness.gain) == ("lowest", 10, None, None)
    assert (rmem.end, rmem.bound, rmem.element, rmem.wider) == ("highest", 2**24, 2, None)


def test_a_slope_towards_the_end_suggests_a_wider_range(study: Study) -> None:
    trials = trained(study, {"vm.swappiness": -0.4, "net.core.somaxconn": 0.4})
    found = range_ends(study, {"vm.swappiness": 10, "net.core.somaxconn": 4096}, trials, hosts())
    (low,), (high,) = found["vm.swappiness"], found["net.core.somaxconn"]
    assert low.gain is not None
    assert low.gain > 4
    assert low.wider == 0, "less than that is no value of anything counted"
    assert not low.at_limit
    assert high.wider == 8192  # 2^(12 + 5/4), rounded to a power of two
    assert not high.at_limit


def test_without_a_slope_nothing_is_suggested(study: Study) -> None:
    trials = trained(study, {"vm.swappiness": 0.4})
    ((end,),) = range_ends(study, {"net.core.somaxconn": 4096}, trials, hosts()).values()
    assert end.gain == pytest.approx(0, abs=1.0)
    assert end.wider is None


def test_that_there_is_no_wider_end_is_not_a_danger(new_study: NewStudy) -> None:
    space = [
        {"param": "net.core.somaxconn", "min": 4096, "max": 5000, "log": True},
        {"param": "vm.x", "min": 0, "max": 9},
    ]
    found = range_ends(new_study(action_space=space), {"net.core.somaxconn": 5000, "vm.x": 0}, [], hosts())
    assert [end.at_limit for (end,) in found.values()] == [False, False]


@pytest.mark.takes_seconds
def test_what_runs_a_risk_or_is_not_safe_is_not_suggested(study: Study) -> None:
    trials = trained(study, {"net.ipv4.tcp_rmem": 0.6})
    (wide,) = range_ends(study, {"net.ipv4.tcp_rmem": f"4096 131072 {2**24}"}, trials, hosts())["net.ipv4.tcp_rmem"]
    assert wide.wider == 2**26
    small = hosts(memory=GIB // 4)  # where 16 MiB are the most that is safe
    (narrow,) = range_ends(study, {"net.ipv4.tcp_rmem": f"4096 131072 {2**24}"}, trials, small)["net.ipv4.tcp_rmem"]
    assert (narrow.wider, narrow.at_limit) == (None, True)
    fewer = trained(study, {"net.ipv4.tcp_rmem": -0.6})
    (low,) = range_ends(study, {"net.ipv4.tcp_rmem": "4096 131072 131072"}, fewer, hosts())["net.ipv4.tcp_rmem"]
    assert (low.end, low.wider, low.at_limit) == ("lowest", None, True), "less is a risk"
