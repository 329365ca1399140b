from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.estimate import by_host, over_hosts
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.evidence import (
    Ablation,
    Contribution,
    HostChange,
    Pair,
    Proof,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.noise import power_forecast
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.conclusion import Conclusion
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.history import RunHistory
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.result_builder import (
    build_result,
    early_stopping_of,
    noise_of,
    objectives_of,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.reward import percent
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Score, Trial

from ..conftest import host_of, measured

NewStudy = Callable[..., Study]
TWO = {"objectives": [{"metric": "p99", "direction": "minimise", "weight": 3.0}]}


class NullStore:
    """A store that keeps nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *positional, **named: None


@pytest.fixture
def new_history() -> Callable[[Study], RunHistory]:
    store: Any = NullStore()
    return lambda study: RunHistory(study, store)


def pair_of(host: str, number: int, throughput: float, p99: float) -> tuple[Pair, Trial, Trial]:
    """Own values of 100 and 5 against these, which count as TWO says."""
    own, tuned = measured(100.0, 5.0), measured(throughput, p99)
    ratio = (math.log(throughput / 100) + 3 * math.log(5 / p99)) / 4
    own = replace(own, phase=Phase.ABLATE, original=True, host=host, pair=number, score=Score(0.0))
    tuned = replace(tuned, phase=Phase.ABLATE, host=host, pair=number, score=Score(0.0))
    metrics = {"baseline": 100.0, "candidate": throughput, "log_ratio": ratio}
    return Pair(host=host, pair=number, first="baseline", **metrics), own, tuned


def proof_of(*pairs: Pair) -> Proof:
    ratios = by_host(pairs)
    estimate = over_hosts(ratios)
    gain = percent(estimate.mean) if estimate else 0.0
    hosts = {host: HostChange(improvement=gain, interval=(0.0, 50.0)) for host in ratios}
    return Proof(improved=True, reason="", evidence=pairs, improvement=gain, interval=(0.0, 50.0), by_host=hosts)


def test_each_objective_has_a_change_of_its_own(new_study: NewStudy) -> None:
    study = new_study(**TWO)
    pairs = [(measured(100.0, 5.0), measured(121.0, 4.0))] * 2
    first, second = objectives_of(study, pairs)
    assert (first.metric, first.weight, first.change) == ("throughput", 1.0, pytest.approx(21.0))
    assert (second.metric, second.direction, second.weight) == ("p99", "minimise", 3.0)
    assert second.change == pytest.approx(25.0)
    assert objectives_of(new_study(), pairs) == ()
    assert [part.change for part in objectives_of(study, [])] == [None, None]


def test_the_result_is_based_on_the_proof_of_the_kept_values(
    new_study: NewStudy, new_history: Callable[[Study], RunHistory]
) -> None:
    """Whatever was measured before, as by a proof of more values; and of a host whose only pair told nothing."""
    study = new_study(**TWO)
    history = new_history(study)
    history.on_host(host_of(study, 100.0, 100.0))
    history.on_host(host_of(study, 100.0, name="h2"))
    before = replace(measured(900.0, 1.0), phase=Phase.VERIFY, host="h1", pair=1, score=Score(0.0, 0.1))
    for number in (1, 2):
        history.on_trial(replace(before, id=number, original=number == 2))
    sides = [pair_of("h1", 1, 130.0, 4.0), pair_of("h1", 2, 120.0, 4.4), pair_of("h2", 1, 50.0, 9.0)]
    for dummy, original, tuned in sides:
        history.on_trial(replace(original, score=replace(original.score, stability=0.8)))
        history.on_trial(tuned)
    proof = proof_of(*(pair for pair, *dummy in sides))
    ablation = Ablation(reason="", contributions=(), all_values=proof.model_copy(), fewer_values=proof)
    stopped = Conclusion("stopped", "", {"vm.swappiness": 1}, proof=proof, ablation=ablation)
    assert build_result(study, stopped, history, seconds_waited=0.0, seed=1, about={}).proved
    conclusion = Conclusion("improved", "", {"vm.swappiness": 1}, proof=proof, ablation=ablation)
    found = build_result(study, conclusion, history, seconds_waited=0.0, seed=1, about={})
    parts = [(part.weight, math.log1p((part.change or 0.0) / 100)) for part in found.objectives]
    mean = sum(weight * log for weight, log in parts) / sum(weight for weight, dummy in parts)
    assert found.improvement == pytest.approx(math.expm1(mean) * 100)
    assert found.baseline is not None
    assert found.best is not None
    assert found.best.metric / found.baseline.metric == pytest.approx(1 + (found.objectives[0].change or 0.0) / 100)
    assert found.baseline.stability is not None
    assert found.baseline.stability.score == pytest.approx(0.8)
    assert found.baseline.cv_percent == 0.0


@pytest.mark.parametrize(
    ("learned", "basis", "together_with"),
    [
        ({"vm.swappiness": 1, "vm.dirty_ratio": 9}, "jointly", ("vm.dirty_ratio",)),  # as the ablation had it
        ({"vm.swappiness": 1}, "alone", ()),  # a guard benchmark took the other: the new proof is of this one alone
        ({"vm.swappiness": 1, "vm.laptop_mode": 1}, None, ()),  # it took one of a group, beside which there is more
    ],
)
def test_a_value_does_not_rest_on_what_was_left_out(
    new_study: NewStudy,
    new_history: Callable[[Study], RunHistory],
    learned: dict[str, int],
    basis: str | None,
    together_with: tuple[str, ...],
) -> None:
    names = ("vm.swappiness", "vm.dirty_ratio", "vm.laptop_mode")
    study = new_study(action_space=[{"param": name, "min": 0, "max": 10} for name in names])
    history = new_history(study)
    history.on_host(replace(host_of(study, 100.0), original_values=dict.fromkeys(names, "5")))
    contributions = (
        Contribution(param=names[0], decision="kept", basis="jointly", contribution=70.0, confounded_with=names[1:2]),
        Contribution(param=names[1], decision="kept", basis="jointly", contribution=70.0, confounded_with=names[0:1]),
    )
    proof = Proof(improved=True, reason="", improvement=30.0, interval=(20.0, 40.0))
    ablation = Ablation(reason="", contributions=contributions, all_values=proof)
    conclusion = Conclusion("stopped", "", dict(learned), proof=proof, ablation=ablation)
    found = build_result(study, conclusion, history, seconds_waited=0.0, seed=1, about={}).parameters[0]
    assert (found.param, found.basis, found.together_with) == (names[0], basis, together_with)
    expected = {"jointly": 70.0, "alone": proof.improvement, None: None}
    assert found.contribution == (pytest.approx(expected[basis]) if basis else None)


@pytest.mark.takes_seconds
def test_noise_describes_each_host_s_baseline(new_study: NewStudy, new_history: Callable[[Study], RunHistory]) -> None:
    study = new_study()
    history = new_history(study)
    assert noise_of(history) is None
    history.on_host(host_of(study, 100.0, 102.0, 98.0, 101.0, 50.0, 51.0))
    history.on_host(host_of(study, 100.0, 101.0, name="h2"))
    history.forecast = power_forecast(study, {"h1": [4.60, 4.62, 4.58], "h2": [4.60, 4.61]}, 2, 10.0)
    history.outlier_detector.outliers["h2"] = "its baseline is 3.1 times as noisy as the others'"
    noise = noise_of(history)
    assert noise is not None
    assert history.forecast is not None
    assert noise.notices == history.forecast.lines
    assert noise.detectable_percent == history.forecast.detectable
    first, second = noise.per_host["h1"], noise.per_host["h2"]
    ((after, until, change),) = first.baseline_shifts
    assert (after, until, change) == (4, 5, pytest.approx(-50, abs=2))
    assert first.drift_percent == pytest.approx(-50, abs=2)
    assert (second.baseline_shifts, second.outlier) == ((), "its baseline is 3.1 times as noisy as the others'")


def test_early_stopping_counts_the_saved_trials(
    new_study: NewStudy, new_history: Callable[[Study], RunHistory]
) -> None:
    study = new_study(training_config={"total_timesteps": 10})
    history = new_history(study)
    history.on_host(host_of(study, 100.0, 100.0))
    for dummy in range(2):
        history.on_trial(replace(measured(100.0), host="h1"))
    assert early_stopping_of(study, history).trials_saved == 0
    history.training_ended = "nothing more to gain"
    found = early_stopping_of(study, history)
    assert (found.training, found.trials_saved) == ("nothing more to gain", 8)
    for dummy in range(8):
        history.on_trial(replace(measured(100.0), host="h1"))
    found = early_stopping_of(study, history)
    assert (found.training, found.trials_saved) == (None, 0)


@pytest.mark.parametrize("repeated", [True, False])
def test_only_an_outlying_host_has_an_extra_deviation_at_every_check(
    new_study: NewStudy, new_history: Callable[[Study], RunHistory], repeated: bool
) -> None:
    study, random = new_study(), np.random.default_rng(3)
    history = new_history(study)
    for name in ("h1", "h2", "outlier"):
        history.on_host(host_of(study, 100.0, 101.0, 99.0, 100.0, name=name))
    checks = []
    for number in range(1, 121):
        value = (number - 1) // 3 if repeated else number
        gain = math.sin(value) / 4 if repeated else 0.05 * random.normal()
        host = history.hosts[("h1", "h2", "outlier")[number % 3]]
        objective = gain - 0.4 * (host.name == "outlier") + 0.008 * random.normal()
        found = replace(measured(100.0 * math.exp(objective)), requested={"vm.swappiness": value})
        history.on_trial(host.add_trial(study, replace(found, host=host.name, id=number)))
        if number > 60 and number % 5 == 0:
            checks.append({name for name, host in history.hosts.items() if host.extra_deviation})
            assert host.extra_deviation == pytest.approx(0.4 if host.name == "outlier" else 0.0, abs=0.1)
    assert checks == len(checks) * [{"outlier"}]
    # A difference between hosts does not make a candidate unstable.
    performances = [trial.score.performance for trial in history.in_hindsight()]
    assert performances == [trial.score.performance for trial in history._rescored()]


def test_training_stops_early_only_if_the_study_allows_it(new_study: NewStudy) -> None:
    from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.training import _stopping_rule

    told: list[str] = []
    worse = replace(measured(90.0), score=Score(-0.1, None, -0.1))
    for allowed in (False, True):
        study = new_study(training_config={"total_timesteps": 60}, early_stopping=allowed)
        history: Any = SimpleNamespace(training_ended=None, trained=lambda: [worse] * 40)
        is_enough = _stopping_rule(study, history, told.append)
        assert is_enough(40, 20, 0.0) is False  # what is under way comes to its end, so nothing would be saved
        assert is_enough(40, 1, 0.0) is allowed
        assert is_enough(40, 1, 0.0) is False  # once is enough
    (line,) = told
    assert line.startswith(
        "training stopped early, with 19 of 60 trials left: the last 12 trials raised the best result"
    )
