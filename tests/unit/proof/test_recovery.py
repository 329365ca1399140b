from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.host import Host
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.evidence import Recovery
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.recovery import measure_recovery
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, State, Trial

from .simulated import Hosts

NewStudy = Callable[..., Study]


def recovered(study: Study, change: float, *, noise: float = 0.01, seed: int = 0, **how: Any) -> Recovery | None:
    """After ten trials of the original values, at a performance that has changed since."""
    bench = Hosts(lambda values, host: 0.0, noise=noise, seed=seed)
    host = Host("h1", {}, {})
    trials = bench.measure([Trial.pending(Phase.BASELINE, None, "h1")] * 10)
    for trial in trials:
        host.add_trial(study, trial)
    after = Hosts(lambda values, host: change, noise=noise, seed=seed + 1000, **how)
    ended: list[Trial] = []

    def measure(pending: Any) -> list[Trial]:
        ended.extend(host.add_trial(study, trial) for trial in after.measure(pending))
        return ended

    found = measure_recovery(study, {"h1": host}, trials, measure)
    assert [(trial.phase, trial.original) for trial in ended] == [(Phase.RECOVERY, True)] * study.baseline_trials
    return found.get("h1")


def test_a_host_that_is_as_before_has_recovered(new_study: NewStudy) -> None:
    """A false alarm in a hundred; 5 of 100 are 4 standard errors above."""
    found = [recovered(new_study(), 0.0, seed=seed) for seed in range(100)]
    assert sum(not each.recovered for each in found if each) <= 5


@pytest.mark.parametrize(("change", "is_recovered"), [(-0.1, False), (0.1, True), (-0.005, True)])
def test_a_host_that_is_slower_has_not(change: float, is_recovered: bool, new_study: NewStudy) -> None:
    found = recovered(new_study(), change, noise=0.001)
    assert found is not None
    assert found.recovered is is_recovered
    assert found.change == pytest.approx(100 * change, abs=0.7)


def test_a_host_that_rebooted_is_compared_with_its_baseline_since(new_study: NewStudy) -> None:
    """It is slower since then for another reason, such as a new kernel."""
    study, host = new_study(), Host("h1", {}, {})
    pending = [Trial.pending(Phase.BASELINE, None, "h1")] * study.baseline_trials
    before, since = (
        Hosts(lambda values, host, level=level: level, noise=0.01).measure(pending) for level in (0.3, 0.0)
    )
    for trial in since:
        host.add_trial(study, trial)
    after = Hosts(lambda values, host: 0.0, noise=0.01, seed=1)
    found = measure_recovery(study, {"h1": host}, [*before, *since], after.measure)["h1"]
    assert found.recovered


def test_a_host_whose_benchmark_fails_has_not(new_study: NewStudy) -> None:
    class Failing(Hosts):
        def measure(self, trials: Any) -> list[Trial]:
            return [replace(trial, state=State.FAILED, error="it broke") for trial in trials]

    study = new_study()
    host = Host("h1", {}, {})
    trials = Hosts(lambda values, host: 0.0, noise=0.01).measure([Trial.pending(Phase.BASELINE, None, "h1")] * 3)
    found = measure_recovery(study, {"h1": host}, trials, Failing(lambda values, host: 0.0).measure)
    assert found == {"h1": Recovery(recovered=False)}


def test_a_lost_host_is_left_out(new_study: NewStudy) -> None:
    assert recovered(new_study(), 0.0, lost={"h1": 0}) is None
