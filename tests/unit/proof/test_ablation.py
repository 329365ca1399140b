from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof import ablation
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.ablation import ablate
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.coupled import units
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.evidence import Ablation
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.screening import Screening
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.sequential_test import prove
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.constraints import parse_constraint
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.reward import objective
from hypothesis import given, settings
from hypothesis import strategies as st

from .simulated import Effect, Hosts

HOSTS = ("h1", "h2")


def kept_by(ablation: Ablation) -> set[str]:
    return set(ablation.parameters("kept"))


def names(count: int) -> list[str]:
    return [f"net.core.p{at}" for at in range(count)]


def study_of(count: int, **fields: Any) -> Study:
    space = [{"param": name, "min": 0, "max": 9} for name in names(count)]
    content = {"workload_name": "small", "reward_metric": "throughput", "benchmark_command": "true"}
    return Study.model_validate({**content, "action_space": space, **fields})


def additive(gains: Mapping[int, float]) -> Effect:
    """The sum of the gains of those parameters that have the winner's value, 9."""
    return lambda values, host: sum(gain for at, gain in gains.items() if values.get(names(at + 1)[at], 0) == 9)


def ablated(
    effect: Effect,
    count: int = 8,
    *,
    noise: float = 0.01,
    seed: int = 2,
    own: Mapping[str, int] | None = None,
    leftover: float = 0.0,
    notify: Callable[[str], object] = lambda text: None,
    **fields: Any,
) -> tuple[Ablation, Hosts]:
    study = study_of(count, **fields)
    winner: dict[str, Any] = dict.fromkeys(names(count), 9)
    stock = {host: {name: str((own or {}).get(name, 0)) for name in names(count)} for host in HOSTS}
    hosts = Hosts(effect, noise=noise, seed=seed, leftover=leftover)
    proof = prove(winner, HOSTS, hosts.measure, study, seed=seed)
    assert proof.improved, proof.reason
    hosts.trials.clear()
    return ablate(winner, proof, HOSTS, stock, hosts.measure, study, seed=seed, notify=notify), hosts


@pytest.mark.takes_seconds
def test_keeps_contributing_values_and_drops_the_rest() -> None:
    found, hosts = ablated(additive({2: 0.3, 5: 0.2}))
    assert kept_by(found) == {"net.core.p2", "net.core.p5"}
    assert found.reason == "2 of 8 changes are sufficient"
    assert found.proof is found.fewer_values
    assert found.proof.improved
    fates = {each.param: each.decision for each in found.contributions}
    assert [fates[name] for name in names(8)] == ["dropped" if at not in (2, 5) else "kept" for at in range(8)]
    assert {trial.phase for trial in hosts.trials} == {"ablate"}


def test_pauses_because_of_carry_over_are_told_of() -> None:
    told: list[str] = []
    found, hosts = ablated(additive({2: 0.3, 5: 0.2}), leftover=0.05, notify=told.append)
    assert kept_by(found) == {"net.core.p2", "net.core.p5"}
    (text,) = told
    assert text.endswith("; the proof begins anew, with a pause of 10 s before each run")
    assert {trial.pause for trial in hosts.trials} == {0.0, 10.0}


@pytest.mark.takes_seconds
def test_intervals_of_contributions_cover_the_truth() -> None:
    """Of the 95 % intervals of 8 parameters in 20 ablations, about 152 of 160 should cover."""
    gains = {2: 0.3, 5: 0.2}
    held = 0
    for seed in range(20):
        found, dummy = ablated(additive(gains), seed=seed)
        for at, each in enumerate(sorted(found.contributions, key=lambda each: each.param)):
            assert each.interval is not None
            held += each.interval[0] <= 100 * math.expm1(gains.get(at, 0.0)) <= each.interval[1]
    assert 142 <= held <= 160


def test_screening_takes_two_trials_per_parameter() -> None:
    dummy, hosts = ablated(additive({2: 0.3, 5: 0.2}), noise=0.005)
    screened = [trial for trial in hosts.trials if (trial.pair or 99) <= 8]
    assert len(screened) == 16, "two for each of eight parameters"
    assert len(hosts.trials) < 64, "four pairs of each against all the others would take as many before the proof"


def test_unchanged_values_are_removed_without_an_trial() -> None:
    found, hosts = ablated(additive({0: 0.3, 1: 0.2}), 3, own={"net.core.p2": 9})
    assert kept_by(found) == {"net.core.p0", "net.core.p1"}
    assert [(each.decision, each.contribution) for each in found.contributions if each.param == "net.core.p2"] == [
        ("unchanged", None)
    ]
    assert all(trial.original or trial.requested["net.core.p2"] in (9, "9") for trial in hosts.trials)


def test_a_single_change_is_not_ablated() -> None:
    found, hosts = ablated(additive({0: 0.3}), 3, own={"net.core.p1": 9, "net.core.p2": 9})
    assert kept_by(found) == {"net.core.p0"}
    assert found.fewer_values is None
    assert hosts.trials == []
    (kept,) = [each for each in found.contributions if each.decision == "kept"]
    assert kept.contribution == found.proof.improvement


def test_keeps_both_parameters_of_an_interaction() -> None:
    found, dummy = ablated(
        lambda values, host: 0.4 if values.get("net.core.p1") == values.get("net.core.p3") == 9 else 0.0
    )
    assert kept_by(found) == {"net.core.p1", "net.core.p3"}


@pytest.mark.takes_seconds
@pytest.mark.parametrize("seed", range(3))
def test_a_part_that_loses_much_of_the_gain_is_not_enough(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """A gain of 10 % is proved as well as one of 40 %, but nobody would sign for it."""
    monkeypatch.setattr(ablation.Screening, "run", run_of(ablation.Screening.run, [("net.core.p0",)]))
    found, dummy = ablated(additive({0: 0.1, 2: 0.3}), seed=seed)
    assert {"net.core.p0", "net.core.p2"} <= kept_by(found)
    assert found.proof.improvement == pytest.approx(100 * math.expm1(0.4), abs=3)


def test_what_a_guard_benchmark_took_out_is_said_to_be_harmful() -> None:
    found, dummy = ablated(additive({2: 0.3, 5: 0.2}))
    left = ablation.without(found, {"net.core.p5"})
    assert kept_by(left) == {"net.core.p2"}
    assert left.parameters("harmful") == ("net.core.p5",)
    assert left.parameters("dropped") == found.parameters("dropped")


def test_the_most_promising_values_come_back_if_the_rest_is_not_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation.Screening, "run", run_of(ablation.Screening.run, [("net.core.p0",)]))
    found, dummy = ablated(additive({2: 0.3, 5: 0.2}))
    assert {"net.core.p2"} <= kept_by(found) < set(names(8))
    assert found.proof is found.fewer_values
    assert found.proof.improved
    basis = {each.param: each.basis for each in found.contributions}
    assert basis["net.core.p2"] == "not shown", "by the screening that this test has replaced"
    assert "Not shown to contribute by themselves: net.core.p2" in found.reason


def test_keeps_all_values_unless_a_smaller_set_is_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only all eight together contribute, so that no value can be left out."""
    found, dummy = ablated(lambda values, host: 0.3 if all(values.get(name) == 9 for name in names(8)) else 0.0)
    assert len(kept_by(found)) == 8
    assert found.proof is found.all_values is not found.fewer_values
    assert found.reason.startswith("Ablation inconclusive: no smaller set was proved")
    assert {each.decision for each in found.contributions} == {"kept"}
    assert {each.basis for each in found.contributions} == {"not shown"}


def run_of(screen: Callable[..., Any], kept: list[tuple[str, ...]]) -> Callable[..., Any]:
    def run(*arguments: Any) -> list[tuple[str, ...]]:
        screen(*arguments)
        return kept

    return run


def test_keeps_small_contributions_that_can_be_shown_beside_a_large_one() -> None:
    small = {0: 0.03, 1: 0.03, 3: 0.02}
    lost = []
    for seed in range(12):
        found, dummy = ablated(additive({2: 0.7, **small}), noise=0.01, seed=seed)
        lost.append(sum(gain for at, gain in small.items() if names(8)[at] not in kept_by(found)))
    assert sum(lost) / len(lost) < 0.02


@pytest.mark.slow
def test_values_that_do_nothing_seldom_stay() -> None:
    kept = [
        len(kept_by(ablated(additive({2: 0.3, 5: 0.2}), noise=0.1, seed=seed)[0]) - {names(8)[2], names(8)[5]})
        for seed in range(20)
    ]
    assert sum(kept) <= 0.1 * 20 * 6


def test_no_value_is_ablated_if_all_are_to_be_kept() -> None:
    found, hosts = ablated(additive({2: 0.3}), verification={"keep": "all"})
    assert kept_by(found) == set(names(8))
    assert found.proof is found.all_values
    assert hosts.trials == []


@pytest.mark.parametrize("pairs", [12, 16, 40])
@pytest.mark.parametrize("useful", [0, 4, 8])
def test_of_three_values_that_move_together_the_useful_one_stays(pairs: int, useful: int) -> None:
    """Of eleven parameters three are in one group at first, at the smaller budget; the one that matters stays."""
    found, dummy = ablated(additive({useful: 0.1}), 11, noise=0.01, seed=useful, verification={"pairs": pairs})
    assert kept_by(found) == {names(11)[useful]}
    (kept,) = [each for each in found.contributions if each.decision == "kept"]
    assert kept.basis == "alone"
    assert kept.contribution == pytest.approx(100 * math.expm1(0.1), abs=3)


def test_values_that_never_moved_apart_have_no_figures_of_their_own() -> None:
    """A host that is lost leaves two values of a group that contributes unseparated."""
    study = study_of(16, verification={"pairs": 12})
    winner: dict[str, Any] = dict.fromkeys(names(16), 9)
    stock = {host: dict.fromkeys(names(16), "0") for host in HOSTS}
    hosts = Hosts(additive({0: 0.3, 1: 0.2}), noise=0.01)
    screening = Screening(
        lambda host, kept: {**stock[host], **{param: winner[param] for param in kept}},
        lambda trial: objective(study, trial),
        noise=(0.0002, 10),
        min_contribution=0.01,
        seed=1,
    )
    hosts._lost = {"h1": 4, "h2": 4}
    changed = [(name,) for name in names(16)]
    assert screening.run(changed, HOSTS, hosts.measure, 8) == []
    together = screening.moved_with((names(16)[0],))
    assert len(together) == 4
    assert not math.isfinite(screening.estimate([names(16)[0]]).error)
    assert screening.estimate(together).mean == pytest.approx(0.3, abs=0.05)
    assert [len(group) for group in screening.unseparated] == [4, 4]


def test_a_group_that_contributes_but_was_not_split_is_shown_jointly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation.Screening, "_measure", measured_in_a_pair(ablation.Screening._measure))
    found, dummy = ablated(additive({0: 0.3, 4: 0.2}), 4)
    basis = {each.param: (each.basis, each.confounded_with) for each in found.contributions}
    assert basis["net.core.p0"] == ("jointly", ("net.core.p1",))
    assert "Not separated: net.core.p0, net.core.p1" in found.reason


def measured_in_a_pair(measure: Callable[..., None]) -> Callable[..., None]:
    """The first two units are never on different sides."""

    def together(self: Any, groups: Any, *arguments: Any) -> None:
        units = [unit for group in groups for unit in group]
        measure(self, [tuple(units[:2]), *((unit,) for unit in units[2:])], *arguments)

    return together


def test_screens_many_parameters_in_groups() -> None:
    found, hosts = ablated(additive({3: 0.3, 17: 0.3}), 40, noise=0.005)
    assert {"net.core.p3", "net.core.p17"} <= kept_by(found)
    assert len(kept_by(found)) <= 12
    assert len(hosts.trials) <= study_of(40).trials_by_phase(2)["ablate"] <= 5 * 40


@pytest.mark.takes_seconds
def test_stays_within_the_budget() -> None:
    """Takes at most the trials that the study announces."""
    for seed in range(10):
        study = study_of(8)
        dummy, hosts = ablated(additive({2: 0.05, 5: 0.03}), noise=0.01, seed=seed)
        assert len(hosts.trials) <= study.trials_by_phase(2)["ablate"]


def test_dropped_parameters_have_the_original_values_of_each_host() -> None:
    found, hosts = ablated(additive({0: 0.3}), 4, own={"net.core.p1": 7})
    assert all(trial.original or set(trial.requested) == set(names(4)) for trial in hosts.trials)
    assert {trial.requested["net.core.p1"] for trial in hosts.trials if trial.requested} == {9, "7"}
    assert kept_by(found) == {"net.core.p0"}


def test_continues_without_a_lost_host() -> None:
    study = study_of(4)
    winner: dict[str, Any] = dict.fromkeys(names(4), 9)
    stock = {host: dict.fromkeys(names(4), "0") for host in HOSTS}
    hosts = Hosts(additive({0: 0.3}), noise=0.01)
    proof = prove(winner, HOSTS, hosts.measure, study, seed=1)
    hosts._lost = {"h2": hosts._times["h2"] + 1}
    found = ablate(winner, proof, HOSTS, stock, hosts.measure, study, seed=1)
    assert proof.improved
    assert found.proof.improved
    assert "net.core.p0" in kept_by(found)


def test_is_reproducible_from_the_measurements() -> None:
    one, other = (ablated(additive({2: 0.1, 5: 0.05})) for dummy in range(2))
    assert one[1].trials == other[1].trials
    assert one[0] == other[0]


@pytest.mark.parametrize(
    ("candidate", "own", "constraint", "together"),
    [
        pytest.param({"a.x": 5, "a.y": 9}, {"a.x": "1", "a.y": "6"}, "a.x <= a.y", False, id="either may go"),
        pytest.param({"a.x": 5, "a.y": 9}, {"a.x": "1", "a.y": "4"}, "a.x <= a.y", True, id="y may not go alone"),
        pytest.param({"a.x": 5, "a.y": "1 2 9"}, {"a.x": "7", "a.y": "1 2 8"}, "a.x <= a.y[2]", False, id="vector"),
        pytest.param({"a.x": 5, "a.y": "1 2 9"}, {"a.x": "10", "a.y": "1 2 20"}, "a.x <= a.y[2]", True, id="x may not"),
        pytest.param({"a.x": 5}, {"a.x": "1"}, "a.x <= 10", False, id="one parameter"),
    ],
)
def test_parameters_that_a_constraint_ties_share_a_unit(
    candidate: dict[str, Any], own: dict[str, str], constraint: str, together: bool
) -> None:
    found = units(candidate, {"h1": own}, [parse_constraint(constraint)])
    assert (len(found) < len(candidate)) is together


def test_parameters_that_the_kernel_couples_share_a_unit() -> None:
    candidate = {"vm.dirty_background_ratio": 10, "vm.swappiness": 1, "vm.dirty_ratio": 20}
    own = {"h1": dict.fromkeys(candidate, "30")}
    assert sorted(map(sorted, units(candidate, own, []))) == [
        ["vm.dirty_background_ratio", "vm.dirty_ratio"],
        ["vm.swappiness"],
    ]


@pytest.mark.takes_seconds
@settings(max_examples=15, deadline=None)
@given(
    st.dictionaries(st.integers(0, 5), st.sampled_from([0.02, 0.1, 0.5]), min_size=1),
    st.sampled_from([0.0, 0.01, 0.05]),
    st.integers(0, 1000),
)
@pytest.mark.filterwarnings("ignore:Precision loss:RuntimeWarning")
def test_the_reduced_set_is_always_proved_and_part_of_the_winner(
    gains: dict[int, float], noise: float, seed: int
) -> None:
    study = study_of(6)
    winner: dict[str, Any] = dict.fromkeys(names(6), 9)
    hosts = Hosts(additive(gains), noise=noise, seed=seed)
    proof = prove(winner, HOSTS, hosts.measure, study, seed=seed)
    if not proof.improved:
        return
    stock = {host: dict.fromkeys(names(6), "0") for host in HOSTS}
    found = ablate(winner, proof, HOSTS, stock, hosts.measure, study, seed=seed)
    assert found.proof.improved
    assert kept_by(found) <= set(winner)
    assert kept_by(found)
