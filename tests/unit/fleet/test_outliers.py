from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.drift import Drift
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.outliers import (
    OutlierDetector,
    is_unstable,
    noisy_hosts,
    offsets,
    penalised,
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
    """Trials of random candidates. hosts: the offset of each. repeated: each host runs every candidate."""
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
    for at, objective in enumerate(np.random.default_rng(seed).normal(5, noise, count)):
        drift.add(at, objective)
    return drift


def outlying(trials: list[Trial]) -> list[str]:
    return [host for host, offset in offsets(trials).items() if offset.significant]


@pytest.mark.takes_seconds
def test_equal_hosts_are_rarely_reported() -> None:
    equal = dict.fromkeys(["h1", "h2", "h3"], 0.0)
    reported = [host for seed in range(60) for host in outlying(training(equal, 40, seed, repeated=seed % 2 == 0))]
    assert len(reported) <= 3


def test_a_host_on_which_the_same_candidates_do_worse_is_an_outlier() -> None:
    found = training({"h1": 0.0, "h2": 0.0, "h3": -0.15}, 10, seed=1, repeated=True)
    assert "h3" in outlying(found)
    assert offsets(found)["h3"].mean == pytest.approx(-0.15, abs=0.05)


def test_different_candidates_on_each_host_show_only_large_offsets() -> None:
    slightly, hugely = (training({"h1": 0.0, "h2": 0.0, "h3": by}, 60, seed=1) for by in (-0.15, -0.7))
    assert outlying(slightly) == []
    assert "h3" in outlying(hugely)


def test_a_host_with_few_trials_has_no_offset() -> None:
    assert offsets(training({"h1": 0.0, "h2": 0.5}, 8, seed=1)) == {}


def test_a_much_noisier_host_is_found_after_enough_trials() -> None:
    quiet = {f"h{at}": baseline(0.02, 8, seed=at) for at in range(3)}
    assert noisy_hosts(quiet) == {}
    assert list(noisy_hosts({**quiet, "loud": baseline(0.1, 8, seed=9)})) == ["loud"]
    assert noisy_hosts({**quiet, "loud": baseline(0.1, 2, seed=9)}) == {}
    assert noisy_hosts({"alone": baseline(0.1, 8, seed=9)}) == {}


def test_an_outlier_is_reported_once_and_keeps_its_extra_deviation() -> None:
    found = training({"h1": 0.0, "h2": 0.0, "h3": -0.3}, 20, seed=1, repeated=True)
    detector = OutlierDetector()
    (notices, extra_deviations), (later, again) = detector.update(found, {}), detector.update(found, {})
    ((host, text),) = notices
    assert host == "h3"
    assert text.startswith("candidates do 2")
    assert text.endswith("% worse on it than on the other hosts; its results weigh less")
    assert later == []
    assert extra_deviations == again == {"h3": pytest.approx(0.3, abs=0.05)}
    assert list(detector.outliers) == ["h3"]


def test_of_two_different_hosts_neither_gets_an_extra_deviation() -> None:
    notices, extra_deviations = OutlierDetector().update(
        training({"h1": 0.0, "h2": 0.3}, 20, seed=1, repeated=True), {}
    )
    assert [host for host, dummy in notices] == ["h1"]
    assert extra_deviations == {}


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
    assert is_unstable([measured(1, performance) for performance in performances], {}) is expected


def test_what_noise_explains_depends_on_the_host() -> None:
    assert not is_unstable([measured(1, 0.4, noise=0.15), measured(1, 0.1, noise=0.15)], {})
    assert not is_unstable([measured(1, 0.4), measured(1, 0.1, "outlier")], {"outlier": 0.3})


def test_repeats_of_stable_candidates_are_rarely_unstable() -> None:
    generator = np.random.default_rng(1)
    reported = sum(
        is_unstable([measured(1, found) for found in generator.normal(0, NOISE, count)], {})
        for count in (2, 3, 5)
        for dummy in range(300)
    )
    assert reported <= 6


def test_only_an_unstable_candidate_is_scored_by_its_worst_trial() -> None:
    found = penalised([measured(1, 0.4), measured(2, 0.3), measured(1, 0.0), measured(2, 0.31), measured(1, None)], {})
    assert [trial.score.performance for trial in found] == [0.0, 0.3, 0.0, 0.31, None]
    assert [trial.score.reward for trial in found] == [0.0, 0.3, 0.0, 0.31, -2.0]


@given(
    st.lists(st.tuples(st.integers(0, 4), st.floats(-2, 2), st.floats(0.001, 0.5)), max_size=20),
    st.randoms(use_true_random=False),
)
def test_a_penalty_never_improves_a_score_nor_depends_on_the_order(
    drawn: list[tuple[int, float, float]], random: Callable[..., None]
) -> None:
    trials = [measured(value, performance, noise=noise) for value, performance, noise in drawn]
    found = penalised(trials, {})
    for before, after in zip(trials, found, strict=True):
        assert (after.score.performance or 0.0) <= (before.score.performance or 0.0)
        assert after.score.reward <= before.score.reward
    shuffled = list(range(len(drawn)))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = penalised([trials[at] for at in shuffled], {})
    assert [again[shuffled.index(at)].score.performance for at in range(len(drawn))] == [
        trial.score.performance for trial in found
    ]
    assert all(math.isfinite(trial.score.reward) for trial in found)
