# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Optuna's samplers as algorithms; imported only by studies that name one."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from .._study.space import Axis, Candidate, Point, SearchSpace
from .._trial.trial import State, Trial
from .protocols import Project, index_of, point_of

SamplerName = Literal["tpe", "gp", "cmaes"]
# Optuna's Gaussian process enumerates integer ranges; longer ones are passed as intervals and rounded.
_MAX_ENUMERATED = 64
# The attribute in which Optuna's CMA-ES with margin keeps a trial's parameters as it sampled them.
_CMAES_ATTRIBUTE = "x_for_tell"


class OptunaSearch:
    """TPE, Optuna's Gaussian process or CMA-ES.

    Optuna is told the values that were applied, wherever constraint repair, the region or the kernel have moved them.
    A failed trial counts as the worst reward so far, and for the Gaussian process also as a violated constraint.
    """

    expected_gain: float | None = None

    def __init__(self, name: SamplerName, space: SearchSpace, seed: int) -> None:
        self.proposed_by = f"algorithm {name}"
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space, self._name = space, name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study = optuna.create_study(direction="maximize", sampler=_sampler(name, seed))
        self._distributions = {_label(axis): self._distribution(axis) for axis in space.axes}
        self._candidates: list[Candidate] = []
        self._open: list[optuna.Trial] = []  # Optuna's trials for the candidates
        self._worst = 0.0

    def ask(self, project: Project, pending: Sequence[Candidate]) -> Candidate:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            optuna_trial = self._study.ask(self._distributions)
        numbers = [self._number(axis, optuna_trial.params[_label(axis)]) for axis in self._space.axes]
        units = [axis.encode(number) for axis, number in zip(self._space.axes, numbers, strict=True)]
        candidate = project(self._space.decode(np.array(units)))
        self._candidates.append(candidate)
        self._open.append(optuna_trial)
        return candidate

    def observe(self, trial: Trial) -> None:
        point = point_of(self._space, trial)
        index = index_of(trial.requested, self._candidates)
        if index is None:
            self._add(point, trial, {})
            return
        del self._candidates[index]
        optuna_trial = self._open.pop(index)
        if all(self._is_at(axis, optuna_trial.params[_label(axis)], unit) for axis, unit in self._by_axis(point)):
            self._set_constraint(optuna_trial, trial)
            self._study.tell(optuna_trial, self._value(trial))
            return
        # The parameters of a trial cannot be changed: another trial replaces it, also in CMA-ES's generation.
        attributes = self._study.trials[optuna_trial.number].system_attrs
        if _CMAES_ATTRIBUTE in attributes:
            positions = [unit for dummy, unit in sorted(self._cmaes_positions(point).items())]
            attributes = {**attributes, _CMAES_ATTRIBUTE: positions}
        self._study.tell(optuna_trial, state=optuna.trial.TrialState.FAIL)
        self._add(point, trial, attributes)

    def _add(self, point: Point, trial: Trial, attributes: dict[str, Any]) -> None:
        added = optuna.trial.create_trial(
            params={_label(axis): self._param(axis, axis.decode(unit)) for axis, unit in self._by_axis(point)},
            distributions=self._distributions,
            value=self._value(trial),
            system_attrs=attributes,
        )
        self._set_constraint(added, trial)
        self._study.add_trial(added)

    def _set_constraint(self, optuna_trial: optuna.Trial | optuna.trial.FrozenTrial, trial: Trial) -> None:
        if self._name == "gp":
            optuna_trial.set_constraint("succeeds", 1.0 if trial.state == State.FAILED else -1.0)

    def _value(self, trial: Trial) -> float:
        if trial.state == State.FAILED:
            return self._worst
        self._worst = min(self._worst, trial.score.reward)
        return trial.score.reward

    def _by_axis(self, point: Point) -> Iterable[tuple[Axis, float]]:
        return zip(self._space.axes, point, strict=True)

    def _is_at(self, axis: Axis, param: Any, unit: float) -> bool:
        """Whether a parameter of Optuna's, once rounded, has the number at this unit."""
        return bool(axis.decode(axis.encode(self._number(axis, param))) == axis.decode(unit))

    # CMA-ES works on numbers alone: there a choice is represented by its index.

    def _cmaes_positions(self, point: Point) -> dict[str, float]:
        """In CMA-ES's unit cube, where the first and the last choice lie at 0 and 1."""
        return {
            _label(axis): axis.decode(unit) / axis.high if axis.choices else float(unit)
            for axis, unit in self._by_axis(point)
        }

    def _distribution(self, axis: Axis) -> BaseDistribution:
        if axis.choices and self._name != "cmaes":
            return CategoricalDistribution(axis.choices)
        if self._name == "gp" and (axis.high - axis.low) / axis.step > _MAX_ENUMERATED:
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
