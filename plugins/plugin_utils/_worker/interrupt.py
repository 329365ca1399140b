# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Ctrl-C at safe points only.

Ansible ends a worker with os._exit on SIGINT and SIGTERM: neither `finally` nor the playbook's `always:` would run. So
the worker remembers the signal, and raises where that can do no harm: never while a module is writing values on the
host, since that module would go on writing after the values were put back.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(Exception):
    """The user wants the run to stop."""


class Interrupts:
    """Turns SIGINT, SIGTERM and SIGHUP into one Interrupted, raised inside allowed() or at its beginning."""

    def __init__(self) -> None:
        self._pending: int | None = None
        self._raised = False
        self._depth = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._remember)

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Within, an interrupt raises at once; one that came before raises here."""
        self._depth += 1
        try:
            self._raise_if_pending()
            yield
        finally:
            self._depth -= 1

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._pending = self._pending or number  # the user's own; Ansible's SIGTERM follows it
        if self._depth:
            self._raise_if_pending()

    def _raise_if_pending(self) -> None:
        # Ansible sends SIGINT and then SIGTERM: only the first may interrupt, or it would interrupt the putting back.
        if self._pending is not None and not self._raised:
            self._raised = True
            raise Interrupted(f"stopped by {signal.Signals(self._pending).name}")
