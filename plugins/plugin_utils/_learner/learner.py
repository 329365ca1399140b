# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The learner: which candidates to evaluate, given the trials so far.

`search` is its whole interface: a search space, and something that evaluates candidates. Nothing here depends on hosts,
sockets or Ansible, and only `algorithm="ppo"` needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .._study.sections import AlgorithmName, TrainingConfig
from .._study.space import Candidate, SearchSpace, Value
from .._trial.trial import Trial
from .algorithms import new_algorithm
from .components import Components
from .protocols import Algorithm, Evaluator, Proposal, Region, WholeSpace, index_of

Evaluate = Callable[[Sequence[Candidate]], list[Trial]]
PollTrials = Callable[[], Sequence[Trial]]
ShouldStop = Callable[[int, int, float | None], bool]


def search(
    space: SearchSpace,
    evaluator: Evaluator | Evaluate,
    *,
    budget: int,
    seed: int,
    algorithm: AlgorithmName = "ppo",
    config: TrainingConfig | None = None,
    original: Mapping[str, Value] | None = None,
    starting_candidates: Sequence[Proposal] = (),
    metrics: Sequence[str] = (),
    contexts: Mapping[str, Sequence[float]] | None = None,
    known: Sequence[Trial] = (),
    earlier: Sequence[Trial] = (),
    poll_trials: PollTrials = list,
    replay: Sequence[Trial] = (),
    should_stop: ShouldStop = lambda observed, pending, expected_gain: False,
    region: Region | None = None,
    components: Components | None = None,
) -> None:
    """Run `budget` trials to find the best candidate; the evaluator keeps the trials (see `recommend`).

    The same seed and the same trials in the same order give the same candidates. Exceptions of the evaluator propagate.

    evaluator: a function from candidates to their trials, or an `Evaluator`.
    original: the host's original values. starting_candidates: tried first. metrics: the observations of a trial that
    the policy sees. contexts: features of each host, such as its memory, by the host's name.
    known: trials of the same surface, such as the baseline. earlier: trials of related surfaces. poll_trials: called
    regularly for trials that others have made meanwhile. None of these count against the budget.
    replay: the trials of this run before it was interrupted, in order. They count, and the search continues with the
    candidates that it would have proposed without the interruption.
    should_stop(observed, pending, expected_gain): whether to stop early, given the number of trials observed and
    pending and the improvement expected of the next candidate, None if that is unknown.
    region: where candidates may lie; it is updated with each trial before the next candidate is projected into it.

    Maximising a function, without hosts and without Ansible:

    >>> from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.recommendation import recommend
    >>> from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Axis, Layout, SearchSpace
    >>> from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Trial
    >>> space = SearchSpace([Axis("x", 0, 0, 1000)], [Layout("x", {}, 1, False)], [])
    >>> trials = []
    >>> def evaluate(candidates):  # None instead of a number would be a failure
    ...     found = [Trial.of_function(values, -((values["x"] - 700) / 1000) ** 2) for values in candidates]
    ...     trials.extend(found)
    ...     return found
    >>> search(space, evaluate, budget=16, seed=1)
    >>> abs(recommend(space, trials, 1)[0]["x"] - 700) < 50
    True
    """
    learner = new_algorithm(
        algorithm,
        space,
        budget=budget,
        seed=seed,
        config=config or TrainingConfig(),
        original=original,
        starting_candidates=starting_candidates,
        metrics=metrics,
        contexts=contexts or {},
        known=known,
        earlier=earlier,
        components=components or Components(),
    )
    evaluator = FunctionEvaluator(evaluator) if callable(evaluator) else evaluator
    _Search(learner, evaluator, region or WholeSpace(), budget, poll_trials, should_stop).run(replay)


class _Search:
    """The loop of ask, evaluate and observe: one new candidate for each trial that ends."""

    def __init__(
        self,
        algorithm: Algorithm,
        evaluator: Evaluator,
        region: Region,
        budget: int,
        poll_trials: PollTrials,
        should_stop: ShouldStop,
    ) -> None:
        self._algorithm, self._evaluator, self._region, self._budget = algorithm, evaluator, region, budget
        self._poll_trials, self._should_stop = poll_trials, should_stop
        self._observed = 0
        self._pending: list[Candidate] = []  # no trial observed yet
        self._unsubmitted: list[Proposal] = []  # the latest of the pending ones

    def run(self, replay: Sequence[Trial]) -> None:
        self._ask()
        for trial in replay:
            unsubmitted = [proposal.candidate for proposal in self._unsubmitted]
            if unsubmitted:
                del self._unsubmitted[_index_of(trial, unsubmitted)]
            self._observe(trial)
        self._submit()
        while self._observed < self._budget:
            ended = self._evaluator.collect()
            for trial in self._poll_trials():
                self._algorithm.observe(trial)
            for trial in ended:
                self._observe(trial)
                self._submit()

    def _ask(self) -> None:
        while len(self._pending) < min(self._evaluator.slots, self._budget - self._observed):
            candidate = self._algorithm.ask(self._region.project, self._pending)
            self._pending.append(candidate)
            self._unsubmitted.append(Proposal(candidate, self._algorithm.proposed_by))

    def _observe(self, trial: Trial) -> None:
        if self._pending:
            del self._pending[_index_of(trial, self._pending)]
        self._region.update(trial)
        self._algorithm.observe(trial)
        self._observed += 1
        if self._should_stop(self._observed, len(self._pending), self._algorithm.expected_gain):
            self._budget = self._observed + len(self._pending)
        self._ask()

    def _submit(self) -> None:
        if self._unsubmitted:
            self._evaluator.submit(self._unsubmitted)
            self._unsubmitted = []


class FunctionEvaluator:
    """A plain function as an `Evaluator`."""

    slots = 1

    def __init__(self, evaluate: Evaluate) -> None:
        self._evaluate = evaluate
        self._submitted: list[Candidate] = []

    def submit(self, proposals: Sequence[Proposal]) -> None:
        self._submitted += [proposal.candidate for proposal in proposals]

    def collect(self) -> list[Trial]:
        submitted, self._submitted = self._submitted, []
        return self._evaluate(submitted)


def _index_of(trial: Trial, candidates: Sequence[Candidate]) -> int:
    """Of the candidate of this trial; of the oldest if none matches, as when hosts are absent during a replay."""
    return index_of(trial.requested, candidates) or 0
