# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The kernel parameters that a namespace of the lab starts with."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path("/proc/sys")


def put(values: dict[str, str | list[str]]) -> None:
    """Write the values; of a list, the first that the kernel takes. What it refuses stays as it is, and is logged.

    That is no error: net.core.rmem_max, for one, can only be read in a namespace, and of the congestion controls only
    those that the machine allows to everyone can be chosen there.
    """
    for parameter, choices in values.items():
        path = ROOT / parameter.replace(".", "/")
        for value in choices if isinstance(choices, list) else [choices]:
            try:
                path.write_text(f"{value}\n", encoding="ascii")
                break
            except OSError as error:
                print(f"{parameter} = {value}: {error.strerror}", file=sys.stderr, flush=True)
