# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Other algorithms on the same surfaces: Optuna's samplers, SMAC3, plain PPO, random search.

Each runs with the settings that its documentation recommends, or that did best on surfaces other than the tables'. All
get what ours gets: the types, scales and steps of the space, the default and its performance (0) for free, and one
candidate at a time. A proposal that violates a constraint is repaired for the measurement, and reported unrepaired.

| algorithm | implementation | a failed evaluation is reported as |
|---|---|---|
| random | uniform over the unit cube | nothing |
| tpe | Optuna's TPESampler, multivariate | pruned, which TPE ranks last |
| gp | Optuna's GPSampler | the worst performance so far, and a violated constraint |
| cmaes | Optuna's CmaEsSampler with margin; choices as integers | the worst performance so far |
| smac | SMAC3 with its facade for noise (repeats the best up to 3 times) | crashed, with the worst cost so far |
| ppo-plain | Stable-Baselines3's PPO, n_steps 64, batch 32, learning rate 1e-3 | a failure's reward |

The tables have the variant that did better on other surfaces (seeds from 200; CMA-ES at 64/8, the others at 32/4):
CMA-ES from the default or the centre, failures as infeasible or as the worst value, SMAC3's GP or its forest.
"""

from __future__ import annotations

import logging
import math
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Axis, Candidate, SearchSpace
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Trial

from .measuring import Bench

Algorithm = Callable[[Bench, int, int], None]  # bench, budget, seed


def random(bench: Bench, budget: int, seed: int) -> None:
    generator = np.random.default_rng([seed, 1])
    for dummy in range(budget):
        bench([bench.space.decode(generator.random(bench.space.size))])


def tpe(bench: Bench, budget: int, seed: int) -> None:
    import optuna

    _optuna(bench, budget, optuna.samplers.TPESampler(multivariate=True, seed=seed), failure="pruned")


def gp(bench: Bench, budget: int, seed: int) -> None:
    import optuna

    _optuna(bench, budget, optuna.samplers.GPSampler(seed=seed), failure="infeasible", wide=True)


def gp_whole(bench: Bench, budget: int, seed: int) -> None:
    import optuna

    _optuna(bench, budget, optuna.samplers.GPSampler(seed=seed), failure="infeasible")


def gp_worst(bench: Bench, budget: int, seed: int) -> None:
    import optuna

    _optuna(bench, budget, optuna.samplers.GPSampler(seed=seed), failure="worst", wide=True)


def cmaes(bench: Bench, budget: int, seed: int) -> None:
    import optuna

    _optuna(bench, budget, optuna.samplers.CmaEsSampler(with_margin=True, seed=seed), failure="worst", ordinal=True)


def _optuna(
    bench: Bench, budget: int, sampler: Any, *, failure: str, ordinal: bool = False, wide: bool = False
) -> None:
    """failure: reported as "pruned", "worst" (performance so far) or "infeasible" (also as a violated constraint)."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    space, kinds = bench.space, {_name(axis): _distribution(axis, ordinal, wide) for axis in bench.space.axes}
    study = optuna.create_study(direction="maximize", sampler=sampler)
    default = {_name(axis): _number(axis, bench.surface.default, space, ordinal=ordinal) for axis in space.axes}
    known = optuna.trial.create_trial(params=default, distributions=kinds, value=0.0)
    if failure == "infeasible":
        known.set_constraint("succeeds", -1.0)
    study.add_trial(known)
    worst = 0.0
    for dummy in range(budget):
        trial = study.ask(kinds)
        (evaluation,) = bench([_candidate(space, trial.params, ordinal=ordinal)])
        performance = evaluation.score.performance
        worst = min(worst, math.inf if performance is None else performance)
        if failure == "infeasible":
            trial.set_constraint("succeeds", -1.0 if performance is not None else 1.0)
        if performance is None and failure == "pruned":
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, worst if performance is None else performance)


def _distribution(axis: Axis, ordinal: bool, wide: bool) -> Any:
    """ordinal: choices are integers. wide: long integer ranges are intervals, and rounded when measured."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if axis.choices and not ordinal:
        return CategoricalDistribution(axis.choices)
    if wide and (axis.high - axis.low) / axis.step > 64:
        return FloatDistribution(axis.low, axis.high, log=axis.log)
    return IntDistribution(int(axis.low), int(axis.high), log=axis.log, step=1 if axis.log else int(axis.step))


def _name(axis: Axis) -> str:
    return f"{axis.parameter}[{axis.element}]"


def _number(axis: Axis, values: Candidate, space: SearchSpace, *, ordinal: bool) -> Any:
    number = axis.decode(float(space.encode(values)[space.axes.index(axis)]))
    return axis.choices[int(number)] if axis.choices and not ordinal else int(number)


def _candidate(space: SearchSpace, chosen: dict[str, Any], *, ordinal: bool) -> Candidate:
    numbers = [
        axis.choices.index(chosen[_name(axis)]) if axis.choices and not ordinal else chosen[_name(axis)]
        for axis in space.axes
    ]
    return space.decode(np.array([axis.encode(number) for axis, number in zip(space.axes, numbers, strict=True)]))


def _steps(axis: Axis, *values: float) -> list[int]:
    return [int(value if axis.log else (value - axis.low) / axis.step) for value in values]


def smac_blackbox(bench: Bench, budget: int, seed: int) -> None:
    from smac import BlackBoxFacade

    # A Gaussian process: costs on an additive scale.
    _smac(bench, budget, seed, BlackBoxFacade, cost=lambda performance: -performance)


def smac_forest(bench: Bench, budget: int, seed: int) -> None:
    from smac import HyperparameterOptimizationFacade

    # A random forest on the logarithm of costs, which must be positive.
    _smac(bench, budget, seed, HyperparameterOptimizationFacade, cost=lambda performance: math.exp(-performance))


def _smac(bench: Bench, budget: int, seed: int, facade: Any, cost: Callable[[float], float]) -> None:
    import ConfigSpace as configspace
    from smac import Scenario
    from smac.runhistory import StatusType, TrialInfo, TrialValue

    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    space = bench.space
    default = {_name(axis): _number(axis, bench.surface.default, space, ordinal=False) for axis in space.axes}
    kinds = [
        configspace.CategoricalHyperparameter(_name(axis), axis.choices, default_value=default[_name(axis)])
        if axis.choices
        # SMAC has no step sizes: it searches the number of steps.
        else configspace.UniformIntegerHyperparameter(
            _name(axis),
            *_steps(axis, axis.low, axis.high),
            log=axis.log,
            default_value=_steps(axis, default[_name(axis)])[0],
        )
        for axis in space.axes
    ]

    def measured(config: Any) -> Trial:
        chosen = dict(config)
        for axis in space.axes:
            if not axis.choices and not axis.log:
                chosen[_name(axis)] = axis.low + chosen[_name(axis)] * axis.step
        return bench([_candidate(space, chosen, ordinal=False)])[0]

    own = configspace.ConfigurationSpace(seed=seed)
    own.add(kinds)
    with tempfile.TemporaryDirectory() as folder:
        # One more than the budget: the default, which is free.
        scenario = Scenario(own, n_trials=budget + 1, seed=seed, output_directory=Path(folder))
        optimiser = facade(scenario, lambda config, seed=0: 0.0, overwrite=True, logging_level=False)
        worst = cost(0.0)
        for number in range(budget):
            info = optimiser.ask()
            if number == 0:
                optimiser.tell(
                    TrialInfo(own.get_default_configuration(), seed=info.seed), TrialValue(cost(0.0)), save=False
                )
            performance = measured(info.config).score.performance
            value = worst if performance is None else cost(performance)
            worst = max(worst, value)
            status = StatusType.CRASHED if performance is None else StatusType.SUCCESS
            optimiser.tell(info, TrialValue(value, status=status), save=False)
    logging.disable(logging.NOTSET)


class _Surface(gymnasium.Env):  # type: ignore[misc, type-arg]
    """A candidate per step, without observations."""

    def __init__(self, bench: Bench, budget: int) -> None:
        self._bench, self._left = bench, budget
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (bench.space.size,), np.float32)
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        reward = 0.0
        if self._left:  # Stable-Baselines3 rounds up to complete rollouts
            self._left -= 1
            point = (np.clip(action, -1, 1).astype(float) + 1) / 2
            reward = self._bench([self._bench.space.decode(point)])[0].score.reward
        return np.zeros(1, np.float32), reward, True, False, {}


def ppo_plain(bench: Bench, budget: int, seed: int) -> None:
    from stable_baselines3 import PPO

    env = _Surface(bench, budget)
    PPO("MlpPolicy", env, n_steps=64, batch_size=32, learning_rate=1e-3, seed=seed, device="cpu").learn(budget)


COMPETITORS: dict[str, Algorithm] = {
    "random": random,
    "ppo-plain": ppo_plain,
    "tpe": tpe,
    "cmaes": cmaes,
    "gp": gp,
    "gp-worst": gp_worst,
    "gp-whole": gp_whole,
    "smac-blackbox": smac_blackbox,
    "smac-forest": smac_forest,
}
