# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the learner is made of, each of which can be left out to see what it is worth."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ideas:
    """All true is the product; `./dev bench-learner` leaves one out at a time.

    policy: PPO's proposals are among those that are screened. feasibility: a model of where evaluations fail.
    doubt: the surrogate is not taken at its word; of the candidates every second one is chosen by a surrogate to which
    other axes matter, and every third one is that which may be best, not that which is expected to be better.
    """

    policy: bool = True
    feasibility: bool = True
    doubt: bool = True
