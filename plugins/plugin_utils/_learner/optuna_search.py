# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Optuna's samplers as algorithms of a study; nothing imports this unless a study asks for it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from .._evaluation.evaluation import Evaluation
from .._study.space import Axis, Candidate, SearchSpace
from .asking import remove_like
from .snapshot import Snapshot

SamplerName = Literal["tpe", "gp", "cmaes"]
# Optuna's Gaussian process lists all whole numbers of a range: of more than these it has an interval, which is rounded.
_LISTED = 64


class OptunaSearch:
    """TPE, Optuna's Gaussian process or CMA-ES. What a constraint forbids is repaired before it is evaluated.

    A failure is told as the worst reward so far, and to the Gaussian process also as a broken constraint.
    """

    def __init__(self, name: SamplerName, space: SearchSpace, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space, self._name = space, name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study = optuna.create_study(direction="maximize", sampler=_sampler(name, seed))
        self._kinds = {_label(axis): self._kind(axis) for axis in space.axes}
        self._trials: list[tuple[Candidate, optuna.Trial]] = []
        self._worst = 0.0
        self.rounds = 0  # no snapshots: to go on later is to be told all again
        self.pending: list[Candidate] = []
        self.promise: float | None = None

    def ask(self) -> Candidate:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = self._study.ask(self._kinds)
        numbers = [self._number(axis, trial.params[_label(axis)]) for axis in self._space.axes]
        units = [axis.encode(number) for axis, number in zip(self._space.axes, numbers, strict=True)]
        candidate = self._space.decode(np.array(units))
        self.pending.append(candidate)
        self._trials.append((candidate, trial))
        return candidate

    def tell(self, evaluation: Evaluation) -> None:
        candidate = remove_like(evaluation, self.pending)
        at = next(at for at, (asked, dummy) in enumerate(self._trials) if asked is candidate)
        trial = self._trials.pop(at)[1]
        if self._name == "gp":
            trial.set_constraint("works", 1.0 if evaluation.failed else -1.0)
        self._study.tell(trial, self._value(evaluation))

    def hear(self, evaluation: Evaluation) -> None:
        values = {**(evaluation.job.values or {}), **evaluation.measurement.actual}
        point = self._space.encode(values)
        params = {
            _label(axis): self._param(axis, axis.decode(unit))
            for axis, unit in zip(self._space.axes, point, strict=True)
        }
        trial = optuna.trial.create_trial(params=params, distributions=self._kinds, value=self._value(evaluation))
        if self._name == "gp":
            trial.set_constraint("works", 1.0 if evaluation.failed else -1.0)
        self._study.add_trial(trial)

    def snapshot(self) -> Snapshot:
        raise NotImplementedError

    def restore(self, snapshot: Snapshot, evaluations: Sequence[Evaluation]) -> None:
        raise NotImplementedError

    def _value(self, evaluation: Evaluation) -> float:
        if not evaluation.failed:
            self._worst = min(self._worst, evaluation.score.reward)
        return self._worst if evaluation.failed else evaluation.score.reward

    # CMA-ES knows numbers alone: to it a choice is its position.

    def _kind(self, axis: Axis) -> BaseDistribution:
        if axis.choices and self._name != "cmaes":
            return CategoricalDistribution(axis.choices)
        if self._name == "gp" and (axis.high - axis.low) / axis.step > _LISTED:
            return FloatDistribution(axis.low, axis.high, log=axis.log)
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log, step=1 if axis.log else int(axis.step))

    def _number(self, axis: Axis, param: Any) -> float:
        return axis.choices.index(param) if axis.choices and self._name != "cmaes" else param

    def _param(self, axis: Axis, number: float) -> Any:
        return axis.choices[int(number)] if axis.choices and self._name != "cmaes" else int(number)


def _sampler(name: SamplerName, seed: int) -> optuna.samplers.BaseSampler:
    if name == "tpe":
        return optuna.samplers.TPESampler(multivariate=True, seed=seed)
    if name == "gp":
        return optuna.samplers.GPSampler(seed=seed)
    return optuna.samplers.CmaEsSampler(with_margin=True, seed=seed)


def _label(axis: Axis) -> str:
    return f"{axis.parameter}[{axis.element}]"
