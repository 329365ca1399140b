# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Model-based PPO in the manner of DyNA-PPO (Angermueller et al., ICLR 2020), for few and noisy evaluations.

In rounds: the surrogate is fitted to all evaluations; PPO learns from those that are new, and then for thousands of
steps in the surrogate environment. Between rounds, for every evaluation that ends one candidate is proposed: the
policy's proposals, as many random ones, the best so far, and then what lies around the finest of these, are screened
by the expected improvement over the best that the surrogate knows, times the chance that the evaluation does not fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from .._study.sections import TrainingConfig
from .._study.space import Candidate, SearchSpace, Value
from .._trial.trial import State, Trial
from .asking import DrawIn, remove_like
from .environment import Contexts, Observation, Observer
from .ideas import Ideas
from .policy import Policy
from .proposals import around
from .surrogate import Expectation, Features, Surrogate, log_expected_improvement, place_of
from .surrogate_env import SurrogateEnv

Numbers = NDArray[np.float64]

_ROLLOUT, _ROLLOUTS = 256, 8  # imagined evaluations an update of the policy, and updates a round
_PROPOSALS, _NEARBY = 128, 128
_REFINEMENTS, _REFINED = 2, 12
# Below this correlation of measurements with what the surrogate would have predicted, it is not asked.
_USEFUL = 0.1
# In units of the spread of the rewards: what a failure is to the policy, and of how much doubt it hopes the best.
_FAILURE, _OPTIMISM = -3.0, 0.5
# Expected improvement is sure of itself where the surrogate is; one in so many candidates hopes for more.
_DARING, _HOPE = 3, 2.0
# Few evaluations do not tell which axes matter, and one set of lengths, believed in, never looks at some of them again:
# of two parameters that need each other, the second one. So for one in so many candidates the lengths are drawn anew,
# with this spread of their logarithm.
_DOUBTED, _SPREAD = 2, 1.0
# So many contexts, at most, stand for all that were met.
_CONTEXTS = 8
_GENERATION = 1_000_003  # seeds of different rounds and candidates must not meet


class ModelBased:
    """ask() for a candidate, tell() what came of one; in any order, as many at once as there are hosts.

    The same seed and the same tells in the same order give the same candidates. design: the first batch.
    own: the host's values. known: evaluations of before, which are learned from. earlier: those of another surface,
    which is likely to be related; if it has enough of them, there is no first batch.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        config: TrainingConfig,
        design: Sequence[Candidate],
        own: Mapping[str, Value] | None,
        metrics: Sequence[str],
        contexts: Mapping[str, Sequence[float]],
        known: Sequence[Trial],
        earlier: Sequence[Trial],
        ideas: Ideas,
    ) -> None:
        torch.set_num_threads(1)  # the models are small, and the benchmark may run on this very machine
        self._space, self._seed, self._ideas = space, seed, ideas
        self._hosts = Contexts(contexts)
        self._observer = Observer(space, metrics, self._hosts)
        self._features = Features(space)
        self._earlier = sum(evaluation.state != State.LOST for evaluation in earlier)
        size = self._features.size + self._observer.context_size
        self._surrogate = Surrogate(size, seed, ideas, related=self._earlier > 0)
        slots = config.n_steps or _ROLLOUT
        self._environment = SurrogateEnv(space, self._observer, config.max_steps_per_episode, slots, seed)
        self._policy = Policy(self._environment, config, seed)
        self._design = list(design)
        self._start = dict(own or {})
        self._evaluations: list[Trial] = []
        self._before: list[Observation] = []
        self._after: list[Observation] = []
        self._points = np.zeros((0, space.size))
        self._rewards, self._errors = np.zeros(0), np.zeros(0)
        self._contexts = np.zeros((0, self._observer.context_size))
        self._last: dict[str, Observation] = {}
        self._asked = self._learned = self._fitted = 0
        self._useful = True
        self._rounds = 0
        self.pending: list[Candidate] = []
        self.promise: float | None = None
        for evaluation in earlier:
            self.hear(evaluation)
        if np.isfinite(self._rewards).sum() > len(self._design):
            self._design = []
        for evaluation in known:
            self.hear(evaluation)

    def ask(self, draw_in: DrawIn) -> Candidate:
        at, self._asked = self._asked, self._asked + 1
        if at < len(self._design):
            candidate = dict(self._design[at])
        elif np.isnan(self._rewards).sum() + 3 > len(self._rewards):  # too little to learn from, so far
            candidate = self._space.decode(np.random.default_rng([self._seed, at]).random(self._space.size))
        else:
            if len(self._rewards) >= self._fitted + max((self._fitted - self._earlier) // 12, 1):
                self._learn()
            candidate = self._space.decode(self._choose(at))
        candidate = draw_in(candidate)
        self.pending.append(candidate)
        return candidate

    def tell(self, evaluation: Trial) -> None:
        remove_like(evaluation, self.pending)
        self.hear(evaluation)

    def hear(self, evaluation: Trial) -> None:
        if evaluation.state == State.LOST:
            return
        reward = np.nan if evaluation.state == State.FAILED else evaluation.score.reward
        self._evaluations.append(evaluation)
        self._points = np.vstack([self._points, place_of(self._space, evaluation)])
        self._rewards = np.append(self._rewards, reward)
        self._errors = np.append(self._errors, evaluation.score.uncertainty)
        after = self._observer.after(evaluation)
        # What was seen before it: its own metrics may be the candidate's doing. The first one is mostly the baseline.
        start = self._observer.at_baseline(self._start, evaluation.observations, evaluation.host)
        self._before.append(self._last.get(evaluation.host, start))
        self._after.append(after)
        self._last[evaluation.host] = after
        self._contexts = np.vstack([self._contexts, self._observer.contexts(self._before[-1][None, :])])

    # A round

    def _learn(self) -> None:
        self._surrogate.fit(self._known(), self._rewards, self._errors)
        self._useful = self._surrogate.quality() > _USEFUL
        self._rounds += 1
        self._fitted = len(self._rewards)
        if self._ideas.policy:
            self._practise()

    def _practise(self) -> None:
        """Let the policy learn from what was measured since the last round, and then from what can be imagined."""
        worked = ~np.isnan(self._rewards)
        centre, spread = self._rewards[worked].mean(), max(self._rewards[worked].std(), 1e-6)
        seed = self._seed + _GENERATION * self._rounds
        standard = np.clip(np.nan_to_num((self._rewards - centre) / spread, nan=_FAILURE), _FAILURE, 3.0)
        new = slice(self._learned, None)
        actions = (2 * self._points - 1).astype(np.float32)
        self._policy.learn(np.array(self._before)[new], actions[new], standard[new], seed)
        self._learned = len(self._rewards)
        if not self._useful:
            return
        performances = [e.score.performance for e in self._evaluations]
        offset = np.mean([p - r for p, r in zip(performances, self._rewards, strict=True) if p is not None])

        def imagine(points: Numbers, dummy: Numbers) -> tuple[Numbers, Numbers]:
            # What is best for one host under one load is not wanted: the candidate is for all of them.
            expected = self._expect(points)
            hoped = np.clip((expected.mean + _OPTIMISM * expected.std - centre) / spread, _FAILURE, 6.0)
            return expected.works * hoped + (1 - expected.works) * _FAILURE, expected.mean + offset

        self._environment.set(imagine, np.array(self._after), seed)
        self._policy.imagine(_ROLLOUTS * self._environment.num_envs, seed)

    # A candidate

    def _choose(self, at: int) -> Numbers:
        generator = np.random.default_rng([self._seed, at])
        if not self._useful:
            self.promise = None
            return generator.random(self._space.size)
        doubts = self._ideas.doubt and at % _DOUBTED == 0
        size = self._features.size + self._observer.context_size
        self._surrogate.doubt(np.exp(_SPREAD * generator.normal(size=size)) if doubts else 1.0)
        pending = self._space_points(self.pending)
        middle = np.tile(self._contexts.mean(axis=0), (len(pending), 1))
        self._surrogate.condition(self._known(), self._rewards, self._errors, self._seen(pending, middle))
        tried = np.unique(self._points[~np.isnan(self._rewards)], axis=0)
        known = self._expect(tried)
        # They work where they were tried; elsewhere they may not.
        leader = np.argmax(self._sound(known) if len(self._met()) > 1 else known.mean)
        best = float(known.mean[leader])
        shape = _PROPOSALS, self._space.size
        proposed = self._proposed(at) if self._ideas.policy else generator.random(shape)
        points = self._space.snap(np.concatenate([tried[[leader]], proposed, generator.random(shape)]))
        expected = self._expect(points)
        for dummy in range(_REFINEMENTS):
            finest = points[np.argsort(-self._worth(expected, best, at))[:_REFINED]]
            closer = self._space.snap(around(self._space, finest, _NEARBY, generator))
            points = np.concatenate([finest, closer])
            expected = self._expect(points)
        if not doubts:
            self.promise = float(np.exp(_likely_improvement(expected, best).max()))
        found: Numbers = points[np.argmax(self._worth(expected, best, at))]
        return found

    def _worth(self, expected: Expectation, best: float, at: int) -> Numbers:
        if self._ideas.doubt and at % _DARING == 0:
            return self._sound(expected) + _HOPE * expected.std
        return _likely_improvement(expected, best)

    def _sound(self, expected: Expectation) -> Numbers:
        """The reward that is expected, less where there may be a failure instead."""
        return expected.mean + _log(expected.works) * self._surrogate.spread

    def _expect(self, points: Numbers) -> Expectation:
        """Of each point in the contexts that there were, on average; what fails in one of them is for none."""
        each = [self._surrogate.expect(self._seen(points, np.tile(one, (len(points), 1)))) for one in self._met()]
        mean, std = (np.mean([getattr(one, part) for one in each], axis=0) for part in ("mean", "std"))
        return Expectation(mean, std, np.min([one.works for one in each], axis=0))

    def _proposed(self, at: int) -> Numbers:
        """The policy's proposals for the hosts as they were last seen."""
        observations = np.array(list(self._last.values()))
        wanted = observations[np.arange(_PROPOSALS) % len(observations)]
        return self._policy.propose(wanted, self._seed + _GENERATION * at + 1)

    def _met(self) -> Numbers:
        """Contexts that stand for all that this fleet met, some of every host: evenly from them in their order."""
        own = enumerate(self._evaluations)
        here = [at >= self._earlier and evaluation.host in self._hosts for at, evaluation in own]
        # Backwards, for what tells hosts apart comes last.
        met = np.unique(self._contexts[here if any(here) else slice(None)][:, ::-1], axis=0)[:, ::-1]
        count = min(len(met), _CONTEXTS)
        chosen: Numbers = met[((np.arange(count) + 0.5) * len(met) / count).astype(int)]
        return chosen

    def _seen(self, points: Numbers, contexts: Numbers) -> Numbers:
        """What the surrogate sees of points in the contexts that they meet, in this study."""
        return np.hstack([self._features(points), contexts, np.zeros((len(points), 1 if self._earlier else 0))])

    def _known(self) -> Numbers:
        """What the surrogate sees of all that was measured, the earlier study's first."""
        seen = self._seen(self._points, self._contexts)
        if self._earlier:
            seen[: self._earlier, -1] = 1
        return seen

    def _space_points(self, candidates: Sequence[Candidate]) -> Numbers:
        return np.array([self._space.encode(candidate) for candidate in candidates]).reshape(-1, self._space.size)


def _likely_improvement(expected: Expectation, best: float) -> Numbers:
    """The logarithm of the expected improvement, times the chance that there is any."""
    return log_expected_improvement(expected.mean, expected.std, best) + _log(expected.works)


def _log(chance: Numbers) -> Numbers:
    found: Numbers = np.log(np.maximum(chance, 1e-6))
    return found
