# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What an earlier study lets expect of this one: the kernel of two surfaces that are related.

This surface is taken for the earlier one times a factor, plus a difference, plus a constant (autoregressive co-kriging:
Kennedy and O'Hagan, Predicting the output from a complex computer code when fast approximations are available,
Biometrika 2000). How large factor and difference are is fitted with all else, so that an earlier study of something
quite different is outvoted by what is measured now.
"""

from __future__ import annotations

from typing import Any

import torch
from botorch.models.utils.gpytorch_modules import get_covar_module_with_dim_scaled_prior
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import Kernel, MaternKernel
from gpytorch.priors import LogNormalPrior
from torch import Tensor

# Spreads of the logarithms of what is 1 before there are data: of the factor, and of the difference's variance.
_FACTOR, _DIFFERENCE = 0.5, 1.0
# The variance of the constant: each study counts from a baseline of its own.
_CONSTANT = 1.0


def matern(size: int) -> MaternKernel:
    """With a length for each of `size` axes, whose prior grows with their number."""
    return get_covar_module_with_dim_scaled_prior(ard_num_dims=size, use_rbf_kernel=False)


class Related(Kernel):  # type: ignore[misc]
    """Of points with `size` columns, and one more: 1 where the earlier surface was measured, 0 for this one."""

    factor: Tensor
    variance: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.earlier, self.difference = matern(size), matern(size)
        for name, spread in (("factor", _FACTOR), ("variance", _DIFFERENCE)):
            self.register_parameter(name, torch.nn.Parameter(torch.ones((), dtype=torch.double)))
            self.register_constraint(name, GreaterThan(1e-3, transform=None))
            self.register_prior(f"{name}_prior", LogNormalPrior(0.0, spread), name)

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: Any) -> Tensor:
        def product(ours: Tensor, theirs: Tensor) -> Tensor:
            return ours * theirs if diag else ours[..., :, None] * theirs[..., None, :]

        before1, before2 = x1[..., -1], x2[..., -1]
        x1, x2 = x1[..., :-1], x2[..., :-1]
        scale = product(before1 + (1 - before1) * self.factor, before2 + (1 - before2) * self.factor)
        different = self.variance * self.difference.forward(x1, x2, diag=diag) + _CONSTANT
        here = product(1 - before1, 1 - before2)
        covariance: Tensor = scale * self.earlier.forward(x1, x2, diag=diag) + here * different
        return covariance
