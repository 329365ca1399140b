"""Cautious exploration on surfaces where the failing region is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.algorithms import new_algorithm
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.components import Components
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.learner import search
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.protocols import Proposal
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.trust_region import TrustRegion
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.sections import Caution, TrainingConfig
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Score, State, Trial
from hypothesis import given
from hypothesis import strategies as st

Surface = Callable[[np.ndarray], float | None]
ORIGINAL = {"vm.swappiness": "60", "vm.dirty_ratio": "20", "vm.dirty_background_ratio": "10", "vm.page-cluster": "3"}
FAST = TrainingConfig(n_steps=16, n_epochs=1)
SLOW_GP = pytest.param("gp", marks=pytest.mark.slow)
SPACE = [
    {"param": "vm.swappiness", "min": 0, "max": 200},
    {"param": "vm.dirty_ratio", "min": 1, "max": 90, "log": True},
    {"param": "vm.dirty_background_ratio", "min": 1, "max": 50},
    {"param": "vm.page-cluster", "choices": [0, 3, 5]},
]


@pytest.fixture
def study(new_study: Callable[..., Study]) -> Study:
    return new_study(action_space=SPACE, constraints=["vm.dirty_background_ratio < vm.dirty_ratio"])


def trial_of(candidate: dict[str, Any], performance: float | None) -> Trial:
    state = State.FAILED if performance is None else State.COMPLETE
    score = Score(performance, None, -2.0 if performance is None else performance)
    return Trial(Phase.TRAIN, candidate, host="h1", id=1, state=state, score=score)


def slope_with_a_cliff(point: np.ndarray) -> float | None:
    """The reward increases along the first axis; from 0.7 on trials fail."""
    return None if point[0] > 0.7 else float(point[0] - 0.3)


class Explored:
    """A cautious search that checks each candidate against the region. slots: the number of hosts."""

    def __init__(self, study: Study, surface: Surface, budget: int, slots: int = 1, **caution: float) -> None:
        self.slots = slots
        self.space = study.space
        self.start = self.space.encode(ORIGINAL)
        self.region = TrustRegion(self.space, ORIGINAL, Caution(**caution))
        self.points: list[np.ndarray] = []
        self.performances: list[float | None] = []
        self._surface = surface
        self._working: list[dict[str, Any]] = []
        search(self.space, self, budget=budget, seed=1, original=ORIGINAL, config=FAST, region=self.region)

    def submit(self, proposals: Sequence[Proposal]) -> None:
        for candidate in (proposal.candidate for proposal in proposals):
            point = self.space.encode(candidate)
            assert np.abs(point - self.region._centre).max() <= self.region.radius + 1e-9
            self.points.append(point)
            self._working.append(candidate)
        assert len(self._working) <= self.slots

    def collect(self) -> list[Trial]:
        candidate = self._working.pop(0)
        self.performances.append(self._surface(self.space.encode(candidate)))
        return [trial_of(candidate, self.performances[-1])]

    @property
    def failures(self) -> int:
        return sum(performance is None for performance in self.performances)


def test_the_first_candidates_are_within_a_step_of_the_original_values(study: Study) -> None:
    explored = Explored(study, lambda point: 0.0, budget=20, slots=20)
    assert len(explored.points) == 20
    assert all(np.abs(point - explored.start).max() <= 0.05 + 1e-9 for point in explored.points[:4])


@pytest.mark.slow
def test_improves_step_by_step_and_rarely_fails(study: Study) -> None:
    explored, harmless = Explored(study, slope_with_a_cliff, budget=60), 0
    for point, performance in zip(explored.points, explored.performances, strict=True):
        assert np.abs(point - explored.start).max() <= (harmless + 1) * 0.05 + 1e-9
        harmless += performance is not None
    best = max(performance for performance in explored.performances if performance is not None)
    original = slope_with_a_cliff(explored.start)
    assert original is not None
    assert best > original + 0.2  # the whole way to the cliff is 0.4
    assert explored.failures <= 10


@pytest.mark.slow
def test_on_a_narrow_ridge_it_rarely_fails_where_a_full_search_mostly_does(study: Study) -> None:
    start = study.space.encode(ORIGINAL)

    def ridge(point: np.ndarray) -> float | None:
        return 0.0 if np.abs(point - start).max() < 0.2 else None

    explored, failures = Explored(study, ridge, budget=60), 0

    def evaluate(candidates: Sequence[dict[str, Any]]) -> list[Trial]:
        nonlocal failures
        found = [trial_of(candidate, ridge(study.space.encode(candidate))) for candidate in candidates]
        failures += sum(each.score.performance is None for each in found)
        return found

    search(study.space, evaluate, budget=60, seed=1, config=FAST)
    assert failures > 50
    assert explored.failures < 20


class Shift:
    """A region that moves every candidate."""

    def project(self, candidate: dict[str, Any]) -> dict[str, Any]:
        return {**candidate, "vm.swappiness": int(candidate["vm.swappiness"]) // 4, "vm.page-cluster": 3}

    def update(self, trial: Trial) -> None: ...


def new(name: Any, study: Study) -> Any:
    return new_algorithm(
        name,
        study.space,
        budget=40,
        seed=1,
        config=FAST,
        original=ORIGINAL,
        starting_candidates=[],
        metrics=[],
        contexts={},
        known=[],
        earlier=[],
        components=Components(),
    )


@pytest.mark.parametrize("name", ["tpe", SLOW_GP, "cmaes"])
def test_optuna_learns_the_point_that_was_evaluated(name: Any, study: Study) -> None:
    algorithm, evaluated = new(name, study), []
    for at in range(24):
        candidate = algorithm.ask(Shift().project if at % 2 else dict, [])
        evaluated.append(trial_of(candidate, 0.01 * at))
        algorithm.observe(evaluated[-1])
    kept = replace(trial_of(algorithm.ask(dict, []), 0.5), applied=ORIGINAL)
    algorithm.observe(kept)  # the kernel kept other values
    trials = sorted((trial for trial in algorithm._study.trials if trial.value is not None), key=lambda t: t.value)
    assert [trial.value for trial in trials] == [each.score.reward for each in (*evaluated, kept)]
    for trial, each in zip(trials, (*evaluated, kept), strict=True):
        wanted = study.space.encode({**each.requested, **each.applied})
        for axis, unit in zip(study.space.axes, wanted, strict=True):
            number = algorithm._number(axis, trial.params[f"{axis.parameter}[0]"])
            assert axis.decode(axis.encode(number)) == axis.decode(unit)


def test_cmaes_gets_moved_candidates_in_its_own_coordinates(study: Study) -> None:
    """The coordinates are internal to Optuna: without a move ours must be the same, except for rounding."""
    algorithm = new("cmaes", study)
    for at in range(24):
        algorithm.observe(trial_of(algorithm.ask(Shift().project if at % 3 == 0 else dict, []), 0.01 * at))
    told = [
        trial for trial in algorithm._study.trials if trial.value is not None and "x_for_tell" in trial.system_attrs
    ]
    assert len(told) > 16
    for trial in told:
        point = [axis.encode(trial.params[f"{axis.parameter}[0]"]) for axis in study.space.axes]
        ours = [unit for dummy, unit in sorted(algorithm._cmaes_positions(np.array(point)).items())]
        # The tolerance: one of three choices lies at 0, 0.5 or 1, and 1 of 90 on a log scale is far from 2.
        assert np.clip(trial.system_attrs["x_for_tell"], 0, 1) == pytest.approx(ours, abs=0.26)
    assert {key for trial in told for key, value in trial.system_attrs.items() if "generation" in key and value}


@pytest.mark.parametrize("name", [pytest.param("ppo", marks=pytest.mark.slow), "random"])
def test_an_interrupted_search_continues_with_the_same_region(name: Any, study: Study) -> None:
    def region() -> TrustRegion:
        return TrustRegion(study.space, ORIGINAL, Caution())

    def evaluate(candidates: Sequence[dict[str, Any]]) -> list[Trial]:
        seen.extend(trial_of(each, slope_with_a_cliff(study.space.encode(each))) for each in candidates)
        return seen[-len(candidates) :]

    search_on = partial(
        search, study.space, evaluate, budget=24, seed=1, algorithm=name, original=ORIGINAL, config=FAST
    )
    seen: list[Trial] = []
    search_on(region=region())
    whole = list(seen)
    seen[:] = []
    search_on(region=region(), replay=whole[:12])
    assert [each.requested for each in seen] == [each.requested for each in whole[12:]]


def test_grows_with_harmless_trials_alone(study: Study) -> None:
    region = TrustRegion(study.space, ORIGINAL, Caution())
    far = {"vm.swappiness": 200, "vm.dirty_ratio": 90, "vm.dirty_background_ratio": 50, "vm.page-cluster": 5}
    radii = [region.radius]
    for dummy in range(30):
        region.update(trial_of(region.project(far), 0.0))
        radii.append(region.radius)
    assert radii[0] == 0.05
    assert all(after - before <= 0.05 + 1e-9 for before, after in pairwise(radii))
    assert radii[-1] > 0.5
    widest = region.radius
    region.update(trial_of(region.project(far), None))
    assert region.radius == widest / 2


@pytest.mark.parametrize(
    ("performance", "harm", "harmful"),
    [(None, 10, True), (-0.05, 10, False), (-0.15, 10, True), (-0.15, 20, False), (0.5, 10, False)],
)
def test_harm_is_a_failure_or_a_large_loss(study: Study, performance: float | None, harm: float, harmful: bool) -> None:
    region = TrustRegion(study.space, ORIGINAL, Caution(harm=harm))
    assert region.is_harmful(trial_of(ORIGINAL, performance)) == harmful


@pytest.mark.parametrize(
    ("direction", "ratio", "harmful"),
    [("maximise", 0.51, False), ("maximise", 0.49, True), ("minimise", 1 / 1.49, False), ("minimise", 1 / 1.51, True)],
)
def test_harm_is_per_cent_of_the_metric_in_either_direction(
    study: Study, direction: str, ratio: float, harmful: bool
) -> None:
    region = TrustRegion(study.space, ORIGINAL, Caution(harm=50), direction)
    assert region.is_harmful(trial_of(ORIGINAL, math.log(ratio))) == harmful


def test_a_lost_trial_is_not_harmful(study: Study) -> None:
    region = TrustRegion(study.space, ORIGINAL, Caution())
    lost = trial_of({**ORIGINAL, "vm.swappiness": 65}, None).lose("h1", "the host is gone")
    assert not region.is_harmful(lost)
    region.update(lost)
    assert region.radius == 0.05


def test_stays_away_from_harmful_trials(study: Study) -> None:
    region = TrustRegion(study.space, ORIGINAL, Caution(step=20))
    wish = {**ORIGINAL, "vm.swappiness": 100}
    first = region.project(wish)
    region.update(trial_of(first, None))
    region.radius = 0.2
    again = region.project(wish)
    assert 60 <= int(again["vm.swappiness"]) < (60 + int(first["vm.swappiness"])) / 2


@pytest.mark.takes_seconds
@given(
    wish=st.lists(st.floats(0, 1), min_size=4, max_size=4),
    step=st.floats(0.5, 100),
    told=st.lists(
        st.tuples(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.none() | st.floats(-1, 1)), max_size=8
    ),
)
def test_every_candidate_lies_in_the_region(
    wish: list[float], step: float, told: list[tuple[list[float], float | None]]
) -> None:
    content = {
        "workload_name": "small",
        "reward_metric": "throughput",
        "benchmark_command": "true",
        "action_space": SPACE,
        "constraints": ["vm.dirty_background_ratio < vm.dirty_ratio"],
    }
    space = Study.model_validate(content).space
    region = TrustRegion(space, ORIGINAL, Caution(step=step))
    for point, performance in told:
        region.update(trial_of(region.project(space.decode(np.array(point))), performance))
    drawn = region.project(space.decode(np.array(wish)))
    assert np.abs(space.encode(drawn) - region._centre).max() <= region.radius + 1e-9
    assert int(drawn["vm.dirty_background_ratio"]) < int(drawn["vm.dirty_ratio"])
