# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The learner: which candidates to evaluate, given what came of those before.

`search` is the whole interface: a search space and something that evaluates candidates, from anywhere. Nothing here
knows of hosts, sockets or Ansible, and only `algorithm="ppo"` needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .._study.sections import AlgorithmName, TrainingConfig
from .._study.space import Candidate, SearchSpace, Value
from .._trial.trial import Trial
from .algorithms import new_algorithm
from .asking import Algorithm, Anywhere, Evaluator, Region, remove_like
from .ideas import Ideas

Evaluate = Callable[[Sequence[Candidate]], list[Trial]]
IsEnough = Callable[[int, int, float | None], bool]


def search(
    space: SearchSpace,
    evaluator: Evaluator | Evaluate,
    *,
    budget: int,
    seed: int,
    algorithm: AlgorithmName = "ppo",
    config: TrainingConfig | None = None,
    own: Mapping[str, Value] | None = None,
    starts: Sequence[Candidate] = (),
    metrics: Sequence[str] = (),
    contexts: Mapping[str, Sequence[float]] | None = None,
    known: Sequence[Trial] = (),
    earlier: Sequence[Trial] = (),
    news: Callable[[], Sequence[Trial]] = list,
    history: Sequence[Trial] = (),
    is_enough: IsEnough = lambda told, under_way, promise: False,
    region: Region | None = None,
    ideas: Ideas | None = None,
) -> None:
    """Spend `budget` evaluations on finding what is best; the evaluator keeps what it saw (see `recommend`).

    evaluator: a function from candidates to their evaluations, or an Evaluator, which works while this thinks.
    own: the values that the host has, if nothing is changed. starts: candidates that somebody recommends; they are
    tried first. metrics: which of an evaluation's observations count. contexts: by host, numbers that tell it from
    others, such as its memory.
    known: evaluations of before on this very surface, such as of the baseline; they are learned from and do not count.
    earlier: those of earlier studies, on surfaces that may be others; likewise.
    news: asked again and again for evaluations which others have made meanwhile; these do not count either.
    history: this run's own evaluations before it was interrupted, in order. They count against the budget. The search
    replays them, so it continues with the candidates that an uninterrupted search would have tried.
    is_enough(number of own evaluations seen, of those under way, promise): whether to end before the budget is spent
    (see stopping.py); promise: by how much the reward is expected to grow with the next candidate, None where that is
    not known.
    region: where candidates may lie; it hears of every own evaluation before the next candidate is drawn into it.
    The same seed and measurements in the same order give the same candidates, interrupted or not. An exception from the
    evaluator passes through.

    Searching a function, without hosts and without Ansible:

    >>> from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Axis, Layout, SearchSpace
    >>> from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Trial
    >>> from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.recommendation import recommend
    >>> space = SearchSpace([Axis("x", 0, 0, 1000)], [Layout("x", {}, 1, False)], [])
    >>> seen = []
    >>> def evaluate(candidates):  # higher is better; None would be a failure
    ...     found = [Trial.of_function(candidate, -((candidate["x"] - 700) / 1000) ** 2) for candidate in candidates]
    ...     seen.extend(found)
    ...     return found
    >>> search(space, evaluate, budget=16, seed=1)
    >>> abs(recommend(space, seen, 1)[0]["x"] - 700) < 50
    True
    """
    learner = new_algorithm(
        algorithm,
        space,
        budget=budget,
        seed=seed,
        config=config or TrainingConfig(),
        own=own,
        starts=starts,
        metrics=metrics,
        contexts=contexts or {},
        known=known,
        earlier=earlier,
        ideas=ideas or Ideas(),
    )
    hosts: Evaluator = OneByOne(evaluator) if callable(evaluator) else evaluator
    _Run(learner, hosts, region or Anywhere(), budget, news, is_enough).go(history)


class _Run:
    """The loop: for every evaluation that ends, one candidate, so that nothing hangs on how many end at a time."""

    def __init__(
        self,
        learner: Algorithm,
        hosts: Evaluator,
        region: Region,
        budget: int,
        news: Callable[[], Sequence[Trial]],
        is_enough: IsEnough,
    ) -> None:
        self._learner, self._hosts, self._region, self._budget = learner, hosts, region, budget
        self._news, self._is_enough = news, is_enough
        self._told = 0
        self._waiting: list[Candidate] = []  # asked, and not yet submitted

    def go(self, history: Sequence[Trial]) -> None:
        self._fill()
        for evaluation in history:
            remove_like(evaluation, self._waiting)
            self._tell(evaluation)
        self._submit()
        while self._told < self._budget:
            ended = self._hosts.collect()
            for evaluation in self._news():
                self._learner.hear(evaluation)
            for evaluation in ended:
                self._tell(evaluation)
                self._submit()

    def _tell(self, evaluation: Trial) -> None:
        self._region.learn(evaluation)
        self._learner.tell(evaluation)
        self._told += 1
        under_way = len(self._learner.pending)
        if self._is_enough(self._told, under_way, self._learner.promise):
            self._budget = self._told + under_way  # what is under way comes to its end
        self._fill()

    def _fill(self) -> None:
        while len(self._learner.pending) < min(self._hosts.slots, self._budget - self._told):
            self._waiting.append(self._learner.ask(self._region.draw_in))

    def _submit(self) -> None:
        if self._waiting:
            self._hosts.submit(self._waiting)
            self._waiting = []


class OneByOne:
    """A plain function as an Evaluator."""

    slots = 1

    def __init__(self, evaluate: Evaluate) -> None:
        self._evaluate = evaluate
        self._submitted: list[Candidate] = []

    def submit(self, candidates: Sequence[Candidate]) -> None:
        self._submitted += candidates

    def collect(self) -> list[Trial]:
        submitted, self._submitted = self._submitted, []
        return self._evaluate(submitted)
