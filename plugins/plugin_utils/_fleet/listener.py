# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Who hears what happens in the fleet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .._trial.trial import Trial
from .host import Host


@dataclass(frozen=True)
class Listener:
    """Called as things happen, one at a time; hosts are named. A StoreError from any of these ends the study.

    on_host: a host is ready. on_lost: it does no more, and why. on_evaluation: one has ended; what this returns is sent
    to the host's worker as progress. on_news: what the user is to be told of a host. on_doing: what it is at, None once
    it has left. on_ending: what it has now that it was left, and whether that is its own values, verified.
    """

    on_host: Callable[[Host], None]
    on_lost: Callable[[str, str], None]
    on_evaluation: Callable[[Trial], dict[str, Any]]
    on_news: Callable[[str, str], None]
    on_doing: Callable[[str, str | None], None]
    on_ending: Callable[[str, str, bool], None]
