# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Keeps the learner and the trials apart on a host that runs the trainer too: each would disturb the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


class MainThread:
    """Whether the main thread is working or waiting. It works unless it is in wait() and the condition is false."""

    def __init__(self, changed: threading.Condition) -> None:
        self._changed = changed
        self._condition: Callable[[], object] | None = None  # what it waits for
        self.seconds_waited = 0.0

    def wait(self, condition: Callable[[], Found], is_busy: Callable[[], bool], check: Callable[[], None]) -> Found:
        """Wait until the condition is true and is_busy() false; returns the condition's value.

        check: called regularly; raises an exception to end the wait.
        """
        started = time.monotonic()
        with self._changed:
            self._condition = condition
            self._changed.notify_all()
            try:
                while not (found := condition()) or is_busy():
                    check()
                    self._changed.wait(1.0)
            finally:
                self._condition = None
                self.seconds_waited += time.monotonic() - started
            return found

    @property
    def is_working(self) -> bool:
        return self._condition is None or bool(self._condition())
