# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Optuna's samplers as algorithms of a study; nothing imports this unless a study asks for it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from .._study.space import Axis, Candidate, Point, SearchSpace
from .._trial.trial import State, Trial
from .asking import DrawIn, remove_like

SamplerName = Literal["tpe", "gp", "cmaes"]
# Optuna's Gaussian process lists all whole numbers of a range: of more than these it has an interval, which is rounded.
_LISTED = 64
# What Optuna's CMA-ES with margin is told of a trial instead of its parameters: their places, by label.
_TOLD = "x_for_tell"


class OptunaSearch:
    """TPE, Optuna's Gaussian process or CMA-ES. What a constraint forbids is repaired before it is evaluated.

    What was evaluated is told at its own place, wherever repair, caution or the kernel have moved it.

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
        self.pending: list[Candidate] = []
        self.promise: float | None = None

    def ask(self, draw_in: DrawIn) -> Candidate:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = self._study.ask(self._kinds)
        numbers = [self._number(axis, trial.params[_label(axis)]) for axis in self._space.axes]
        units = [axis.encode(number) for axis, number in zip(self._space.axes, numbers, strict=True)]
        candidate = draw_in(self._space.decode(np.array(units)))
        self.pending.append(candidate)
        self._trials.append((candidate, trial))
        return candidate

    def tell(self, evaluation: Trial) -> None:
        candidate = remove_like(evaluation, self.pending)
        at = next(at for at, (asked, dummy) in enumerate(self._trials) if asked is candidate)
        trial = self._trials.pop(at)[1]
        point = self._point(evaluation)
        if all(self._is_at(axis, trial.params[_label(axis)], unit) for axis, unit in self._zipped(point)):
            self._constrain(trial, evaluation)
            self._study.tell(trial, self._value(evaluation))
            return
        # A trial's parameters cannot be changed: another one takes its place, in CMA-ES's generation, too.
        attributes = self._study.trials[trial.number].system_attrs
        if _TOLD in attributes:
            attributes = {**attributes, _TOLD: [unit for dummy, unit in sorted(self._positions(point).items())]}
        self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        self._add(point, evaluation, attributes)

    def hear(self, evaluation: Trial) -> None:
        self._add(self._point(evaluation), evaluation, {})

    def _add(self, point: Point, evaluation: Trial, attributes: dict[str, Any]) -> None:
        trial = optuna.trial.create_trial(
            params={_label(axis): self._param(axis, axis.decode(unit)) for axis, unit in self._zipped(point)},
            distributions=self._kinds,
            value=self._value(evaluation),
            system_attrs=attributes,
        )
        self._constrain(trial, evaluation)
        self._study.add_trial(trial)

    def _constrain(self, trial: optuna.Trial | optuna.trial.FrozenTrial, evaluation: Trial) -> None:
        if self._name == "gp":
            trial.set_constraint("works", 1.0 if evaluation.state == State.FAILED else -1.0)

    def _point(self, evaluation: Trial) -> Point:
        """Where the values lie that were evaluated, as the kernel kept them."""
        return self._space.encode({**evaluation.requested, **evaluation.applied})

    def _zipped(self, point: Point) -> Iterable[tuple[Axis, float]]:
        return zip(self._space.axes, point, strict=True)

    def _is_at(self, axis: Axis, param: Any, unit: float) -> bool:
        """Whether a trial's parameter, rounded, is the number at this place."""
        return bool(axis.decode(axis.encode(self._number(axis, param))) == axis.decode(unit))

    def _positions(self, point: Point) -> dict[str, float]:
        """As CMA-ES has them: 0 and 1 are the ends of each range, also where that is one of choices."""
        return {
            _label(axis): axis.decode(unit) / axis.high if axis.choices else float(unit)
            for axis, unit in self._zipped(point)
        }

    def _value(self, evaluation: Trial) -> float:
        if evaluation.state == State.COMPLETE:
            self._worst = min(self._worst, evaluation.score.reward)
        return self._worst if evaluation.state == State.FAILED else evaluation.score.reward

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
