# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Handling Ctrl-C only where it is safe.

On SIGINT and SIGTERM, Ansible ends a worker with os._exit, so neither `finally` nor the playbook's `always:` would run.
Here the worker remembers the signal and raises at a safe point: never while a module is writing values, because the
module would continue to write after the original values were restored.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import IO


class RunInterrupted(Exception):
    """The user has stopped the run."""


class Interrupts:
    """Turns SIGINT, SIGTERM and SIGHUP into a single RunInterrupted, raised within allowed() or when it is entered."""

    def __init__(self) -> None:
        self._pending: int | None = None
        self._raised = False
        self._depth = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._handle)

    @contextmanager
    def allowed(self) -> Iterator[None]:
        self._depth += 1
        try:
            self._raise_if_pending()
            yield
        finally:
            self._depth -= 1

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._pending = self._pending or number  # the first one is the user's; Ansible's SIGTERM follows
        if self._depth:
            self._raise_if_pending()

    def _raise_if_pending(self) -> None:
        # Only once: Ansible's second signal must not interrupt the restore.
        if self._pending is not None and not self._raised:
            self._raised = True
            raise RunInterrupted(f"stopped by {signal.Signals(self._pending).name}")


def standard_error(pid: int) -> IO[str] | None:
    """That of another process, if it can be opened: as a file that may contain the whole run, which is kept."""
    try:
        return open(f"/proc/{pid}/fd/2", "a")
    except OSError:
        return None
