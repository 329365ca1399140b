from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study, TrainingConfig
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.environment import Observer
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.evaluation import (
    Evaluation,
    Job,
    Measurement,
    Score,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.learner import advice, derive, search

Surface = Callable[[float], float]
Search = Callable[..., list[int]]


@pytest.fixture
def searched(new_study: Callable[..., Study]) -> Search:
    """The values of vm.swappiness that a search tries; `surface` is the reward of each, a share of the range in."""

    def run(budget: int, surface: Surface = lambda share: share, seed: int = 1, **config: Any) -> list[int]:
        space = new_study().space
        tried: list[int] = []

        def evaluate(candidates: Sequence[dict[str, Any]]) -> list[Evaluation]:
            values = [int(candidate["vm.swappiness"]) for candidate in candidates]
            tried.extend(values)
            return [
                Evaluation(
                    len(tried),
                    Job("train", candidate),
                    "h1",
                    Measurement(metric=1.0),
                    Score(0.0, None, surface(v / 100)),
                )
                for v, candidate in zip(values, candidates, strict=True)
            ]

        search(
            space,
            evaluate,
            TrainingConfig(total_timesteps=budget, **config),
            seed=seed,
            metrics=[],
            start=Observer(space, []).at_baseline({"vm.swappiness": "60"}, {}),
            tell=lambda text: None,
        )
        return tried

    return run


@pytest.mark.parametrize(
    ("config", "rollout", "updates", "batch_size"),
    [
        ({"total_timesteps": 1}, 4, 0, 2),
        ({"total_timesteps": 4}, 4, 1, 2),
        ({"total_timesteps": 24}, 4, 6, 2),
        ({"total_timesteps": 40}, 6, 6, 3),
        ({"total_timesteps": 200}, 32, 6, 16),
        ({"total_timesteps": 10_000}, 64, 156, 32),
        ({"total_timesteps": 200, "n_steps": 64}, 64, 3, 32),
        ({"total_timesteps": 200, "n_steps": 64, "batch_size": 32}, 64, 3, 32),
        ({"total_timesteps": 40, "batch_size": 64}, 6, 6, 6),
        ({"total_timesteps": 10, "n_steps": 64}, 64, 0, 32),
    ],
)
def test_the_budget_decides_where_the_study_does_not(
    config: dict[str, Any], rollout: int, updates: int, batch_size: int
) -> None:
    settings = derive(TrainingConfig(**config))
    assert (settings.rollout, settings.updates, settings.batch_size) == (rollout, updates, batch_size)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_epochs", 5),
        ("learning_rate", 0.001),
        ("gamma", 0.95),
        ("gamma", 0.0),
        ("gae_lambda", 0.0),
        ("ent_coef", 0.02),
        ("clip_range", 0.1),
    ],
)
def test_what_the_study_says_goes(name: str, value: float) -> None:
    assert getattr(derive(TrainingConfig(**{name: value})), name) == value


def test_says_when_the_budget_is_less_than_one_rollout() -> None:
    note = advice(TrainingConfig(total_timesteps=10, n_steps=64))
    assert note is not None
    assert "total_timesteps 10 is less than one rollout (n_steps 64)" in note
    assert advice(TrainingConfig(total_timesteps=64, n_steps=64)) is None


@pytest.mark.parametrize("budget", range(1, 31))
def test_spends_exactly_its_budget(budget: int, searched: Search) -> None:
    assert len(searched(budget, n_epochs=1)) == budget


@pytest.mark.parametrize("config", [{"n_steps": 64, "batch_size": 32}, {"n_steps": 7, "batch_size": 5}])
def test_spends_exactly_its_budget_whatever_the_study_says(config: dict[str, Any], searched: Search) -> None:
    assert len(searched(100, n_epochs=1, **config)) == 100


def test_same_seed_and_measurements_give_the_same_candidates(searched: Search) -> None:
    one = searched(24, n_epochs=2)
    assert searched(24, n_epochs=2) == one
    assert searched(24, n_epochs=2, seed=2) != one
    # What was measured matters, too: the first rollout is the same, what follows is not.
    other = searched(24, n_epochs=2, surface=lambda share: -share)
    assert other[:4] == one[:4]
    assert other[4:] != one[4:]


@pytest.mark.parametrize("better", [0.0, 1.0])
def test_moves_to_where_the_rewards_are(better: float, searched: Search) -> None:
    """From chance, half, the share of candidates in the better half grows; two seeds make chance unlikely."""
    late = []
    for seed in range(2):
        tried = searched(120, surface=lambda share: 2 * float(abs(share - better) < 0.5), seed=seed)
        late += [abs(value / 100 - better) < 0.5 for value in tried[-40:]]
    assert np.mean(late) > 0.7


def test_an_exception_from_an_evaluation_passes_through(searched: Search) -> None:
    def surface(share: float) -> float:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        searched(24, surface=surface)
