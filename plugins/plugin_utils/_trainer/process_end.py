# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Acting when another process ends, however it ends."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable


def when_ended(process: int, act: Callable[[], None]) -> None:
    """Call `act` once this process has ended: now if it has, else in a thread."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        act()
        return

    def watch() -> None:
        select.select([descriptor], [], [])
        act()

    threading.Thread(target=watch, daemon=True).start()
