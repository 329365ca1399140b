"""What a run makes of the end of its phases; the phases themselves have tests of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.fleet import Ended
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.evidence import (
    Ablation,
    GuardBenchmarkOutcome,
    Proof,
    Recovery,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.harm import Guarded
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer import run
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.conclusion import NO_PROOF, Conclusion

WINNER = {"vm.swappiness": 10, "vm.page-cluster": 0}
FORECAST = ("the noise is 2 %", "8 pairs find a gain of 3 % or more", "smaller ones will mostly be missed")
FULL, LESS = (Proof(improved=True, reason=f"Better in {pairs} of {pairs} pairs") for pairs in (8, 4))


@pytest.fixture
def conclude(new_study: Callable[..., Study], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Conclusion]:
    """Run the phases with what they come to; an exception is raised instead."""

    def conclude_with(
        proof: Proof,
        ablation: Ablation | Ended | None = None,
        guarded: Guarded | Ended | None = None,
        second: str = "vm.page-cluster",
        won: Mapping[str, int] | None = None,
        notices: tuple[str, ...] = (),
        *,
        narrowed: Proof | None = None,
        recovery: Mapping[str, Recovery] | None = None,
        told_at_the_end: tuple[str, ...] = (),
        **fields: Any,
    ) -> Conclusion:
        def verify(*dummy: Any, precise: bool, **keywords: Any) -> Proof:
            return narrowed if precise and narrowed else proof

        def without_harm(*dummy: Any, **keywords: Any) -> Guarded:
            assert guarded is not None, "there was nothing to guard"
            if isinstance(guarded, Ended):
                raise guarded
            return guarded

        def ablate(*dummy: Any, **keywords: Any) -> Ablation:
            assert ablation is not None, "there was nothing to ablate"
            if isinstance(ablation, Ended):
                raise ablation
            return ablation

        host = SimpleNamespace(original_values={"vm.swappiness": "60", second: "3"})
        fleet: Any = SimpleNamespace(
            wait_for_baselines=lambda: {"h1": host},
            wait_for_hosts=lambda: {"h1": host},
            paused=nullcontext,
            measure=lambda jobs: [],
        )
        entered: list[str] = []
        told: list[tuple[str, ...]] = []
        history: Any = SimpleNamespace(
            enter=entered.append,
            forecast_power=lambda: FORECAST,
            check_hosts=lambda: None,
            in_hindsight=list,
            baselines_in_hindsight=list,
            hosts={"h1": host},
            trials=[],
        )
        replay: Any = SimpleNamespace(hosts_in=lambda phase: set())
        others: Any = None
        monkeypatch.setattr(run, "train", lambda *dummy: None)
        winner = WINNER if won is None else won
        monkeypatch.setattr(run, "contenders", lambda *dummy: [winner])
        monkeypatch.setattr(run, "race", lambda *dummy, **keywords: (winner, []))
        monkeypatch.setattr(run, "verify", verify)
        monkeypatch.setattr(run, "measure_recovery", lambda *dummy: recovery or {})
        monkeypatch.setattr(run, "ablate", ablate)
        monkeypatch.setattr(run, "without_harm", without_harm)
        space = [{"param": "vm.swappiness", "min": 0, "max": 100}, {"param": second, "min": 0, "max": 4}]
        study = new_study(action_space=space, **fields)
        conclusion = run.run_study(study, fleet, history, replay, others, lambda *texts: told.append(texts), 1)
        assert entered[:3] == ["baseline", "train", "race"]
        verify = ["verify"] if won is None or conclusion.proof is not NO_PROOF else []
        assert told == [(*notices, *FORECAST), *((text,) for text in told_at_the_end)]
        guard = ["guard"] if guarded else []
        end = ["recovery"] if conclusion.is_complete else []
        assert entered[3:] == [*verify, *(["ablate"] if ablation else []), *guard, *end]
        return conclusion

    return conclude_with


def test_the_kept_values_are_the_result_with_their_own_proof(conclude: Callable[..., Conclusion]) -> None:
    minimal: Mapping[str, Any] = {"vm.swappiness": 10}
    decisions = [("vm.swappiness", "kept"), ("vm.page-cluster", "dropped")]
    ablation = Ablation.model_validate(
        {
            "reason": "1 of 2 changes is sufficient",
            "contributions": [{"param": param, "decision": decision} for param, decision in decisions],
            "all_values": FULL,
            "fewer_values": LESS,
        }
    )
    found = conclude(FULL, ablation)
    assert (found.verdict, found.learned_values, found.proof) == ("improved", minimal, LESS)
    assert found.reason == "Better in 4 of 4 pairs. 1 of 2 changes is sufficient"


GUARDS = {"guard_benchmarks": [{"name": "receive", "benchmark_command": "true", "metric": "mbit", "may_worsen": 3}]}
ABLATION = Ablation.model_validate(
    {"reason": "", "contributions": [{"param": param, "decision": "kept"} for param in WINNER], "all_values": FULL}
)


def outcome_of(*, holds: bool, dropped: tuple[str, ...] = ()) -> GuardBenchmarkOutcome:
    fields = {"name": "receive", "metric": "mbit", "direction": "maximise", "may_worsen": 3, "reason": "so it is"}
    return GuardBenchmarkOutcome.model_validate(
        {**fields, "holds": holds, "dropped": dropped, "change": 0.0, "interval": None}
    )


def test_what_the_guard_benchmarks_left_is_the_result_with_its_own_proof(conclude: Callable[..., Conclusion]) -> None:
    rest = {"vm.swappiness": 10}
    outcomes = (outcome_of(holds=True, dropped=("vm.page-cluster",)),)
    found = conclude(FULL, ABLATION, Guarded(rest, None, outcomes, (), LESS), **GUARDS)
    assert (found.verdict, found.learned_values, found.proof) == ("improved", rest, LESS)
    assert found.reason == "Better in 8 of 8 pairs. Removed: vm.page-cluster, which worsens receive"


def test_a_guard_benchmark_refuses_what_was_proved(
    conclude: Callable[..., Conclusion], new_study: Callable[..., Study]
) -> None:
    refusal = "guard benchmark receive is more than 3 % worse"
    found = conclude(FULL, ABLATION, Guarded(WINNER, refusal, (outcome_of(holds=False),), ()), **GUARDS)
    assert (found.verdict, found.reason) == ("no_improvement", f"Better in 8 of 8 pairs, but {refusal}")
    assert not found.is_proved(new_study(**GUARDS))


@pytest.mark.parametrize(("stopped", "verdict"), [(True, "stopped"), (False, "failed")])
def test_no_role_is_written_before_the_guard_benchmarks_are_measured(
    stopped: bool, verdict: str, conclude: Callable[..., Conclusion], new_study: Callable[..., Study]
) -> None:
    found = conclude(FULL, ABLATION, Ended("h1: lost", stopped=stopped), **GUARDS)
    assert (found.verdict, found.is_proved(new_study(**GUARDS))) == (verdict, False)
    assert found.reason == "Better in 8 of 8 pairs. The guard benchmarks were not completed: h1: lost"
    early = conclude(FULL, Ended("h1: lost", stopped=stopped), **GUARDS)
    assert (early.verdict, early.is_proved(new_study(**GUARDS))) == (verdict, False)


def test_the_interval_of_all_values_is_narrowed_if_no_smaller_set_replaces_them(
    conclude: Callable[..., Conclusion],
) -> None:
    narrow = Proof(improved=True, reason="Better in 30 of 30 pairs")
    contrast = {"host": "h1", "pair": 1, "first": ["vm.swappiness"], "second": [], "log_ratio": 0.1}
    every = "Every changed value contributes"
    ablation = ABLATION.model_copy(update={"contrasts": (contrast,), "reason": every})
    found = conclude(FULL, ablation, narrowed=narrow)
    assert (found.verdict, found.reason, found.proof) == ("improved", f"Better in 30 of 30 pairs. {every}", narrow)


def test_an_improvement_that_more_pairs_withdraw_is_none(conclude: Callable[..., Conclusion]) -> None:
    harmful = Proof(improved=False, reason="The candidate is significantly worse on h1")
    found = conclude(FULL, ABLATION, narrowed=harmful)
    assert (found.verdict, found.reason) == ("no_improvement", "The candidate is significantly worse on h1")


def test_a_host_without_its_performance_is_told_of(conclude: Callable[..., Conclusion]) -> None:
    recovery = {"h1": Recovery(recovered=False, change=-12.0, interval=(-15.0, -9.0)), "h2": Recovery(recovered=True)}
    text = (
        "NEEDS ATTENTION: h1 has its original values back, but not its performance: -12.0 % since the beginning of the "
        "run. Either a candidate left something behind, or the host has changed: reset its workload, or reboot it, "
        "before relying on it"
    )
    found = conclude(Proof(improved=False, reason="it is noise"), recovery=recovery, told_at_the_end=(text,))
    assert found.recovery == recovery


def test_there_is_no_ablation_without_a_proof(conclude: Callable[..., Conclusion]) -> None:
    found = conclude(Proof(improved=False, reason="it is noise"))
    assert (found.verdict, found.reason, found.learned_values) == ("no_improvement", "it is noise", WINNER)


def test_a_study_stopped_in_the_ablation_reports_the_proof(conclude: Callable[..., Conclusion]) -> None:
    found = conclude(FULL, Ended("stopped by SIGINT", stopped=True))
    assert found.verdict == "stopped"
    assert found.reason == "stopped by SIGINT; the winner as a whole had been proved"
    assert found.proof is FULL


def test_a_study_that_loses_all_hosts_in_the_ablation_can_be_resumed(conclude: Callable[..., Conclusion]) -> None:
    """Its values were proved together, and not one of them by itself."""
    found = conclude(FULL, Ended("h1: lost", stopped=False))
    assert (found.verdict, found.proof) == ("failed", FULL)
    assert found.reason == "h1: lost; the winner as a whole had been proved"


def test_a_study_that_tries_what_the_documentation_warns_of_is_told_before_training(
    conclude: Callable[..., Conclusion],
) -> None:
    notice = (
        "vm.laptop_mode: the study tries values above the original one (3), at a risk: written data stays in memory "
        "for minutes, and is lost with the power (https://docs.kernel.org/admin-guide/laptops/laptop-mode.html)"
    )
    conclude(
        Proof(improved=False, reason="it is noise"),
        second="vm.laptop_mode",
        won={"vm.laptop_mode": 4},
        notices=(notice,),
    )


def test_a_winner_that_changes_nothing_is_not_proved(conclude: Callable[..., Conclusion]) -> None:
    found = conclude(FULL, won={"vm.swappiness": 60, "vm.page-cluster": 3})
    assert (found.verdict, found.reason) == ("no_improvement", "the best candidate changes nothing on any host")
    assert found.proof is NO_PROOF
