from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.proposers import proposed_by
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Trial

PPO = "algorithm ppo, at random"


def tried(number: int, value: int, by: str) -> Trial:
    return replace(Trial.pending(Phase.TRAIN, {"vm.swappiness": value}, proposed_by=by), id=number)


@pytest.mark.parametrize(
    ("trials", "words"),
    [
        ([tried(2, 10, PPO), tried(1, 10, "the initial design")], "the initial design (trial 1)"),
        ([tried(1, 10, PPO), tried(2, 10, "expert setting tuned-x")], "expert setting tuned-x (trial 2)"),
        ([tried(1, 60, "expert setting tuned-x"), tried(2, 10, PPO)], f"{PPO} (trial 2)"),
        ([replace(tried(1, 11, PPO), applied={"vm.swappiness": "10"})], f"{PPO} (trial 1)"),
        (
            [tried(1, 11, PPO)],
            "the study: a value tried in training, rounded to that of expert setting tuned-throughput-performance",
        ),
        ([tried(1, 10, "")], ""),
        ([], ""),
    ],
)
def test_names_whoever_came_up_with_a_value_first(trials: list[Trial], words: str) -> None:
    assert proposed_by("vm.swappiness", 10, trials) == words


def test_says_when_a_value_was_rounded() -> None:
    rounded = "the study: a value tried in training, rounded to one that a person would choose"
    assert proposed_by("vm.swappiness", 12, [tried(1, 11, PPO)]) == rounded
