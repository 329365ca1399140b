from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Candidate
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.contenders import contenders
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Score, State, Trial

SIMPLIFICATION = "plugins.plugin_utils._trainer.contenders.with_round_numbers"
ORIGINALS = {
    "h1": {"vm.swappiness": "60", "vm.stat_interval": "20", "vm.page-cluster": "3"},
    "h2": {"vm.swappiness": "60", "vm.stat_interval": "20", "vm.page-cluster": "0"},
}


def study_of(**fields: object) -> Study:
    return Study.model_validate(
        {
            "workload_name": "small",
            "reward_metric": "throughput",
            "benchmark_command": "true",
            "action_space": [
                {"param": "vm.swappiness", "min": 0, "max": 100},
                {"param": "vm.stat_interval", "min": 1, "max": 60},
                {"param": "vm.page-cluster", "min": 0, "max": 4},
            ],
            **fields,
        }
    )


def trained() -> list[Trial]:
    """Only swappiness matters: the nearer to 10, the better."""
    random = np.random.default_rng(1)
    space, trials = study_of().space, []
    for number in range(40):
        values = space.decode(random.random(3))
        performance = 0.5 - abs(float(values["vm.swappiness"]) - 10) / 100 + random.normal(0, 0.01)
        trial = Trial(Phase.TRAIN, values, host=f"h{number % 2 + 1}", id=number + 1)
        trials.append(replace(trial, state=State.COMPLETE, metric=100.0, score=Score(performance, None, performance)))
    return trials


@pytest.fixture(scope="module")
def found() -> list[Candidate]:
    return contenders(study_of(), trained(), [], {}, ORIGINALS)


def test_a_candidate_without_its_useless_values_races_beside_the_full_one(found: list[Candidate]) -> None:
    simple, full = found[:2]
    assert set(simple) == {"vm.swappiness"}
    assert set(full) == set(study_of().space.parameters)
    assert abs(int(simple["vm.swappiness"]) - 10) <= 8


def test_there_are_no_more_than_the_study_says_and_all_differ(found: list[Candidate]) -> None:
    assert 2 <= len(found) <= 3
    assert len({tuple(each.items()) for each in found}) == len(found)
    (only,) = contenders(study_of(verification={"candidates": 1}), trained(), [], {}, ORIGINALS)
    assert set(only) == {"vm.swappiness"}


def test_nothing_is_simplified_if_all_values_are_to_be_kept() -> None:
    for each in contenders(study_of(verification={"keep": "all"}), trained(), [], {}, ORIGINALS):
        assert set(each) == set(study_of().space.parameters)


@pytest.mark.takes_seconds
def test_a_value_stays_if_a_host_has_one_that_was_never_tried() -> None:
    """What its own value would bring there is unknown."""
    originals = {**ORIGINALS, "h2": {**ORIGINALS["h2"], "vm.stat_interval": "900"}}
    assert "vm.stat_interval" in contenders(study_of(), trained(), [], {}, originals)[0]


def test_a_few_trials_simplify_nothing() -> None:
    assert all(len(each) == 3 for each in contenders(study_of(), trained()[:4], [], {}, ORIGINALS))
    assert contenders(study_of(), [], [], {}, ORIGINALS) == []


def test_no_candidate_races_that_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would win every tie, as the one with the fewest changes, and its proof would prove nothing."""
    own = {"vm.swappiness": 60}
    monkeypatch.setattr("ansible_collections.autotune.kernel." + SIMPLIFICATION, lambda *arguments: own)
    found = contenders(study_of(), trained(), [], {}, ORIGINALS)
    assert found
    assert own not in found
