"""The search, on functions whose maximum is known."""

from __future__ import annotations

import doctest
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, cast

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner import algorithms, learner
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.protocols import Proposal
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.recommendation import recommend
from ansible_collections.autotune.kernel.plugins.plugin_utils._study import sections
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.parameters import kernel_text
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.sections import TrainingConfig
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Candidate, SearchSpace
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import State, Trial

Surface = Callable[[Candidate], float | None]
# The policy is trained less than in a study: nothing tested here depends on it.
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
    """Best at vm.swappiness 150 with bbr; net.core.somaxconn has no influence."""
    bonus = {"reno": 0.0, "cubic": 0.1, "bbr": 0.3}[str(candidate["net.ipv4.tcp_congestion_control"])]
    return bonus - ((float(candidate["vm.swappiness"]) - 150) / 200) ** 2


def cliff(candidate: Candidate) -> float | None:
    """The best candidates lie next to a region where all fail."""
    return None if float(candidate["vm.swappiness"]) > 155 else hill(candidate)


class Recorder:
    """A surface that records its trials."""

    def __init__(self, surface: Surface) -> None:
        self.surface = surface
        self.trials: list[Trial] = []

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Trial]:
        found = [Trial.of_function(candidate, self.surface(candidate)) for candidate in candidates]
        self.trials += found
        return found

    @property
    def tried(self) -> list[Candidate]:
        return [dict(trial.requested) for trial in self.trials]


class Function(Recorder):
    """A plain function as an evaluator."""

    def __call__(self, candidates: Sequence[Candidate]) -> list[Trial]:
        return self.evaluate(candidates)


class Hosts(Recorder):
    """Several hosts; the candidate submitted last ends first."""

    def __init__(self, surface: Surface, slots: int) -> None:
        super().__init__(surface)
        self.slots = slots
        self.pending: list[Candidate] = []
        self.max_pending = 0

    def submit(self, proposals: Sequence[Proposal]) -> None:
        self.pending += [proposal.candidate for proposal in proposals]
        self.max_pending = max(self.max_pending, len(self.pending))

    def collect(self) -> list[Trial]:
        return self.evaluate([self.pending.pop()])


@pytest.mark.takes_seconds
def test_the_example_in_the_docstring_runs() -> None:
    results = doctest.testmod(learner)
    assert results.attempted > 5
    assert results.failed == 0


@pytest.mark.takes_seconds
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_spends_exactly_its_budget(algorithm: Any, space: SearchSpace) -> None:
    for budget in (1, 11):
        function = Function(hill)
        search(space, function, budget=budget, seed=1, algorithm=algorithm)
        assert len(function.trials) == budget


@pytest.mark.takes_seconds
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_same_seed_and_measurements_give_the_same_candidates(algorithm: Any, space: SearchSpace) -> None:
    def tried(seed: int) -> list[Candidate]:
        function = Function(cliff)
        search(space, function, budget=12, seed=seed, algorithm=algorithm)
        return function.tried

    assert tried(1) == tried(1)
    assert tried(1) != tried(2)


@pytest.mark.takes_seconds
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_ranges_of_billions_are_searched_as_integers(algorithm: Any, new_study: Callable[..., Study]) -> None:
    """Optuna's Gaussian process enumerated them: 32 GiB for tcp_notsent_lowat in the lab's study."""
    wide = {"param": "net.ipv4.tcp_notsent_lowat", "min": 16384, "max": 2**32 - 1}
    stepped = {"param": "vm.min_free_kbytes", "min": 1000, "max": 10**9, "step": 1000}
    space = new_study(action_space=[{**wide, "log": True}, stepped]).space
    function = Function(lambda candidate: float(candidate["net.ipv4.tcp_notsent_lowat"]) / 2**32)
    known = [Trial.of_function({"net.ipv4.tcp_notsent_lowat": 2**32 - 1, "vm.min_free_kbytes": 67000}, 0.5)]
    search(space, function, budget=14, seed=1, algorithm=algorithm, known=known)
    for candidate in function.tried:
        assert 16384 <= int(candidate["net.ipv4.tcp_notsent_lowat"]) <= 2**32 - 1
        assert int(candidate["vm.min_free_kbytes"]) % 1000 == 0


@pytest.mark.takes_seconds
def test_the_trials_decide_which_candidates_follow(space: SearchSpace) -> None:
    def tried(surface: Surface) -> list[Candidate]:
        function = Function(surface)
        search(space, function, budget=8, seed=1)
        return function.tried

    one, other = tried(hill), tried(lambda candidate: -hill(candidate))
    assert one[:4] == other[:4]
    assert one[4:] != other[4:]


@pytest.mark.takes_seconds
def test_finds_the_maximum(space: SearchSpace) -> None:
    function = Function(hill)
    search(space, function, budget=30, seed=1)
    best = recommend(space, function.trials, 1)[0]
    assert hill(best) > 0.29  # of 0.3; one random candidate in a hundred is as good


@pytest.mark.slow
def test_learns_where_trials_fail(space: SearchSpace) -> None:
    """A fifth of the space fails; without learning this, half of the trials near the maximum would."""
    function = Function(cliff)
    search(space, function, budget=40, seed=1)
    failed = [trial.state == State.FAILED for trial in function.trials]
    assert sum(failed[20:]) <= 4
    assert hill(recommend(space, function.trials, 1)[0]) > 0.28


@pytest.mark.slow
def test_the_search_continues_without_a_useless_surrogate(space: SearchSpace) -> None:
    """Noise cannot be predicted, so candidates stay spread over the space."""
    noise = iter(range(1000))
    function = Function(lambda dummy: (next(noise) * 0.618) % 1.0)
    search(space, function, budget=30, seed=1)
    late = [float(candidate["vm.swappiness"]) for candidate in function.tried[15:]]
    assert max(late) - min(late) > 100


@pytest.mark.slow
def test_learns_from_known_trials_which_do_not_count(space: SearchSpace) -> None:
    before = Function(hill)
    search(space, before, budget=24, seed=1)
    function = Function(hill)
    search(space, function, budget=6, seed=2, known=before.trials)
    assert len(function.trials) == 6
    assert max(hill(candidate) for candidate in function.tried) > 0.29


def valley(candidate: Candidate) -> float:
    return -hill(candidate)


EARLIER: dict[Surface, list[Trial]] = {}


def earlier_of(surface: Surface, space: SearchSpace) -> list[Trial]:
    if surface not in EARLIER:
        before = Function(surface)
        search(space, before, budget=24, seed=1)
        EARLIER[surface] = before.trials
    return EARLIER[surface]


@pytest.mark.slow
def test_an_earlier_study_of_a_related_surface_speeds_up_the_search(space: SearchSpace) -> None:
    """Its scale and its baseline differ: taken for trials of this surface, all would lie far above it."""
    earlier = earlier_of(lambda candidate: 5.0 + 3.0 * hill(candidate), space)
    function = Function(hill)
    search(space, function, budget=6, seed=2, earlier=earlier)
    assert hill(function.tried[0]) > 0.25
    assert max(hill(candidate) for candidate in function.tried) > 0.29


@pytest.mark.slow
def test_a_misleading_earlier_study_is_outvoted(space: SearchSpace) -> None:
    earlier = earlier_of(valley, space)
    function = Function(hill)
    search(space, function, budget=30, seed=2, earlier=earlier)
    assert hill(recommend(space, function.trials, 1)[0]) > 0.25


@pytest.mark.slow
def test_a_short_earlier_study_does_not_replace_the_initial_design(space: SearchSpace) -> None:
    class Enough(Exception):
        pass

    def first(earlier: Sequence[Trial]) -> list[Candidate]:
        function = Function(hill)

        def six(candidates: Sequence[Candidate]) -> list[Trial]:
            if len(function.trials) >= 6:
                raise Enough
            return function(candidates)

        with pytest.raises(Enough):
            search(space, six, budget=24, seed=2, earlier=earlier)
        return function.tried[:6]

    earlier = earlier_of(hill, space)
    without = first([])
    assert first(earlier[:6]) == without
    assert first(earlier[:7]) != without


@pytest.mark.slow
def test_trials_of_other_runs_count_for_more_than_an_earlier_study(space: SearchSpace) -> None:
    here = earlier_of(hill, space)
    earlier = earlier_of(valley, space)
    function = Function(hill)
    polled = iter([here])
    search(space, function, budget=6, seed=2, earlier=earlier, poll_trials=lambda: next(polled, []))
    assert max(hill(candidate) for candidate in function.tried[1:]) > 0.29


@pytest.mark.takes_seconds
def test_starting_candidates_are_tried_first(space: SearchSpace) -> None:
    start: Candidate = {
        "vm.swappiness": 33,
        "net.core.somaxconn": 4096,
        "net.ipv4.tcp_congestion_control": "cubic",
    }
    function = Function(hill)
    search(space, function, budget=12, seed=1, starting_candidates=[Proposal(start, "an expert")])
    assert function.tried[0] == start


@pytest.mark.takes_seconds
def test_every_candidate_says_who_proposed_it(space: SearchSpace) -> None:
    start: Candidate = {"vm.swappiness": 33, "net.core.somaxconn": 4096, "net.ipv4.tcp_congestion_control": "cubic"}
    said: list[str] = []

    class Listening(Recorder):
        slots = 1

        def submit(self, proposals: Sequence[Proposal]) -> None:
            said.extend(proposal.by for proposal in proposals)
            self.pending = [proposal.candidate for proposal in proposals]

        def collect(self) -> list[Trial]:
            return self.evaluate(self.pending)

    search(space, Listening(hill), budget=16, seed=1, starting_candidates=[Proposal(start, "an expert")])
    assert said[0] == "an expert"
    assert said[1:3] == ["the initial design"] * 2
    assert all(by.startswith("algorithm ppo, ") for by in said[4:])
    for algorithm, by in (("random", "random search"), ("tpe", "algorithm tpe")):
        said.clear()
        search(space, Listening(hill), budget=3, seed=1, algorithm=algorithm)  # type: ignore[arg-type]
        assert said == [by] * 3


@pytest.mark.takes_seconds
def test_hosts_get_different_candidates_and_none_is_idle(space: SearchSpace) -> None:
    hosts = Hosts(hill, slots=4)
    search(space, hosts, budget=24, seed=1)
    assert len(hosts.trials) == 24
    assert hosts.max_pending == 4
    keys = {tuple(map(kernel_text, candidate.values())) for candidate in hosts.tried}
    assert len(keys) > 18  # the last ones may repeat the best


@pytest.mark.takes_seconds
@pytest.mark.parametrize(("algorithm", "warm"), [SLOW_PPO, WARM_SLOW_PPO, *((name, False) for name in ALGORITHMS[1:])])
def test_an_interrupted_search_continues_with_the_same_candidates(
    algorithm: Any, warm: bool, space: SearchSpace
) -> None:
    """By replaying the trials alone, although two hosts return them out of order."""
    earlier = earlier_of(cliff, space) if warm else []
    whole = Hosts(cliff, slots=2)
    search(space, whole, budget=16, seed=1, algorithm=algorithm, earlier=earlier)

    for end in [13] if warm else [3, 13]:
        resumed = Hosts(cliff, slots=2)
        search(space, resumed, budget=16, seed=1, algorithm=algorithm, earlier=earlier, replay=whole.trials[:end])
        assert resumed.tried == whole.tried[end:], end


def test_an_exception_of_the_evaluator_propagates(space: SearchSpace) -> None:
    def evaluate(candidates: Sequence[Candidate]) -> list[Trial]:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        search(space, evaluate, budget=4, seed=1)


@pytest.mark.takes_seconds
@pytest.mark.parametrize(("algorithm", "budget", "needs_torch"), [("random", 5, 0), ("ppo", 4, 0), ("ppo", 5, 1)])
def test_only_ppo_needs_torch_and_not_for_the_initial_design(algorithm: str, budget: int, needs_torch: int) -> None:
    program = (
        "import sys; from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.learner import search\n"
        "from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Axis, Layout, SearchSpace\n"
        "from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Trial\n"
        "space = SearchSpace([Axis('x', 0, 0, 9)], [Layout('x', {}, 1, False)], [])\n"
        "evaluate = lambda candidates: [Trial.of_function(each, each['x']) for each in candidates]\n"
        f"search(space, evaluate, budget={budget}, seed=1, algorithm='{algorithm}')\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": ":".join(sys.path)})
    assert ended.returncode == needs_torch


def test_says_what_to_install_for_an_algorithm(space: SearchSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"algorithm cmaes needs optuna and cmaes: pip install optuna cmaes"):
        search(space, Function(hill), budget=4, seed=1, algorithm="cmaes")


def test_an_algorithm_without_a_branch_is_refused(space: SearchSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(algorithms, "AlgorithmName", Literal["random", "annealing"])
    with pytest.raises(ValueError, match=r"'annealing' has no branch in new_algorithm\(\)"):
        search(space, Function(hill), budget=4, seed=1, algorithm=cast("Any", "annealing"))
