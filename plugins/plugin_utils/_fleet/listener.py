# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The interface through which the fleet reports events."""

from __future__ import annotations

from typing import Any, Protocol

from .._trial.trial import Trial
from .host import Host


class Listener(Protocol):
    """The fleet makes one call at a time and passes hosts by name. A StoreError from any of them ends the study."""

    def on_host(self, host: Host) -> None:
        """A host is ready."""

    def on_lost(self, name: str, reason: str) -> None:
        """A host takes no more trials."""

    def on_trial(self, trial: Trial) -> dict[str, Any]:
        """A trial has ended; the returned progress is sent to the host's worker."""

    def on_notice(self, name: str, text: str) -> None:
        """A notice about a host, which the fleet also shows to the user."""

    def on_activity(self, name: str, activity: str | None) -> None:
        """A host does something else now; None: it has left."""

    def on_ending(self, name: str, ending: str, restored: bool) -> None:
        """The state in which a host was left; restored: its original values are back, verified."""
