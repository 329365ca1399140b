# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The learner's place on a machine that also does the work which is being tuned."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def at_idle_priority() -> Iterator[None]:
    """The calling thread, and no other, gets what time the rest of the machine leaves (SCHED_IDLE).

    An account without CAP_SYS_NICE gets there, but not back: then the thread stays at it.
    """
    before = os.sched_getscheduler(0)
    with suppress(PermissionError):  # a container may forbid it
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    try:
        yield
    finally:
        with suppress(PermissionError):
            os.sched_setscheduler(0, before, os.sched_param(0))
