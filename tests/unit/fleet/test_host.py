"""The scores of a host's trials and the notices about its baseline."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.host import Host
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase

from ..conftest import host_of, measured

NewStudy = Callable[..., Study]


def test_the_performance_of_several_metrics_is_their_weighted_mean(new_study: NewStudy) -> None:
    study = new_study(objectives=[{"metric": "p99", "direction": "minimise", "weight": 3.0}])
    host = host_of(study, 100.0, 100.0, 100.0)
    # Throughput twice as good, p99 half as good; the latter weighs three times as much.
    score = host.score(study, measured(200.0, 10.0))
    assert score.performance == pytest.approx((math.log(2) - 3 * math.log(2)) / 4)
    assert score.level == pytest.approx(100.0)
    assert host.score(study, measured(100.0, 5.0)).performance == pytest.approx(0.0)


def test_a_shift_and_a_large_drift_are_reported_once(new_study: NewStudy) -> None:
    study = new_study()
    shifted = host_of(study, 100.0, 101.0, 99.0, 100.0, 151.0, 151.0, 150.0, 149.0)
    (notice,) = shifted.notices
    assert notice.startswith("baseline shifted by +51 %: something changed on the host between its trials 4 and 5;")
    drifting = host_of(study, *(100.0 * 0.985**at for at in range(40)))
    (notice,) = drifting.notices
    assert notice.startswith("baseline has drifted by -")
    assert host_of(study, *([100.0, 101.0, 99.0] * 8)).notices == []


def test_an_extra_deviation_adds_to_the_uncertainty_but_not_to_the_noise(new_study: NewStudy) -> None:
    study = new_study()
    host = host_of(study, 100.0, 100.0, 100.0)
    usual = host.score(study, measured(120.0))
    assert usual.noise is not None
    assert usual.uncertainty == pytest.approx(0.9 * usual.noise)
    host.extra_deviation = 0.2
    outlying = host.score(study, measured(120.0))
    assert outlying.noise == usual.noise
    assert outlying.uncertainty == pytest.approx(0.9 * math.hypot(usual.noise, 0.2))
    later = host.in_hindsight(study, host.add_trial(study, replace(measured(120.0), id=3))).score
    assert later.uncertainty == pytest.approx(0.9 * math.hypot(later.noise or 0.0, 0.2))


def test_a_trial_without_health_signals_gets_the_usual_stability_of_its_host(new_study: NewStudy) -> None:
    study, health = new_study(), {"memory_pressure": 0.5}
    host = Host("h1", {"kernel": "6.1.0"}, {"vm.swappiness": "60"})
    for dummy in range(3):
        host.add_trial(study, replace(measured(100.0, health=health), phase=Phase.BASELINE, original=True))
    observed, unobserved = (host.score(study, measured(100.0, **fields)) for fields in ({"health": health}, {}))
    assert (observed.stability, unobserved.stability) == (0.5, None)
    assert observed.reward == unobserved.reward == pytest.approx(0.05)


def test_hindsight_uses_the_controls_before_and_after_a_trial(new_study: NewStudy) -> None:
    study = new_study()
    host = host_of(study, *[100.0, 101.0, 99.0] * 3)
    host.trial_count = 19
    before = host.add_trial(study, replace(measured(90.0), id=20))
    online = before.score
    for at in range(29, 119, 10):
        host.trial_count = at
        host.add_trial(study, replace(measured(90.0), phase=Phase.CONTROL, original=True))
    after = host.in_hindsight(study, before).score
    assert online.performance is not None
    assert after.performance is not None
    assert online.performance < -0.08
    assert online.performance < after.performance < 0
    assert host.in_hindsight(study, replace(before, id=21)).score == before.score
