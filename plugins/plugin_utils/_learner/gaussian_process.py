# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The Gaussian process of the surrogate: BoTorch's, with a Matérn kernel and a length of its own for every axis.

The lengths' prior grows with the dimension (Hvarfner et al., Vanilla Bayesian Optimization Performs Great in High
Dimensions, ICML 2024).

The noise is what is known of each value's, and on top of it as much for all as the data say. On 14 simulated fleets of
four hosts, one of them five times as noisy, what is recommended brings 0.81 of the largest gain, and 0.73 with inferred
noise alone (the difference is 0.08, standard error 0.04); with one host that is off by a factor of 0.74, and doubted
for it, 0.79 instead of 0.71 (0.05); where hosts are alike, the same.

A kernel that sums over single parameters, or adds such a sum to this one, predicts unseen candidates much better (R²
0.93 instead of 0.87 after 64 evaluations of 8 parameters), but is too sure of itself where two act together: searches
with either ended worse.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from botorch.exceptions.errors import ModelFittingError
from botorch.exceptions.warnings import InputDataWarning, OptimizationWarning
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import MaternKernel
from gpytorch.likelihoods import FixedNoiseGaussianLikelihood
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import LogNormalPrior
from linear_operator.utils.errors import NotPSDError
from numpy.typing import NDArray
from torch import Tensor

from .related import Related, matern

Numbers = NDArray[np.float64]

_FIRST_ITERATIONS, _LATER_ITERATIONS = 60, 20
_SCALE = "scale"
# Of the noise that is inferred, as a variance of standardised values, as BoTorch has it; and the least that is known.
_INFERRED, _SPREAD, _LEAST_INFERRED = -4.0, 1.0, 1e-4
_LEAST_KNOWN = 1e-6


class GaussianProcess:
    """Means and standard deviations of what would be measured without noise. Points have shape (n, size).

    related: whether points have one column more, which tells an earlier study's from this one's (see related.py).
    """

    def __init__(self, size: int, *, related: bool = False) -> None:
        self._size, self._related = size, related
        self.hyperparameters: dict[str, Tensor] = {}

    def fit(self, points: Numbers, values: Numbers, errors: Numbers | float = 0.0) -> None:
        """Find hyperparameters (from the former ones on, where there are any), and condition on the data.

        errors: what is known of each value's noise, as a standard deviation; 0 where nothing is.
        """
        # The model is small, the benchmark may run on this machine, and threads that wait for each other on a busy one
        # took minutes for what takes a second. It holds for the calling thread, hence here.
        torch.set_num_threads(1)
        scale = torch.tensor([values.mean(), max(values.std(), 1e-9)], dtype=torch.double)
        targets = ((torch.from_numpy(values) - scale[0]) / scale[1])[:, None]
        model = self._model(torch.from_numpy(points), targets, _variances(errors, float(scale[1]), len(values)))
        former = {name: value for name, value in self.hyperparameters.items() if name != _SCALE}
        start = former or {name: value.clone() for name, value in model.state_dict().items()}
        model.load_state_dict(start)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizationWarning)  # that is what few iterations are called
            try:
                fit_gpytorch_mll(
                    ExactMarginalLogLikelihood(model.likelihood, model),
                    optimizer_kwargs={"options": {"maxiter": _LATER_ITERATIONS if former else _FIRST_ITERATIONS}},
                    max_attempts=1,
                    pick_best_of_all_attempts=True,
                )
            except (ModelFittingError, NotPSDError):
                model.load_state_dict(start)
        found = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.restore(found | {_SCALE: scale})
        self.condition(points, values, errors)

    def restore(self, hyperparameters: dict[str, Tensor]) -> None:
        """Go on with those of an earlier fit; without data until condition() brings them."""
        self.hyperparameters = hyperparameters
        nowhere = torch.zeros(1, self._size + self._related, dtype=torch.double)
        model = self._model(nowhere, torch.zeros(1, 1, dtype=torch.double), _variances(0.0, 1.0, 1))
        model.load_state_dict({name: value for name, value in hyperparameters.items() if name != _SCALE})
        self._centre, self.spread = hyperparameters[_SCALE].tolist()
        self._kernel, self._noise = model.covar_module, float(model.likelihood.second_noise.detach())
        self._mean = float(model.mean_module.constant.detach())
        kernels = [kernel for kernel in self._kernel.modules() if isinstance(kernel, MaternKernel)]
        self._lengths = [(kernel, kernel.lengthscale.detach().clone()) for kernel in kernels]

    def doubt(self, factors: Numbers | float) -> None:
        """Before condition(): take the fitted lengths times these, shape (size,), for the true ones."""
        for kernel, fitted in self._lengths:
            kernel.lengthscale = fitted * torch.as_tensor(factors)

    def condition(self, points: Numbers, values: Numbers, errors: Numbers | float = 0.0) -> None:
        """Take these data for those there are, with the hyperparameters as they are."""
        with torch.no_grad():
            self._points = torch.from_numpy(points)
            covariance = self._kernel.forward(self._points, self._points)
            covariance = covariance + torch.diag(self._noise + _variances(errors, self.spread, len(values)))
            self._values = (torch.from_numpy(values) - self._centre) / self.spread - self._mean
            self._inverse = torch.cholesky_inverse(torch.linalg.cholesky(covariance))
            self._weights = self._inverse @ self._values

    def predict(self, points: Numbers) -> tuple[Numbers, Numbers]:
        with torch.no_grad():
            wanted = torch.from_numpy(points)
            across = self._kernel.forward(wanted, self._points)
            mean = across @ self._weights + self._mean
            variance = self._kernel.forward(wanted, wanted, diag=True) - ((across @ self._inverse) * across).sum(-1)
            std = variance.clamp_min(1e-8).sqrt()
            return (mean * self.spread + self._centre).numpy(), (std * self.spread).numpy()

    @property
    def values(self) -> Numbers:
        """The values it was conditioned on."""
        found: Numbers = ((self._values + self._mean) * self.spread + self._centre).numpy()
        return found

    def left_out(self) -> Numbers:
        """What each value would have been predicted as by all the others (Rasmussen and Williams, equation 5.12)."""
        residuals = self._weights / self._inverse.diagonal()
        found: Numbers = ((self._values - residuals + self._mean) * self.spread + self._centre).numpy()
        return found

    def _model(self, points: Tensor, targets: Tensor, known: Tensor) -> SingleTaskGP:
        kernel = Related(self._size) if self._related else matern(self._size)
        prior = LogNormalPrior(_INFERRED, _SPREAD)
        likelihood = FixedNoiseGaussianLikelihood(
            known,
            learn_additional_noise=True,
            noise_prior=prior,
            noise_constraint=GreaterThan(_LEAST_INFERRED, transform=None, initial_value=prior.mode),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputDataWarning)  # one point, in restore(), cannot be standardised
            return SingleTaskGP(points, targets, likelihood=likelihood, covar_module=kernel, outcome_transform=None)


def _variances(errors: Numbers | float, spread: float, count: int) -> Tensor:
    """What is known of the noise, in units of the spread."""
    found = torch.from_numpy(np.broadcast_to(np.asarray(errors, dtype=float) / spread, count) ** 2)
    return found.clamp_min(_LEAST_KNOWN)
