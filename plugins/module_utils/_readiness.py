# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What module readiness_info returns besides parameters: what could spoil a study on this host. Writes nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Any, Optional

from ansible_collections.autotune.kernel.plugins.module_utils import _dropin, _journal

_ROOM = 64 * 1024  # bytes; a journal and a watchdog's program are smaller


def readiness(parameters: Iterable[str], persist: Optional[str]) -> dict[str, Any]:
    """As in RETURN of readiness_info. Raises ValueError for a malformed name."""
    return {
        "time": time.time(),
        "lease_message": why_no_lease(),
        "overridden": overridden(persist, parameters) if persist else [],
    }


def why_no_lease() -> str | None:
    """Why the journal and the watchdog of a lease could not be started by root, or None; None for other accounts."""
    if os.geteuid() != 0:
        return None
    folder = _journal.RUN_DIRECTORY
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder} is not writable"
    found = os.statvfs(folder)
    return f"the file system of {folder} is full" if found.f_bavail * found.f_frsize < _ROOM else None


def overridden(persist: str, parameters: Iterable[str]) -> list[dict[str, Any]]:
    """The assignments of other files that prevail over a drop-in of that name, whatever it sets."""
    path = _dropin.path_of(persist)
    return [
        {
            "parameter": override.parameter,
            "file": override.by.file,
            "path": override.by.path,
            "message": override.sentence(path),
        }
        for override in _dropin.overrides_of_any(persist, parameters)
    ]
