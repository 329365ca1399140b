# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The queues of block devices: `block.<device>.<name>`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from ansible_collections.autotune.kernel.plugins.module_utils import _kind


class BlockQueues(_kind.SysfsKind):
    prefix = "block"
    components = 3
    how_to_write = "write block.<device>.<setting>, as block.sda.scheduler"

    def path(self, parts: Sequence[str]) -> str:
        return os.path.join(_kind.SYSFS, "block", parts[1], "queue", *parts[2:])

    def names(self) -> Iterator[str]:
        for device in _devices():
            yield from _kind.files_below(self.path(["block", device]), f"block/{device}")

    def why_missing(self, parts: Sequence[str]) -> str | None:
        if parts[1] not in _devices():
            return f"there is no block device {parts[1]}; there are {', '.join(_devices()) or 'none'}"
        return "it belongs to a scheduler that the device does not use" if self.is_transient(parts) else None

    def side_effects(self, parts: Sequence[str]) -> list[str]:
        """Selecting a scheduler resets what belongs to it."""
        if parts[2:] != ["scheduler"]:
            return []
        device = "/".join(parts[:2])
        own = _kind.listed(self.path([*parts[:2], "iosched"]))
        return [f"{device}/{name}" for name in ("nr_requests", "wbt_lat_usec", *(f"iosched/{name}" for name in own))]

    def is_transient(self, parts: Sequence[str]) -> bool:
        return parts[2] == "iosched"


def _devices() -> list[str]:
    return _kind.listed(os.path.join(_kind.SYSFS, "block"))
