# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The parts of the learner that an ablation study can remove."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Components:
    """All are on in studies; `./dev bench-learner` turns off one at a time.

    acquisition_policy: where a search is like those for which it was trained, it decides what is tried next.
    policy: PPO's proposals are among the candidates that are screened. feasibility: a classifier predicts failures.
    exploration: where the acquisition policy does not decide, lengthscale jitter for every second candidate, and the
    upper confidence bound for every third one.
    """

    acquisition_policy: bool = True
    policy: bool = True
    feasibility: bool = True
    exploration: bool = True
