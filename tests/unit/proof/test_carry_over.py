from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.carry_over import (
    _correlation,
    carry_over,
    described,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.evidence import CarryOver
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.pairing import in_order, orders
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Trial
from scipy.stats import norm

from .simulated import Hosts

NewStudy = Callable[..., Study]
CANDIDATE = {"vm.swappiness": 90}


def pairs_on(hosts: Hosts, count: int, seed: int, names: Sequence[str] = ("h1",)) -> list[Trial]:
    """The trials of so many pairs on each host, as a proof has them."""
    order = orders(names, count, seed)
    return hosts.measure(
        [
            Trial.pending(Phase.VERIFY, values, name, at + 1)
            for at in range(count)
            for name in names
            for values in in_order(order[name][at], CANDIDATE)
        ]
    )


def carry_over_in(study: Study, count: int, seed: int, *names: str, **how: Any) -> CarryOver:
    hosts = Hosts(lambda values, host: math.log1p(0.1) if values else 0.0, seed=seed, **{"noise": 0.03, **how})
    found = carry_over(study, pairs_on(hosts, count, seed, names or ("h1",)))
    assert found is not None
    return found


@pytest.mark.slow
@pytest.mark.parametrize("names", [("h1",), ("h1", "h2")])
def test_five_per_cent_are_found_nineteen_times_in_twenty(names: Sequence[str], new_study: NewStudy) -> None:
    """In 3 % noise and 24 pairs; 380 of 400 are expected at least, and 13 are 3 standard errors."""
    count = 24 // len(names)
    found = [carry_over_in(new_study(), count, seed, *names, leftover=math.log1p(0.05)) for seed in range(400)]
    assert sum(each.found for each in found) >= 380 - 13


@pytest.mark.slow
@pytest.mark.parametrize("drift", [False, True])
def test_false_alarms_are_at_most_one_in_twenty(drift: bool, new_study: NewStudy) -> None:
    """Also where hosts drift and noise is heavy-tailed: 20 of 400 are allowed, and 13 are 3 standard errors."""
    found = [carry_over_in(new_study(), 20, seed, drift=drift) for seed in range(400)]
    assert sum(each.found for each in found) <= 20 + (13 if drift else 0)


def test_the_estimate_is_the_leftover_and_not_the_gain(new_study: NewStudy) -> None:
    found = carry_over_in(new_study(), 40, 1, noise=1e-4, leftover=math.log1p(0.05))
    assert found.change == pytest.approx(100 * (1 / 1.05 - 1), abs=0.05)
    assert found.interval[0] < found.change < found.interval[1]
    assert described(found).startswith("a run right after one of the candidate is 4.8 % worse (")


def test_what_is_smaller_than_an_improvement_that_counts_is_no_carry_over(new_study: NewStudy) -> None:
    found = carry_over_in(new_study(), 40, 1, noise=1e-4, leftover=0.005)
    assert found.p_value < 1e-6
    assert not found.found


def test_a_steady_trend_is_no_carry_over(new_study: NewStudy) -> None:
    class Warming(Hosts):
        def _level(self, host: str) -> float:
            return 0.02 * self._times[host]

    hosts = Warming(lambda values, host: 0.1 if values else 0.0, noise=0.005)
    found = carry_over(new_study(), pairs_on(hosts, 40, 3))
    assert found is not None
    assert abs(found.change) < 1


def test_correlated_pairs_are_found(new_study: NewStudy) -> None:
    """A candidate whose gain comes and goes."""
    runs = iter(range(1000))
    hosts = Hosts(lambda values, host: 0.1 * (1 + math.sin(next(runs) / 6)) if values else 0.0, noise=0.01)
    found = carry_over(new_study(), pairs_on(hosts, 40, 3))
    assert found is not None
    assert found.found
    assert found.correlation > 0.4
    assert "successive pairs on a host are correlated (+" in described(found)


def test_a_noisy_host_does_not_decide_alone_whether_pairs_are_correlated() -> None:
    generator = np.random.default_rng(3)
    alarms = 0
    for dummy in range(2000):
        hosts = [list(generator.normal(0, deviation, 10)) for deviation in (1, 1, 1, 20)]
        alarms += abs(_correlation(hosts)[1]) > norm.isf(0.005)
    assert alarms <= 0.015 * 2000


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_pairs_say_nothing(count: int, new_study: NewStudy) -> None:
    assert carry_over(new_study(), pairs_on(Hosts(lambda values, host: 0.0, noise=0.03), count, 1)) is None


def test_a_benchmark_without_noise_has_none(new_study: NewStudy) -> None:
    assert not carry_over_in(new_study(verification={"min_improvement": 0}), 6, 1, noise=0.0).found


def test_failed_and_lost_trials_do_not_count(new_study: NewStudy) -> None:
    trials = pairs_on(Hosts(lambda values, host: 0.0, noise=0.03, lost={"h2": 9}), 12, 1, ("h1", "h2"))
    trials[4] = trials[4].fail("it broke")
    assert carry_over(new_study(), trials) is not None
