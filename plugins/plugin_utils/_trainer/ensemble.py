# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Two Gaussian processes that differ in what they take for granted, and are the surer the more they agree.

The one with the effects kernel knows much after little, where parameters act by themselves, and is too sure of itself
where they do not; BoTorch's own takes nothing for granted. Where they disagree there is something to be learned, and
the spread of the mixture says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .gaussian_process import GaussianProcess, Numbers

if TYPE_CHECKING:
    from torch import Tensor


class Ensemble:
    """An equal mixture of processes; points have shape (n, size). effects: which of them have the effects kernel."""

    def __init__(self, size: int, effects: Sequence[bool] = (True, False)) -> None:
        self._processes = [GaussianProcess(size, effects=each) for each in effects]

    def fit(self, points: Numbers, values: Numbers) -> None:
        for process in self._processes:
            process.fit(points, values)

    def condition(self, points: Numbers, values: Numbers, pending: Numbers) -> None:
        """With the hyperparameters as they are; what is pending is taken to come out as each expects."""
        for process in self._processes:
            process.condition(points, values)
            if len(pending):
                expected, dummy = process.predict(pending)
                process.condition(np.concatenate([points, pending]), np.concatenate([values, expected]))

    def predict(self, points: Numbers) -> tuple[Numbers, Numbers]:
        """Mean and standard deviation."""
        each = [process.predict(points) for process in self._processes]
        means, stds = np.array([mean for mean, dummy in each]), np.array([std for dummy, std in each])
        return means.mean(axis=0), np.sqrt((stds**2).mean(axis=0) + means.var(axis=0))

    def quality(self) -> float:
        """The correlation of what was measured with what would have been predicted without it: 1 is perfect."""
        values = self._processes[0].values
        left_out = np.mean([process.left_out() for process in self._processes], axis=0)
        if np.ptp(values) == 0 or np.ptp(left_out) == 0:
            return 0.0
        return float(np.corrcoef(left_out, values)[0, 1])

    @property
    def spread(self) -> float:
        """Of the values: the unit in which differences are large or small."""
        return self._processes[0].spread

    def tensors(self) -> dict[str, Tensor]:
        return {
            f"{at}.{name}": value
            for at, process in enumerate(self._processes)
            for name, value in process.hyperparameters.items()
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        for at, process in enumerate(self._processes):
            own = {name: value for name, value in tensors.items() if name.startswith(f"{at}.")}
            process.restore({name.removeprefix(f"{at}."): value for name, value in own.items()})
