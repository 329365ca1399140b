# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The scheduling priority of a learner that shares its machine with the benchmark."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def at_idle_priority() -> Iterator[None]:
    """Run only the calling thread at SCHED_IDLE. Without CAP_SYS_NICE it stays there afterwards."""
    before = os.sched_getscheduler(0)
    with suppress(PermissionError):  # a container may forbid it
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    try:
        yield
    finally:
        with suppress(PermissionError):
            os.sched_setscheduler(0, before, os.sched_param(0))
