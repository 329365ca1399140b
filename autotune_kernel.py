# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The Python interface under a short name: `from autotune_kernel import optimize_os_parameters`.

Importing it makes the environment `autotune/OSTuning-v0` known to Gymnasium.
"""

from __future__ import annotations

import sys
from pathlib import Path

_CHECKOUT = Path(__file__).parent / "playbooks" / "collections"
if _CHECKOUT.is_dir():  # imported from a checkout, which need not be installed
    sys.path.append(str(_CHECKOUT))

from ansible_collections.autotune.kernel.client.environment import (  # noqa: E402
    BudgetSpent,
    EnvironmentFailed,
    OSTuningEnv,
)
from ansible_collections.autotune.kernel.client.optimize import (  # noqa: E402
    Optimized,
    TuningFailed,
    optimize_os_parameters,
)

__all__ = [
    "BudgetSpent",
    "EnvironmentFailed",
    "OSTuningEnv",
    "Optimized",
    "TuningFailed",
    "optimize_os_parameters",
]
