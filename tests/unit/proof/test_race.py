from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.evidence import Standing
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.race import race

from .simulated import Hosts

Values = dict[str, int | float | str]


def candidates_of(*values: int) -> list[Values]:
    return [{"vm.swappiness": value} for value in values]


def swappiness(values: Sequence[Values] | Standing) -> int:
    assert isinstance(values, Standing)
    return int(values.values["vm.swappiness"])


def raced(
    hosts: Hosts, *values: int, names: Sequence[str] = ("h1", "h2"), seed: int = 1
) -> tuple[int | None, list[Standing]]:
    winner, standings = race(candidates_of(*values), names, hosts.measure, seed=seed)
    return (int(winner["vm.swappiness"]) if winner else None), standings


def percentage(values: object, host: str) -> float:
    """The value itself is the improvement in per cent."""
    assert isinstance(values, dict)
    return math.log1p(values["vm.swappiness"] / 100)


def test_measures_every_candidate_again_on_every_host() -> None:
    hosts = Hosts(percentage, noise=0.01)
    winner, standings = raced(hosts, 10, 30, 20)
    assert winner == 30
    assert swappiness(standings[0]) == 30
    assert {trial.phase for trial in hosts.trials} == {"race"}
    first = [(trial.host, trial.requested["vm.swappiness"]) for trial in hosts.trials[:6]]
    assert Counter(first) == Counter((host, value) for host in ("h1", "h2") for value in (10, 20, 30))


def test_eliminates_only_candidates_that_are_far_behind() -> None:
    hosts = Hosts(percentage, noise=0.03)
    dummy, standings = raced(hosts, 0, 29, 30, names=("h1",))
    left = {swappiness(standing): standing.eliminated_after for standing in standings}
    runs = Counter(trial.requested["vm.swappiness"] for trial in hosts.trials)
    assert left[0] is not None
    assert runs[0] == left[0] < 6
    assert left[30] is None
    assert runs[30] == 6


def test_takes_longer_in_noise() -> None:
    quiet, loud = Hosts(percentage, noise=0.001), Hosts(percentage, noise=0.2)
    raced(quiet, 10, 20, 30, names=("h1",))
    raced(loud, 10, 20, 30, names=("h1",))
    assert len(quiet.trials) == 6
    assert len(loud.trials) > 12


def test_ranks_by_the_worst_host() -> None:
    def effect(values: object, host: str) -> float:
        assert isinstance(values, dict)
        return 0.25 if values["vm.swappiness"] == 1 and host == "h1" else 0.05 if values["vm.swappiness"] == 1 else 0.10

    winner, standings = raced(Hosts(effect, noise=0.005), 1, 2)
    assert winner == 2
    assert standings[0].worst_case == pytest.approx(100 * math.expm1(0.10), abs=1)
    assert standings[1].by_host["h1"] > standings[1].by_host["h2"]


def test_penalises_unstable_candidates() -> None:
    def effect(values: object, host: str) -> float:
        assert isinstance(values, dict)
        return (0.9 if host == "h1" else 0.2) if values["vm.swappiness"] == 1 else 0.1

    winner, standings = raced(Hosts(effect, noise=0.005), 1, 2)
    assert winner == 2
    assert [(swappiness(standing), standing.unstable) for standing in standings] == [(2, False), (1, True)]
    assert standings[1].worst_case == pytest.approx(-50)


def test_noise_alone_is_seldom_called_unstable() -> None:
    standings = [s for seed in range(20) for s in raced(Hosts(percentage, noise=0.3, seed=seed), 10, 12, seed=seed)[1]]
    assert sum(standing.unstable for standing in standings) <= 8  # of 40, one in ten by luck


def test_a_candidate_that_fails_loses_the_race() -> None:
    def effect(values: object, host: str) -> float | None:
        assert isinstance(values, dict)
        return None if values["vm.swappiness"] == 30 and host == "h2" else percentage(values, host)

    hosts = Hosts(effect)
    winner, standings = raced(hosts, 10, 30)
    assert winner == 10
    assert standings[-1].failed
    assert len(hosts.trials) == 4, "one that failed is not tried again"
    assert raced(Hosts(lambda values, host: None), 10, 30)[0] is None


def test_a_single_candidate_wins_without_racing() -> None:
    hosts = Hosts(percentage)
    assert raced(hosts, 10) == (10, [])
    assert hosts.trials == []


def test_continues_without_a_lost_host() -> None:
    winner, standings = raced(Hosts(percentage, noise=0.01, lost={"h2": 1}), 10, 30, 20)
    assert winner == 30
    assert not any(standing.failed for standing in standings)


def test_a_host_that_is_lost_speaks_against_none_of_those_that_it_was_measured_on() -> None:
    def effect(values: object, host: str) -> float:
        assert isinstance(values, dict)
        return -0.5 if host == "h2" else math.log1p(values["vm.swappiness"] / 100)

    for seed in range(6):
        assert raced(Hosts(effect, noise=0.005, lost={"h2": 1}), 35, 5, 4, seed=seed)[0] == 35


def test_is_reproducible_from_the_measurements() -> None:
    one, other = (Hosts(percentage, noise=0.05) for dummy in range(2))
    assert raced(one, 10, 11, 12) == raced(other, 10, 11, 12)
    assert one.trials == other.trials


def test_the_best_candidate_usually_wins() -> None:
    """5 % ahead in 3 % noise; one trial of each would choose it in 3 of 4 races."""
    won = [raced(Hosts(percentage, noise=0.03, seed=seed), 5, 10, names=("h1",), seed=seed)[0] for seed in range(60)]
    assert won.count(10) >= 53


def test_of_candidates_that_tie_the_one_with_the_fewest_changes_wins() -> None:
    own = {host: {"vm.swappiness": "60", "vm.page-cluster": "3"} for host in ("h1", "h2")}
    full: Values = {"vm.swappiness": 10, "vm.page-cluster": 0}

    def useless_cluster(values: object, host: str) -> float:
        assert isinstance(values, dict)
        return 0.3 if str(values["vm.swappiness"]) == "10" else 0.0

    simple = [{"vm.swappiness": 10}, full, {"vm.page-cluster": 0}]
    found = []
    for seed in range(10):
        hosts = Hosts(useless_cluster, noise=0.02, seed=seed)
        winner, standings = race(simple, ("h1", "h2"), hosts.measure, seed=seed, originals=own)
        assert standings[0].values == winner
        assert all(set(trial.requested) == set(full) for trial in hosts.trials), "the rest are the hosts' own values"
        found.append(winner)
    assert {"vm.page-cluster": 0} not in found, "a tie is between candidates that noise cannot tell apart"
    assert found.count({"vm.swappiness": 10}) >= 7
