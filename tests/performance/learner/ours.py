# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Our own learner on a surface: whole, and without one of its ideas each."""

from __future__ import annotations

from collections.abc import Callable

from .measuring import Bench


def ppo(bench: Bench, budget: int, seed: int) -> None:
    raise NotImplementedError


OURS: dict[str, Callable[[Bench, int, int], None]] = {"ppo": ppo}
