# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the learner cannot rebuild from the evaluations alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Snapshot:
    """The learner between two evaluations: policy, optimiser, surrogate's hyperparameters, random states.

    `tensors` are tensors by name; `state` is JSON (numbers, texts, lists, dictionaries with texts as keys) and has at
    "seen" how many evaluations of its own run the learner had been told.
    """

    tensors: dict[str, torch.Tensor]
    state: dict[str, Any]
