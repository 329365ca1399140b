from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.drift import Drift
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.outliers import (
    Watcher,
    noisier,
    offsets,
    penalised,
    unstable,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Score, State, Trial
from hypothesis import given
from hypothesis import strategies as st

NOISE = 0.03


def measured(value: int, performance: float | None, host: str = "h1", noise: float = NOISE) -> Trial:
    score = Score(performance, None, -2.0 if performance is None else performance, noise=noise)
    state = State.FAILED if performance is None else State.COMPLETE
    return Trial(Phase.TRAIN, {"vm.swappiness": value}, host=host, state=state, score=score)


def training(hosts: Mapping[str, float], count: int, seed: int, *, repeated: bool = False) -> list[Trial]:
    """Candidates of all kinds, each host being so far off; repeated: every host measures every candidate."""
    generator = np.random.default_rng(seed)
    found = []
    for value in range(count):
        worth = generator.normal(0, 0.3)
        for at, (host, offset) in enumerate(hosts.items()):
            if repeated or at == value % len(hosts):
                found.append(measured(value, worth + offset + generator.normal(0, NOISE), host))
    return found


def baseline(noise: float, count: int, seed: int) -> Drift:
    drift = Drift()
    for at, figure in enumerate(np.random.default_rng(seed).normal(5, noise, count)):
        drift.add(at, figure)
    return drift


def off(evaluations: list[Trial]) -> list[str]:
    return [host for host, offset in offsets(evaluations).items() if offset.sure]


def test_hosts_that_are_alike_are_seldom_called_off() -> None:
    alike = dict.fromkeys(["h1", "h2", "h3"], 0.0)
    called = [host for seed in range(60) for host in off(training(alike, 40, seed, repeated=seed % 2 == 0))]
    assert len(called) <= 3


def test_a_host_on_which_the_same_candidates_do_worse_is_off() -> None:
    found = training({"h1": 0.0, "h2": 0.0, "h3": -0.15}, 10, seed=1, repeated=True)
    assert "h3" in off(found)
    assert offsets(found)["h3"].mean == pytest.approx(-0.15, abs=0.05)


def test_it_takes_more_to_see_that_when_every_candidate_is_another() -> None:
    slightly, hugely = (training({"h1": 0.0, "h2": 0.0, "h3": by}, 60, seed=1) for by in (-0.15, -0.7))
    assert off(slightly) == []
    assert "h3" in off(hugely)


def test_of_a_host_with_few_evaluations_nothing_is_said() -> None:
    assert offsets(training({"h1": 0.0, "h2": 0.5}, 8, seed=1)) == {}


def test_a_host_that_is_much_noisier_is_found_once_it_is_sure() -> None:
    quiet = {f"h{at}": baseline(0.02, 8, seed=at) for at in range(3)}
    assert noisier(quiet) == {}
    assert list(noisier({**quiet, "loud": baseline(0.1, 8, seed=9)})) == ["loud"]
    assert noisier({**quiet, "loud": baseline(0.1, 2, seed=9)}) == {}
    assert noisier({"alone": baseline(0.1, 8, seed=9)}) == {}


def test_every_host_is_told_of_once_and_doubted_for_good() -> None:
    found = training({"h1": 0.0, "h2": 0.0, "h3": -0.3}, 20, seed=1, repeated=True)
    watcher = Watcher()
    (news, doubts), (later, still) = watcher.look(found, {}), watcher.look(found, {})
    ((host, text),) = news
    assert host == "h3"
    assert text.startswith("candidates do 2")
    assert text.endswith("% worse on it than on the other hosts; its results weigh less")
    assert later == []
    assert doubts == still == {"h3": pytest.approx(0.3, abs=0.05)}
    assert list(watcher.odd) == ["h3"]


def test_of_two_hosts_that_differ_neither_is_the_odd_one() -> None:
    news, doubts = Watcher().look(training({"h1": 0.0, "h2": 0.3}, 20, seed=1, repeated=True), {})
    assert [host for host, dummy in news] == ["h1"]
    assert doubts == {}


@pytest.mark.parametrize(
    ("performances", "expected"),
    [
        ([0.4], False),
        ([0.4, None], False),
        ([0.4, 0.42], False),
        ([0.4, 0.5], False),
        ([0.4, 0.1], True),
        ([0.4, 0.41, 0.39, -0.1], True),
    ],
)
def test_a_candidate_is_unstable_beyond_what_noise_explains(performances: list[float | None], expected: bool) -> None:
    assert unstable([measured(1, performance) for performance in performances], {}) is expected


def test_what_noise_explains_depends_on_the_host() -> None:
    assert not unstable([measured(1, 0.4, noise=0.15), measured(1, 0.1, noise=0.15)], {})
    assert not unstable([measured(1, 0.4), measured(1, 0.1, "off")], {"off": 0.3})


def test_repeats_of_stable_candidates_are_seldom_called_unstable() -> None:
    generator = np.random.default_rng(1)
    called = sum(
        unstable([measured(1, found) for found in generator.normal(0, NOISE, count)], {})
        for count in (2, 3, 5)
        for dummy in range(300)
    )
    assert called <= 6


def test_an_unstable_candidate_counts_as_its_worst_and_no_other_does() -> None:
    found = penalised([measured(1, 0.4), measured(2, 0.3), measured(1, 0.0), measured(2, 0.31), measured(1, None)], {})
    assert [evaluation.score.performance for evaluation in found] == [0.0, 0.3, 0.0, 0.31, None]
    assert [evaluation.score.reward for evaluation in found] == [0.0, 0.3, 0.0, 0.31, -2.0]


@given(
    st.lists(st.tuples(st.integers(0, 4), st.floats(-2, 2), st.floats(0.001, 0.5)), max_size=20),
    st.randoms(use_true_random=False),
)
def test_a_penalty_only_takes_away_and_does_not_depend_on_the_order(
    drawn: list[tuple[int, float, float]], random: Callable[..., None]
) -> None:
    evaluations = [measured(value, performance, noise=noise) for value, performance, noise in drawn]
    found = penalised(evaluations, {})
    for before, after in zip(evaluations, found, strict=True):
        assert (after.score.performance or 0.0) <= (before.score.performance or 0.0)
        assert after.score.reward <= before.score.reward
    shuffled = list(range(len(drawn)))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = penalised([evaluations[at] for at in shuffled], {})
    assert [again[shuffled.index(at)].score.performance for at in range(len(drawn))] == [
        evaluation.score.performance for evaluation in found
    ]
    assert all(math.isfinite(evaluation.score.reward) for evaluation in found)
