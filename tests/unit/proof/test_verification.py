from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.evidence import Proof
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.verification import paused, verify
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Trial

from .simulated import Hosts

NewStudy = Callable[..., Study]
CANDIDATE = {"vm.swappiness": 90}


def hosts_with(gain: float, *, noise: float = 0.03, **how: Any) -> Hosts:
    return Hosts(lambda values, host: math.log1p(gain) if values else 0.0, noise=noise, **how)


def verified(study: Study, hosts: Hosts, seed: int = 1, **how: Any) -> Proof:
    return verify(CANDIDATE, ("h1",), hosts.measure, study, seed=seed, **how)


def width(proof: Proof) -> float:
    assert proof.interval is not None
    return proof.interval[1] - proof.interval[0]


@pytest.mark.slow
def test_pairs_go_on_until_the_interval_is_of_use(new_study: NewStudy) -> None:
    for seed in range(10):
        proof = verified(new_study(), hosts_with(0.2, seed=seed), seed)
        assert proof.improved
        assert proof.decided_after is not None
        assert proof.decided_after < len(proof.evidence) <= 40
        assert proof.improvement is not None
        assert width(proof) <= proof.improvement / 2
        assert proof.p_value is not None
        assert proof.p_value < 0.01, "that of the decision"


def test_pairs_end_with_the_budget(new_study: NewStudy) -> None:
    proof = verified(new_study(), hosts_with(0.05))
    assert proof.improved
    assert len(proof.evidence) == 40
    assert proof.decided_after is not None
    assert proof.decided_after < 30


def test_pairs_go_on_until_carry_over_would_have_been_found(new_study: NewStudy) -> None:
    proof = verified(new_study(), hosts_with(0.2))
    (tested,) = proof.carry_over
    assert not tested.found
    assert tested.detectable <= 5


def test_without_precision_they_end_with_the_decision(new_study: NewStudy) -> None:
    proof = verified(new_study(), hosts_with(0.05), precise=False)
    assert proof.improved
    assert len(proof.evidence) == proof.decided_after < 40


def test_without_an_improvement_nothing_more_is_measured(new_study: NewStudy) -> None:
    proof = verified(new_study(), hosts_with(0.0))
    assert not proof.improved
    assert proof.decided_after is None
    assert len(proof.evidence) < 40


def test_a_failure_after_the_verdict_withdraws_it(new_study: NewStudy) -> None:
    runs = count(1)

    def breaks(values: Mapping[str, object], host: str) -> float | None:
        return 0.0 if not values else None if next(runs) == 30 else math.log1p(0.06)

    proof = verified(new_study(), Hosts(breaks, noise=0.03))
    assert not proof.improved
    assert proof.reason.startswith("The candidate failed once")


def test_a_gain_that_vanishes_after_the_verdict_withdraws_it(new_study: NewStudy) -> None:
    runs = count(1)

    def fades(values: Mapping[str, object], host: str) -> float | None:
        return 0.0 if not values else math.log1p(0.08) if next(runs) <= 12 else -0.03

    proof = verified(new_study(), Hosts(fades, noise=0.03))
    assert any(analysis.z >= analysis.efficacy_bound for analysis in proof.interim_analyses)
    assert not proof.improved
    assert proof.decided_after is None


def test_with_carry_over_the_proof_begins_anew_with_pauses(new_study: NewStudy) -> None:
    told: list[str] = []
    hosts = hosts_with(0.1, leftover=math.log1p(0.05))
    proof = verified(new_study(), hosts, notify=told.append)
    assert proof.improved
    assert [(each.found, each.pause) for each in proof.carry_over] == [(True, 0.0), (False, 10.0)]
    (text,) = told
    assert text.startswith("carry-over: a run right after one of the candidate is ")
    assert text.endswith("; the proof begins anew, with a pause of 10 s before each run")
    numbers = [trial.pair for trial in hosts.trials]
    assert numbers == sorted(numbers)
    counted = {pair.pair for pair in proof.evidence}
    assert counted == set(range(min(counted), max(counted) + 1))
    assert {trial.pause for trial in hosts.trials if trial.pair in counted} == {10.0}
    assert {trial.pause for trial in hosts.trials if trial.pair not in counted} == {0.0}


@pytest.mark.takes_seconds
def test_with_carry_over_that_outlasts_pauses_nothing_is_proved(new_study: NewStudy) -> None:
    told: list[str] = []
    hosts = hosts_with(0.1, leftover=math.log1p(0.05), lasting=True)
    proof = verified(new_study(), hosts, notify=told.append)
    assert not proof.improved
    assert proof.reason.startswith("Carry-over, also with pauses of 40 s: a run right after one of the candidate is ")
    assert proof.decided_after is None
    assert "name a command in `between`" in proof.reason
    assert [each.pause for each in proof.carry_over] == [0.0, 10.0, 20.0, 40.0]
    assert len(told) == 3


@pytest.mark.slow
def test_planted_carry_over_is_found_and_proves_nothing_without_pauses(new_study: NewStudy) -> None:
    """Of 20 proofs on a host on which a run after one of the candidate is 5 % slower, at least 19 find it."""
    proofs = [
        verified(new_study(), hosts_with(0.1, leftover=math.log1p(0.05), lasting=True, seed=seed), seed)
        for seed in range(20)
    ]
    assert sum(not proof.improved for proof in proofs) >= 19


@pytest.mark.takes_seconds
def test_a_proof_goes_on_where_it_was_with_the_trials_that_it_has(new_study: NewStudy) -> None:
    whole = verified(new_study(), hosts_with(0.05))
    hosts = hosts_with(0.05)
    short = verified(new_study(), hosts, precise=False)
    before = len(hosts.trials)
    rest = verified(new_study(), hosts, begun=hosts_with(0.05).measure(hosts.trials[:]))
    assert len(short.evidence) < len(whole.evidence)
    assert rest == whole
    assert len(hosts.trials) - before == 2 * (len(whole.evidence) - len(short.evidence))


@pytest.mark.parametrize("seed", range(2, 8))
def test_a_proof_that_needed_a_pause_goes_on_with_it(seed: int, new_study: NewStudy) -> None:
    hosts, told = hosts_with(0.3, leftover=0.2, seed=seed), list[str]()
    short = verified(new_study(), hosts, seed, precise=False)
    before = len(hosts.trials)
    ended = hosts_with(0.3, leftover=0.2, seed=seed).measure(hosts.trials[:])
    rest = verified(new_study(), hosts, seed, begun=ended, notify=told.append)
    assert [(each.found, each.pause) for each in rest.carry_over] == [(True, 0.0), (False, 10.0)]
    assert rest.carry_over[0] == short.carry_over[0]
    assert rest.evidence[: len(short.evidence)] == short.evidence
    assert {trial.pause for trial in hosts.trials[before:]} <= {10.0}
    assert told == []


@pytest.mark.parametrize(("leftover", "pause"), [(0.0, 0.0), (0.05, 10.0)])
def test_the_pause_of_a_proof_holds_for_what_follows(leftover: float, pause: float, new_study: NewStudy) -> None:
    hosts = hosts_with(0.1, leftover=leftover)
    proof = verified(new_study(), hosts)
    (trial,) = paused(hosts.measure, proof)([Trial.pending(Phase.ABLATE, None, "h1")])
    assert trial.pause == pause
