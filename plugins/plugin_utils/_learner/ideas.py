# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the learner is made of, each of which can be left out to see what it is worth."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ideas:
    """All true is the product; `./dev bench-learner` leaves one out at a time.

    policy: PPO's proposals are in the pool. feasibility: a model of where evaluations fail. daring: every third
    candidate is the one that may be best, not the one that is expected to be better by most. doubt: every second
    candidate is chosen by a surrogate to which other axes matter.
    """

    policy: bool = True
    feasibility: bool = True
    daring: bool = True
    doubt: bool = True
