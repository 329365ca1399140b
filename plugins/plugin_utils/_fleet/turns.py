# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Whose turn it is on a machine that is tuned and that the learner works on: one of them would disturb the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


class Turns:
    """It is the main thread's turn, except while it waits for something that is not there yet."""

    def __init__(self, changed: threading.Condition) -> None:
        self._changed = changed
        self._wanted: Callable[[], object] | None = None  # by the main thread, while it waits
        self.seconds_waited = 0.0

    def wait(self, condition: Callable[[], Found], is_busy: Callable[[], bool], check: Callable[[], None]) -> Found:
        """What the condition has found, once that is true and nobody is busy any more. check: may raise, to end it."""
        began = time.monotonic()
        with self._changed:
            self._wanted = condition
            self._changed.notify_all()
            try:
                while not (found := condition()) or is_busy():
                    check()
                    self._changed.wait(1.0)
            finally:
                self._wanted = None
                self.seconds_waited += time.monotonic() - began
            return found

    def is_main_threads(self) -> bool:
        return self._wanted is None or bool(self._wanted())
