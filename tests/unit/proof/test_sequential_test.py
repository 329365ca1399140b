from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import count, pairwise
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.evidence import Proof
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.sequential_test import prove
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from hypothesis import given, settings
from hypothesis import strategies as st

from .simulated import Hosts

NewStudy = Callable[..., Study]
CANDIDATE = {"vm.swappiness": 90}
GUARD = {"metric": "p99_ms", "direction": "minimise", "may_worsen": 2.0}


def effect(gain: float, **others: float) -> Callable[[Mapping[str, object], str], float]:
    """The candidate improves by `gain`, except on the hosts in `others`."""
    return lambda values, host: math.log1p(others.get(host, gain)) if values else 0.0


def proved(study: Study, hosts: Hosts, names: tuple[str, ...] = ("h1", "h2"), seed: int = 1) -> Proof:
    return prove(CANDIDATE, names, hosts.measure, study, seed=seed)


@pytest.mark.takes_seconds
@pytest.mark.parametrize("names", [("h1",), ("h1", "h2", "h3")])
def test_false_positives_are_rare(names: tuple[str, ...], new_study: NewStudy) -> None:
    """150 A/A studies with drift: 2.5 % false positives are expected, 5 % permitted; 10 is 3 standard errors above."""
    study = new_study(verification={"pairs": 24, "min_improvement": 0})
    improved = [
        proved(study, Hosts(effect(0.0), noise=0.03, drift=True, seed=seed), names, seed).improved
        for seed in range(150)
    ]
    assert sum(improved) <= 10


@pytest.mark.takes_seconds
def test_detects_five_per_cent_in_three_per_cent_noise_within_forty_pairs(new_study: NewStudy) -> None:
    proofs = [proved(new_study(), Hosts(effect(0.05), noise=0.03, seed=seed), seed=seed) for seed in range(60)]
    assert sum(proof.improved for proof in proofs) >= 57
    assert max(len(proof.evidence) for proof in proofs) <= 40
    # Far fewer on the mean, and what stopped early still says something honest.
    assert sum(len(proof.evidence) for proof in proofs) < 60 * 25
    assert sum(low <= 5 <= high for low, high in (proof.interval for proof in proofs if proof.interval)) >= 55


@pytest.mark.takes_seconds
def test_stops_early_for_futility(new_study: NewStudy) -> None:
    proofs = [proved(new_study(), Hosts(effect(0.0), noise=0.03, seed=seed), seed=seed) for seed in range(40)]
    assert sum(proof.improved for proof in proofs) <= 3
    assert sum(len(proof.evidence) for proof in proofs) < 40 * 30


def test_linear_drift_cancels(new_study: NewStudy) -> None:
    """A host without noise that gets faster all the time."""

    class Warming(Hosts):
        def _level(self, host: str) -> float:
            return 0.01 * self._times[host]

    for seed in range(10):
        proof = proved(new_study(verification={"pairs": 8}), Warming(effect(0.0)), ("h1",), seed)
        assert not proof.improved
        assert proof.improvement == pytest.approx(0.0, abs=1e-9)


def test_the_order_of_pairs_is_random_and_then_reversed(new_study: NewStudy) -> None:
    hosts = Hosts(effect(0.0), noise=0.03)
    proof = proved(new_study(verification={"pairs": 40}), hosts)
    for host in ("h1", "h2"):
        own = [trial for trial in hosts.trials if trial.host == host]
        firsts = [one.original for one in own[::2]]
        assert all(one.original != other.original for one, other in zip(own[::2], own[1::2], strict=True))
        assert [trial.pair for trial in own] == [number for number in range(1, len(firsts) + 1) for dummy in range(2)]
        assert all(one != other for one, other in list(pairwise(firsts))[::2])
        assert len(set(firsts[::2])) == 2
    assert [pair.first == "baseline" for pair in proof.evidence] == [trial.original for trial in hosts.trials[::2]]
    assert {trial.phase for trial in hosts.trials} == {"verify"}


def test_is_reproducible_from_the_measurements(new_study: NewStudy) -> None:
    one, other = (Hosts(effect(0.02), noise=0.03) for dummy in range(2))
    assert proved(new_study(), one) == proved(new_study(), other)
    assert one.trials == other.trials


@pytest.mark.parametrize("direction", ["maximise", "minimise"])
def test_the_direction_decides_what_is_better(direction: str, new_study: NewStudy) -> None:
    proof = proved(new_study(direction=direction), Hosts(effect(0.5), noise=0.01), ("h1",))
    assert proof.improved is (direction == "maximise")
    assert (proof.reason == "The candidate is significantly worse on h1") is (direction == "minimise")


@pytest.mark.takes_seconds
def test_a_gain_on_one_host_does_not_hide_a_loss_on_another(new_study: NewStudy) -> None:
    """The mean improves from the first analysis on, but one host looks worse."""
    proofs = [proved(new_study(), Hosts(effect(1.0, h2=-0.04), noise=0.03, seed=seed), seed=seed) for seed in range(30)]
    assert sum(proof.improved for proof in proofs) <= 3
    assert sum(len(proof.evidence) > 4 for proof in proofs) > 25


@pytest.mark.parametrize(("gain", "improved"), [(0.1, True), (0.0, False), (-0.1, False)])
def test_a_benchmark_without_noise_can_be_judged(gain: float, improved: bool, new_study: NewStudy) -> None:
    proof = proved(new_study(), Hosts(effect(gain)))
    assert proof.improved is improved
    assert proof.improvement == pytest.approx(100 * gain)
    assert proof.interval == pytest.approx((100 * gain,) * 2)
    assert len(proof.evidence) == 6


def test_a_host_that_gets_significantly_worse_vetoes(new_study: NewStudy) -> None:
    proof = proved(new_study(), Hosts(effect(1.0, h2=-0.1), noise=0.01))
    assert not proof.improved
    assert proof.reason == "The candidate is significantly worse on h2"
    assert proof.by_host["h2"].interval[1] < 0 < proof.by_host["h1"].interval[0]


@pytest.mark.takes_seconds
def test_unchanged_hosts_seldom_veto(new_study: NewStudy) -> None:
    """A true gain on 12 hosts; without a correction, one of them would veto in every fourth study."""
    names = tuple(f"h{at}" for at in range(12))
    study = new_study(verification={"pairs": 48})
    reasons = [
        proved(study, Hosts(effect(0.06, h0=0.0, h1=0.0, h2=0.0), noise=0.02, seed=seed), names, seed).reason
        for seed in range(40)
    ]
    assert sum("significantly worse" in reason for reason in reasons) <= 3


def test_a_gain_below_min_improvement_does_not_count(new_study: NewStudy) -> None:
    proof = proved(new_study(), Hosts(effect(0.005), noise=0.0005))
    assert not proof.improved
    assert "is below min_improvement (1 %)" in proof.reason
    assert proved(new_study(verification={"min_improvement": 0.1}), Hosts(effect(0.005), noise=0.0005)).improved


def test_a_difference_within_the_noise_does_not_count(new_study: NewStudy) -> None:
    proof = proved(new_study(verification={"pairs": 4}), Hosts(effect(0.01), noise=0.2))
    assert not proof.improved
    assert "is within the noise" in proof.reason
    assert proof.interval is not None
    assert proof.interval[0] < 0 < proof.interval[1]
    assert proof.p_value is not None
    assert proof.p_value > 0.05


def test_records_every_interim_analysis(new_study: NewStudy) -> None:
    proof = proved(new_study(), Hosts(effect(0.03), noise=0.03))
    assert [analysis.pairs for analysis in proof.interim_analyses] == list(range(6, len(proof.evidence) + 1, 2))
    assert proof.interim_analyses[-1].interval == proof.interval
    last = proof.interim_analyses[-1]
    assert last.z >= last.efficacy_bound
    assert all(analysis.z < analysis.efficacy_bound for analysis in proof.interim_analyses[:-1])


def test_a_guard_metric_that_holds_permits_an_improvement(new_study: NewStudy) -> None:
    hosts = Hosts(effect(0.1), noise=0.01, guard=effect(0.0))
    proof = proved(new_study(guard_metrics=[GUARD]), hosts)
    assert proof.improved
    (guarded,) = proof.guard_metrics
    assert guarded.holds
    assert guarded.interval is not None
    assert guarded.interval[0] > -2 / 1.02
    assert all(set(pair.guards) == {"p99_ms"} for pair in proof.evidence)


@pytest.mark.parametrize(
    ("change", "noise", "reason"),
    [
        pytest.param(-0.2, 0.01, "p99_ms is more than 2 % worse", id="worse"),
        pytest.param(0.0, 0.3, "p99_ms was not shown to be non-inferior (limit -2.0 %)", id="unknown"),
    ],
)
def test_a_guard_metric_that_does_not_hold_vetoes(
    change: float, noise: float, reason: str, new_study: NewStudy
) -> None:
    hosts = Hosts(effect(2.0), noise=noise, guard=effect(change))
    proof = proved(new_study(guard_metrics=[GUARD]), hosts)
    assert not proof.improved
    assert proof.reason == reason
    assert [guard.holds for guard in proof.guard_metrics] == [False]


def test_a_guard_metric_that_is_worse_on_one_host_vetoes(new_study: NewStudy) -> None:
    hosts = Hosts(effect(1.0), noise=0.01, guard=effect(0.3, h2=-0.2))
    proof = proved(new_study(guard_metrics=[GUARD]), hosts)
    assert proof.reason == "p99_ms is more than 2 % worse on h2"


@pytest.mark.parametrize(("before", "after", "holds"), [(0.0, 0.0, True), (0.0, 1.0, False), (1.0, 0.0, True)])
def test_a_guard_metric_may_be_zero(before: float, after: float, holds: bool, new_study: NewStudy) -> None:
    class Counting(Hosts):
        def _run(self, pending: Any) -> Any:
            trial = super()._run(pending)
            trial.metrics["p99_ms"] = after if trial.requested else before
            return trial

    proof = proved(new_study(guard_metrics=[GUARD]), Counting(effect(1.0), noise=0.01))
    assert proof.improved is holds


def test_a_failing_candidate_is_not_an_improvement(new_study: NewStudy) -> None:
    failing = Hosts(lambda values, host: None if values and host == "h2" else 1.0 if values else 0.0, noise=0.01)
    proof = proved(new_study(), failing)
    assert not proof.improved
    assert "it broke" in proof.reason
    assert len(failing.trials) == 12, "and it is not tried any longer"


@pytest.mark.parametrize("good", [2, 4, 12])
def test_pairs_before_a_failure_remain_as_evidence(good: int, new_study: NewStudy) -> None:
    runs = count(1)

    def breaks(values: Mapping[str, object], host: str) -> float | None:
        if not values:
            return 0.0
        return 0.02 if next(runs) <= good else None

    proof = proved(new_study(), Hosts(breaks, noise=0.05))
    assert not proof.improved
    assert proof.reason.startswith("The candidate failed ")
    assert "it broke" in proof.reason
    assert len(proof.evidence) == good
    assert (proof.improvement is not None) is (good >= 4)


def test_other_hosts_replace_the_pairs_of_a_lost_host(new_study: NewStudy) -> None:
    hosts = Hosts(effect(0.04), noise=0.03, lost={"h2": 5})
    proof = proved(new_study(), hosts)
    assert proof.improved
    assert [pair.host for pair in proof.evidence].count("h2") == 2
    assert sum(trial.host == "h2" for trial in hosts.trials) == 6
    alone = proved(new_study(verification={"pairs": 4}), Hosts(effect(0.3), noise=0.01, lost={"h2": 0}))
    assert alone.improved
    assert [pair.host for pair in alone.evidence] == ["h1"] * 4


def test_without_hosts_there_is_no_estimate(new_study: NewStudy) -> None:
    proof = proved(new_study(), Hosts(effect(1.0), lost={"h1": 1, "h2": 1}))
    assert not proof.improved
    assert proof.reason == "Only 0 pairs succeeded, too few to judge by"
    assert proof.improvement is None


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from([-0.1, 0.0, 1e-13, 0.1]), min_size=3, max_size=3),
    st.sampled_from([0.0, 1e-9, 0.5, 5.0]),
    st.integers(4, 12),
    st.dictionaries(st.sampled_from(["h0", "h1", "h2"]), st.integers(0, 9)),
)
@pytest.mark.filterwarnings("ignore:Precision loss:RuntimeWarning")
def test_every_proof_is_finite(gains: list[float], noise: float, most: int, lost: dict[str, int]) -> None:
    """For any noise, and whenever hosts are lost."""
    study = Study.model_validate(
        {
            "workload_name": "small",
            "reward_metric": "throughput",
            "benchmark_command": "true",
            "action_space": [{"param": "vm.swappiness", "min": 0, "max": 100}],
            "verification": {"pairs": most},
        }
    )
    hosts = Hosts(effect(0.0, **{f"h{at}": gain for at, gain in enumerate(gains)}), noise=noise, lost=lost)
    proof = proved(study, hosts, ("h0", "h1", "h2"))
    if proof.improvement is None:
        assert "too few to judge by" in proof.reason
        return
    assert proof.interval is not None
    assert proof.bootstrap is not None
    assert proof.p_value is not None
    assert all(map(math.isfinite, (proof.improvement, *proof.interval, *proof.bootstrap, proof.p_value)))
    assert all(
        math.isfinite(number) for analysis in proof.interim_analyses for number in (analysis.z, *analysis.interval)
    )
