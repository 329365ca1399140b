# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Model-based PPO in the manner of DyNA-PPO (Angermueller et al., ICLR 2020), for few and noisy trials.

It works in rounds. In each the surrogate is fitted to all trials; PPO learns from the new ones, and then from thousands
of steps in the surrogate environment. For every trial that ends, one candidate is proposed: the policy's proposals, as
many random points, the incumbent, and then mutants of the best of these are screened. In searches of the size for which
the acquisition policy was trained, that one decides (acquisition_policy.py); in others expected improvement times the
probability of not failing does, and the upper confidence bound for every third candidate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from .._study.sections import TrainingConfig
from .._study.space import Candidate, Numbers, SearchSpace, Value
from .._trial.trial import State, Trial
from .acquisition_policy import UCB, Decision, Pool, covers, described, offer, scores
from .components import Components
from .mutation import mutate
from .observation import HostContexts, Observation, Observer
from .policy import Policy
from .protocols import Project, point_of
from .surrogate import Features, Prediction, Surrogate, in_contexts, log_expected_improvement
from .surrogate_env import SurrogateEnv

_ROLLOUT, _ROLLOUTS = 256, 8  # surrogate steps per policy update, and updates per round
_PROPOSALS, _MUTANTS = 128, 128
_GENERATIONS, _PARENTS = 2, 12
_MIN_QUALITY = 0.1  # of the surrogate; below it, candidates are random
# In standard deviations of the rewards: the policy's reward for a failure, and its bonus per predicted deviation.
_FAILURE, _OPTIMISM = -3.0, 0.5
# Expected improvement exploits where the surrogate is certain: every third candidate maximises the upper confidence
# bound instead.
_UCB_INTERVAL, _UCB_BETA = 3, 2.0
# Few trials do not tell which axes matter, and the fitted lengthscales may hide one for good, such as the second of two
# parameters that need each other: for every second candidate they are multiplied by log-normal factors.
_JITTER_INTERVAL, _JITTER = 2, 1.0
_POOL = Pool(random=272, mutants=250, parents=8)  # what the acquisition policy decides among, beside proposals
_MAX_CONTEXTS = 8
# Who proposed a candidate, as the result names it.
_POLICY, _MUTATION = "algorithm ppo, its policy", "algorithm ppo, a mutation of the best"
_DECISION = "algorithm ppo, chosen by its trained policy"
_INCUMBENT, _RANDOM = "algorithm ppo, the best so far again", "algorithm ppo, at random"
_SEED_STRIDE = 1_000_003  # keeps the seeds of rounds and candidates apart


class ModelBasedPPO:
    """An `Algorithm`.

    budget: of the whole search. asked: how many candidates were proposed before, by the initial design.
    original, metrics, contexts, known, earlier: as for `search`.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        budget: int,
        seed: int,
        config: TrainingConfig,
        asked: int,
        original: Mapping[str, Value] | None,
        metrics: Sequence[str],
        contexts: Mapping[str, Sequence[float]],
        known: Sequence[Trial],
        earlier: Sequence[Trial],
        components: Components,
    ) -> None:
        torch.set_num_threads(1)  # see GaussianProcess.fit
        self._space, self._seed, self._components = space, seed, components
        self._hosts = HostContexts(contexts)
        self._observer = Observer(space, metrics, self._hosts)
        self._features = Features(space)
        self._earlier = sum(trial.state != State.LOST for trial in earlier)
        self._size = self._features.size + self._observer.context_size
        self._surrogate = Surrogate(self._size, seed, components, multi_task=self._earlier > 0)
        steps = config.n_steps or _ROLLOUT
        self._environment = SurrogateEnv(space, self._observer, config.max_steps_per_episode, steps, seed)
        self._policy = Policy(self._environment, config, seed)
        self._original = dict(original or {})
        self._trials: list[Trial] = []
        self._before: list[Observation] = []
        self._after: list[Observation] = []
        self._points = np.zeros((0, space.size))
        self._rewards, self._noise = np.zeros(0), np.zeros(0)
        self._contexts = np.zeros((0, self._observer.context_size))
        self._latest: dict[str, Observation] = {}
        self._budget, self._decisions = budget, max(budget - asked, 1)
        # It was trained on single hosts and without earlier studies.
        self._decides = (
            components.acquisition_policy and covers(budget, space.size) and not self._earlier and len(contexts) <= 1
        )
        self._incumbent: Numbers | None = None
        self._unchanged = 0  # for how many decisions the incumbent has been the same
        self._asked, self._rounds = asked, 0
        self._fitted = self._practised = 0  # trials that the surrogate, and the policy, have learned from
        self._is_useful = True
        self.expected_gain: float | None = None
        self.proposed_by = ""
        for trial in [*earlier, *known]:
            self.observe(trial)

    def ask(self, project: Project, pending: Sequence[Candidate]) -> Candidate:
        index, self._asked = self._asked, self._asked + 1
        if np.isfinite(self._rewards).sum() < 3:
            self.proposed_by = _RANDOM
            return project(self._space.decode(np.random.default_rng([self._seed, index]).random(self._space.size)))
        if len(self._rewards) >= self._fitted + max((self._fitted - self._earlier) // 12, 1):
            self._learn()
        return project(self._space.decode(self._proposal(index, pending)))

    def observe(self, trial: Trial) -> None:
        if trial.state == State.LOST:
            return
        self._trials.append(trial)
        self._points = np.vstack([self._points, point_of(self._space, trial)])
        self._rewards = np.append(self._rewards, np.nan if trial.state == State.FAILED else trial.score.reward)
        self._noise = np.append(self._noise, trial.score.uncertainty)
        # The context is what was observed before the trial: the candidate may have changed the metrics since.
        start = self._observer.at_baseline(self._original, trial.observations, trial.host)
        self._before.append(self._latest.get(trial.host, start))
        self._after.append(self._observer.after(trial))
        self._latest[trial.host] = self._after[-1]
        self._contexts = np.vstack([self._contexts, self._observer.contexts(self._before[-1][None, :])])

    def _learn(self) -> None:
        self._surrogate.fit(self._known_features(), self._rewards, self._noise)
        self._is_useful = self._surrogate.quality() > _MIN_QUALITY
        self._rounds += 1
        self._fitted = len(self._rewards)
        if self._components.policy:
            self._train_policy()

    def _train_policy(self) -> None:
        succeeded = ~np.isnan(self._rewards)
        mean, std = self._rewards[succeeded].mean(), max(self._rewards[succeeded].std(), 1e-6)
        seed = self._seed + _SEED_STRIDE * self._rounds
        standardised = np.clip(np.nan_to_num((self._rewards - mean) / std, nan=_FAILURE), _FAILURE, 3.0)
        new = slice(self._practised, None)
        actions = (2 * self._points - 1).astype(np.float32)
        self._policy.train_on_trials(np.array(self._before)[new], actions[new], standardised[new], seed)
        self._practised = len(self._rewards)
        if not self._is_useful:
            return
        performances = [trial.score.performance for trial in self._trials]
        offset = np.mean([p - r for p, r in zip(performances, self._rewards, strict=True) if p is not None])

        def predict(points: Numbers) -> tuple[Numbers, Numbers]:
            # For all contexts, although the policy knows its own: a candidate is wanted that suits every host.
            predicted = self._predict(points)
            optimistic = np.clip((predicted.mean + _OPTIMISM * predicted.std - mean) / std, _FAILURE, 6.0)
            rewards = predicted.p_feasible * optimistic + (1 - predicted.p_feasible) * _FAILURE
            return rewards, predicted.mean + offset

        self._environment.set_model(predict, np.array(self._after), seed)
        self._policy.train_on_surrogate(_ROLLOUTS * self._environment.num_envs, seed)

    def _proposal(self, index: int, pending: Sequence[Candidate]) -> Numbers:
        """The point with the best acquisition value."""
        generator = np.random.default_rng([self._seed, index])
        if not self._is_useful:
            self.expected_gain, self.proposed_by = None, _RANDOM
            return generator.random(self._space.size)
        data = self._known_features(), self._rewards, self._noise, self._pending_features(pending)
        tried = np.unique(self._points[~np.isnan(self._rewards)], axis=0)
        if self._decides:
            return self._decided(index, tried, data, generator)
        jitters = self._components.exploration and index % _JITTER_INTERVAL == 0
        factors = np.exp(_JITTER * generator.normal(size=self._size)) if jitters else 1.0
        self._surrogate.condition(*data, factors)
        incumbent, best = self._best_of(tried)

        def acquisition(prediction: Prediction) -> Numbers:
            if self._components.exploration and index % _UCB_INTERVAL == 0:
                return self._surrogate.penalised(prediction) + _UCB_BETA * prediction.std
            return log_expected_improvement(prediction, best)

        shape = _PROPOSALS, self._space.size
        proposed = self._policy_proposals(index) if self._components.policy else generator.random(shape)
        points = self._space.snap(np.concatenate([incumbent[None], proposed, generator.random(shape)]))
        policy = _POLICY if self._components.policy else _RANDOM
        sources = np.array([self._source_of(incumbent), *[policy] * _PROPOSALS, *[_RANDOM] * _PROPOSALS])
        prediction = self._predict(points)
        for dummy in range(_GENERATIONS):
            chosen = np.argsort(-acquisition(prediction))[:_PARENTS]
            parents, sources = points[chosen], np.array([*sources[chosen], *[_MUTATION] * _MUTANTS])
            mutants = self._space.snap(mutate(self._space, parents, _MUTANTS, generator))
            points = np.concatenate([parents, mutants])
            prediction = self._predict(points)
        if not jitters:
            self.expected_gain = float(np.exp(log_expected_improvement(prediction, best).max()))
        best_point = np.argmax(acquisition(prediction))
        self.proposed_by = str(sources[best_point])
        found: Numbers = points[best_point]
        return found

    def _decided(
        self,
        index: int,
        tried: Numbers,
        data: tuple[Numbers, Numbers, Numbers, Numbers],
        generator: np.random.Generator,
    ) -> Numbers:
        """The point that the acquisition policy chooses."""
        surrogate = self._surrogate
        surrogate.condition(*data)
        jittered = surrogate.copy()
        jittered.condition(*data, np.exp(_JITTER * generator.normal(size=self._size)))
        incumbent, best = self._best_of(tried)
        best_jittered = float(self._predict(tried, jittered).mean.max())
        same = self._incumbent is not None and bool((incumbent == self._incumbent).all())
        self._incumbent, self._unchanged = incumbent, self._unchanged + 1 if same else 0

        def judged(points: Numbers) -> dict[str, Numbers]:
            plain, other = self._predict(points), self._predict(points, jittered)
            return {
                "mean": surrogate.penalised(plain),
                "ei": log_expected_improvement(plain, best),
                "ucb": surrogate.penalised(plain) + UCB * plain.std,
                "jittered ei": log_expected_improvement(other, best_jittered),
                "jittered ucb": surrogate.penalised(other) + UCB * other.std,
                "means": plain.mean, "deviations": plain.std, "others": other.mean, "wider": other.std,
                "feasible": plain.log_p_feasible,
            }  # fmt: skip

        starts = [incumbent[None], *([self._policy_proposals(index)] if self._components.policy else [])]
        offered, found = offer(self._space, starts, _POOL, judged, generator)
        self.expected_gain = float(np.exp(found["ei"].max()))
        state = Decision(
            encode=self._features, incumbent=incumbent, own=self._space.encode(self._original),
            known=self._features(self._points[~np.isnan(self._rewards)]), values=self._rewards,
            best=best, best_jittered=best_jittered, scale=surrogate.scale,
            lengths=surrogate.lengthscales[: self._features.size],
            noise=math.hypot(surrogate.inferred_noise, float(np.sqrt(np.mean(self._noise**2))) / surrogate.scale),
            left=max(self._budget - index, 1), total=self._decisions, unchanged=self._unchanged,
        )  # fmt: skip
        point: Numbers = offered[np.argmax(scores(described(offered, found, state)))]
        self.proposed_by = _INCUMBENT if (point == incumbent).all() else _DECISION
        return point

    def _best_of(self, tried: Numbers) -> tuple[Numbers, float]:
        """The incumbent, and its predicted reward."""
        known = self._predict(tried)
        # What succeeded on one host may fail on another.
        best = np.argmax(self._surrogate.penalised(known) if len(self._observed_contexts()) > 1 else known.mean)
        return tried[best], float(known.mean[best])

    def _source_of(self, tried: Numbers) -> str:
        """What a repetition of this point rests on: the first trial of it may be one of an earlier study."""
        first = int(np.flatnonzero((self._points == tried).all(axis=1))[0])
        return f"an earlier study ({self._trials[first].host})" if first < self._earlier else _INCUMBENT

    def _predict(self, points: Numbers, surrogate: Surrogate | None = None) -> Prediction:
        """Averaged over the contexts of this study. surrogate: another one than that of the search."""
        contexts = self._in_this_study(self._observed_contexts())
        return (surrogate or self._surrogate).predict(in_contexts(self._features(points), contexts))

    def _policy_proposals(self, index: int) -> Numbers:
        observations = np.array(list(self._latest.values()))
        repeated = observations[np.arange(_PROPOSALS) % len(observations)]
        return self._policy.propose(repeated, self._seed + _SEED_STRIDE * index + 1)

    def _observed_contexts(self) -> Numbers:
        """At most eight of the contexts observed on this study's hosts, evenly spaced in their order."""
        indexed = enumerate(self._trials)
        here = [index >= self._earlier and trial.host in self._hosts for index, trial in indexed]
        # Sorted by the last columns first, which tell hosts apart, so that every host is represented.
        found = np.unique(self._contexts[here if any(here) else slice(None)][:, ::-1], axis=0)[:, ::-1]
        count = min(len(found), _MAX_CONTEXTS)
        chosen: Numbers = found[((np.arange(count) + 0.5) * len(found) / count).astype(int)]
        return chosen

    def _in_this_study(self, contexts: Numbers) -> Numbers:
        """With the surrogate's column for the study, if there is one (see GaussianProcess)."""
        return np.hstack([contexts, np.zeros((len(contexts), 1))]) if self._earlier else contexts

    def _known_features(self) -> Numbers:
        features = np.hstack([self._features(self._points), self._in_this_study(self._contexts)])
        if self._earlier:
            features[: self._earlier, -1] = 1
        return features

    def _pending_features(self, pending: Sequence[Candidate]) -> Numbers:
        points = np.array([self._space.encode(candidate) for candidate in pending]).reshape(-1, self._space.size)
        context = self._in_this_study(self._contexts.mean(axis=0, keepdims=True))
        return in_contexts(self._features(points), context)[0]
