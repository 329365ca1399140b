"""The search, on functions whose best value is known."""

from __future__ import annotations

import doctest
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner import learner
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.recommendation import recommend
from ansible_collections.autotune.kernel.plugins.plugin_utils._study import sections
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.parameters import kernel_text
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.sections import TrainingConfig
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Candidate, SearchSpace
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import State, Trial

Surface = Callable[[Candidate], float | None]
# The policy practises less than it would: what is tested here does not hang on it.
search = partial(learner.search, config=TrainingConfig(n_steps=16, n_epochs=1))
ALGORITHMS = ["ppo", "random", "tpe", "gp", "cmaes"]
SLOW_PPO, WARM_SLOW_PPO = (pytest.param("ppo", warm, marks=pytest.mark.slow) for warm in (False, True))


@pytest.fixture
def space(new_study: Callable[..., Study]) -> SearchSpace:
    return new_study(
        action_space=[
            {"param": "vm.swappiness", "min": 0, "max": 200},
            {"param": "net.core.somaxconn", "min": 128, "max": 65536, "log": True},
            {"param": "net.ipv4.tcp_congestion_control", "choices": ["reno", "cubic", "bbr"]},
        ]
    ).space


def hill(candidate: Candidate) -> float:
    """Best at swappiness 150 with bbr; somaxconn does nothing."""
    bonus = {"reno": 0.0, "cubic": 0.1, "bbr": 0.3}[str(candidate["net.ipv4.tcp_congestion_control"])]
    return bonus - ((float(candidate["vm.swappiness"]) - 150) / 200) ** 2


def cliff(candidate: Candidate) -> float | None:
    """The best lies right beside where everything fails."""
    return None if float(candidate["vm.swappiness"]) > 155 else hill(candidate)


class Seen:
    """A surface that keeps what was seen of it."""

    def __init__(self, surface: Surface) -> None:
        self.surface = surface
        self.seen: list[Trial] = []

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Trial]:
        found = [Trial.of_function(candidate, self.surface(candidate)) for candidate in candidates]
        self.seen += found
        return found

    @property
    def tried(self) -> list[Candidate]:
        return [dict(evaluation.requested) for evaluation in self.seen]


class Function(Seen):
    """A plain function as evaluator."""

    def __call__(self, candidates: Sequence[Candidate]) -> list[Trial]:
        return self.evaluate(candidates)


class Hosts(Seen):
    """Several hosts, which are done in an order of their own: the last of those that have work first."""

    def __init__(self, surface: Surface, slots: int) -> None:
        super().__init__(surface)
        self.slots = slots
        self.working: list[Candidate] = []
        self.most = 0

    def submit(self, candidates: Sequence[Candidate]) -> None:
        self.working += candidates
        self.most = max(self.most, len(self.working))

    def collect(self) -> list[Trial]:
        return self.evaluate([self.working.pop()])


def test_the_example_of_the_documentation_runs() -> None:
    results = doctest.testmod(learner)
    assert results.attempted > 5
    assert results.failed == 0


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_spends_exactly_its_budget(algorithm: Any, space: SearchSpace) -> None:
    for budget in (1, 11):
        function = Function(hill)
        search(space, function, budget=budget, seed=1, algorithm=algorithm)
        assert len(function.seen) == budget


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_same_seed_and_measurements_give_the_same_candidates(algorithm: Any, space: SearchSpace) -> None:
    def tried(seed: int) -> list[Candidate]:
        function = Function(cliff)
        search(space, function, budget=12, seed=seed, algorithm=algorithm)
        return function.tried

    assert tried(1) == tried(1)
    assert tried(1) != tried(2)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_ranges_of_billions_are_searched_in_their_whole_numbers(
    algorithm: Any, new_study: Callable[..., Study]
) -> None:
    """Optuna's Gaussian process listed them all: 32 GiB for tcp_notsent_lowat of the lab's own study."""
    wide = {"param": "net.ipv4.tcp_notsent_lowat", "min": 16384, "max": 2**32 - 1}
    stepped = {"param": "vm.min_free_kbytes", "min": 1000, "max": 10**9, "step": 1000}
    space = new_study(action_space=[{**wide, "log": True}, stepped]).space
    function = Function(lambda candidate: float(candidate["net.ipv4.tcp_notsent_lowat"]) / 2**32)
    known = [Trial.of_function({"net.ipv4.tcp_notsent_lowat": 2**32 - 1, "vm.min_free_kbytes": 67000}, 0.5)]
    search(space, function, budget=14, seed=1, algorithm=algorithm, known=known)
    for candidate in function.tried:
        assert 16384 <= int(candidate["net.ipv4.tcp_notsent_lowat"]) <= 2**32 - 1
        assert int(candidate["vm.min_free_kbytes"]) % 1000 == 0


def test_what_was_measured_decides_what_comes_next(space: SearchSpace) -> None:
    def tried(surface: Surface) -> list[Candidate]:
        function = Function(surface)
        search(space, function, budget=8, seed=1)
        return function.tried

    one, other = tried(hill), tried(lambda candidate: -hill(candidate))
    assert one[:4] == other[:4]
    assert one[4:] != other[4:]


def test_finds_what_is_best(space: SearchSpace) -> None:
    function = Function(hill)
    search(space, function, budget=30, seed=1)
    best = recommend(space, function.seen, 1)[0]
    assert hill(best) > 0.29  # of 0.3; chance alone finds that once in a hundred


@pytest.mark.slow
def test_a_cliff_beside_the_best_is_learned(space: SearchSpace) -> None:
    """A fifth of the space fails; a search that did not learn it would fall from its best place half of the time."""
    function = Function(cliff)
    search(space, function, budget=40, seed=1)
    failed = [evaluation.state == State.FAILED for evaluation in function.seen]
    assert sum(failed[20:]) <= 4
    assert hill(recommend(space, function.seen, 1)[0]) > 0.28


@pytest.mark.slow
def test_where_the_surrogate_is_useless_the_search_goes_on_without_it(space: SearchSpace) -> None:
    """Noise alone: nothing can be predicted, so candidates stay spread over the space."""
    noise = iter(range(1000))
    function = Function(lambda dummy: (next(noise) * 0.618) % 1.0)
    search(space, function, budget=30, seed=1)
    late = [float(candidate["vm.swappiness"]) for candidate in function.tried[15:]]
    assert max(late) - min(late) > 100


@pytest.mark.slow
def test_what_was_known_before_is_learned_from_and_does_not_count(space: SearchSpace) -> None:
    before = Function(hill)
    search(space, before, budget=24, seed=1)
    function = Function(hill)
    search(space, function, budget=6, seed=2, known=before.seen)
    assert len(function.seen) == 6
    assert max(hill(candidate) for candidate in function.tried) > 0.29


def earlier_of(surface: Surface, space: SearchSpace) -> list[Trial]:
    before = Function(surface)
    search(space, before, budget=24, seed=1)
    return before.seen


@pytest.mark.slow
def test_an_earlier_study_of_a_related_surface_shows_where_to_begin(space: SearchSpace) -> None:
    """Its scale is another, and its baseline: as measurements of this surface all of them would lie far above it."""
    earlier = earlier_of(lambda candidate: 5.0 + 3.0 * hill(candidate), space)
    function = Function(hill)
    search(space, function, budget=6, seed=2, earlier=earlier)
    assert hill(function.tried[0]) > 0.25
    assert max(hill(candidate) for candidate in function.tried) > 0.29


@pytest.mark.slow
def test_an_earlier_study_that_misleads_is_outvoted(space: SearchSpace) -> None:
    earlier = earlier_of(lambda candidate: -hill(candidate), space)
    function = Function(hill)
    search(space, function, budget=30, seed=2, earlier=earlier)
    assert hill(recommend(space, function.seen, 1)[0]) > 0.25


@pytest.mark.slow
def test_an_earlier_study_of_a_few_evaluations_does_not_replace_the_first_batch(space: SearchSpace) -> None:
    def first(earlier: Sequence[Trial]) -> list[Candidate]:
        function = Function(hill)
        search(space, function, budget=24, seed=2, earlier=earlier)
        return function.tried[:6]

    earlier = earlier_of(hill, space)
    assert first(earlier[:6]) == first([])
    assert first(earlier[:7]) != first([])


@pytest.mark.slow
def test_what_others_measure_of_this_surface_counts_for_more_than_an_earlier_study(space: SearchSpace) -> None:
    here = earlier_of(hill, space)
    earlier = earlier_of(lambda candidate: -hill(candidate), space)
    function = Function(hill)
    news = iter([here])
    search(space, function, budget=6, seed=2, earlier=earlier, news=lambda: next(news, []))
    assert max(hill(candidate) for candidate in function.tried[1:]) > 0.29


def test_what_others_recommend_is_tried_first(space: SearchSpace) -> None:
    start: Candidate = {
        "vm.swappiness": 33,
        "net.core.somaxconn": 4096,
        "net.ipv4.tcp_congestion_control": "cubic",
    }
    function = Function(hill)
    search(space, function, budget=12, seed=1, starts=[start])
    assert function.tried[0] == start


def test_no_two_hosts_are_given_the_same_and_none_is_idle(space: SearchSpace) -> None:
    hosts = Hosts(hill, slots=4)
    search(space, hosts, budget=24, seed=1)
    assert len(hosts.seen) == 24
    assert hosts.most == 4
    keys = {tuple(map(kernel_text, candidate.values())) for candidate in hosts.tried}
    assert len(keys) > 18  # the last ones may well repeat what is best


@pytest.mark.parametrize(("algorithm", "warm"), [SLOW_PPO, WARM_SLOW_PPO, *((name, False) for name in ALGORITHMS[1:])])
@pytest.mark.parametrize("end", [3, 13, 17])
def test_an_interrupted_search_continues_with_the_same_candidates(
    algorithm: Any, warm: bool, end: int, space: SearchSpace
) -> None:
    """Replaying the evaluations is all it takes, although two hosts return them out of order."""
    earlier = earlier_of(cliff, space) if warm else []
    whole = Hosts(cliff, slots=2)
    search(space, whole, budget=20, seed=1, algorithm=algorithm, earlier=earlier)

    resumed = Hosts(cliff, slots=2)
    search(space, resumed, budget=20, seed=1, algorithm=algorithm, earlier=earlier, history=whole.seen[:end])

    assert resumed.tried == whole.tried[end:]


def test_an_exception_from_an_evaluation_passes_through(space: SearchSpace) -> None:
    def evaluate(candidates: Sequence[Candidate]) -> list[Trial]:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        search(space, evaluate, budget=4, seed=1)


def test_only_ppo_needs_torch() -> None:
    program = (
        "import sys; from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.learner import search\n"
        "from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Axis, Layout, SearchSpace\n"
        "from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Trial\n"
        "space = SearchSpace([Axis('x', 0, 0, 9)], [Layout('x', {}, 1, False)], [])\n"
        "search(space, lambda cs: [Trial.of_function(c, 1.0) for c in cs], budget=4, seed=1, algorithm='random')\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0


def test_says_what_to_install_for_an_algorithm_that_is_not_there(
    space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sections, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"algorithm cmaes needs optuna and cmaes: pip install 'autotune-kernel\[alg"):
        search(space, Function(hill), budget=4, seed=1, algorithm="cmaes")
