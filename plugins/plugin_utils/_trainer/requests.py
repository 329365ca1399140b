# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Doing what somebody asks of the study on its page."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from .._fleet.fleet import Fleet
from .._store.requests import Request, take
from .._store.store import StoreError

_INTERVAL = 1.0


def heed_requests(engine: Engine, study_id: int, fleet: Fleet, note: Callable[[str], None]) -> None:
    """From now on, look once a second for what the page leaves in the store. note: keeps a line with the study."""

    def requests() -> list[Request]:
        try:
            return take(engine, study_id)
        except SQLAlchemyError:
            return []  # a store that is away for a moment; one that stays away ends the study elsewhere

    def watch() -> None:
        while True:
            time.sleep(_INTERVAL)
            for request in requests():
                _heed(request, fleet, note)

    # Nobody heard what was asked of a run that was killed; the one that resumes its study is not meant.
    requests()
    threading.Thread(target=watch, daemon=True).start()


def _heed(request: Request, fleet: Fleet, note: Callable[[str], None]) -> None:
    reason = f"stopped on its page, from {request.by}"
    wanted = "restore all hosts now" if request.kind == "restore" else "stop the run"
    # First what was asked for: a store that takes no more must not keep the hosts from their values.
    if request.kind == "restore":
        fleet.restore(reason)
    else:
        fleet.stop(reason)
    fleet.notify(f"{request.by} asked on the page to {wanted}")
    try:
        note(f"{request.by} asked on this page to {wanted}")
    except StoreError:
        return
