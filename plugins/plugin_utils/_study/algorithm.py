# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The algorithms that a study can name, and what some of them need."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

AlgorithmName = Literal["ppo", "random", "tpe", "gp", "cmaes"]
_NEEDS = {"tpe": ["optuna"], "gp": ["optuna"], "cmaes": ["optuna", "cmaes"]}


def missing(name: str) -> str | None:
    """What the user has to do before this algorithm can be used; None if nothing."""
    lacking = [package for package in _NEEDS.get(name, []) if find_spec(package) is None]
    if not lacking:
        return None
    return f"algorithm: {name} needs {' and '.join(lacking)}; pip install 'autotune-kernel[algorithms]'"
