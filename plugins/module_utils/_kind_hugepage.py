# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Transparent huge pages: `transparent_hugepage.<name>`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ansible_collections.autotune.kernel.plugins.module_utils import _kind


class HugePages(_kind.SysfsKind):
    prefix = "transparent_hugepage"

    def path(self, parts: Sequence[str]) -> str:
        return os.path.join(_kind.SYSFS, "kernel/mm", *parts)

    def side_effects(self, parts: Sequence[str]) -> list[str]:
        # The kernel recalculates it when huge pages are turned on or off.
        is_switch = parts[-1] in ("enabled", "shmem_enabled")
        return ["vm/min_free_kbytes"] if is_switch and os.path.isfile(f"{_kind.PROC_SYS}/vm/min_free_kbytes") else []
