# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Requests that users make on the dashboard: stop the study, or restore all hosts at once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from .._fleet.fleet import Fleet
from .._store.page_requests import Request, take
from .._store.store import StoreError

_LOG = logging.getLogger(__name__)
_INTERVAL = 1.0


def poll_requests(engine: Engine, study_id: int, fleet: Fleet, add_event: Callable[[str], None]) -> None:
    """Start a thread that polls the store for requests. add_event: adds one to the study; may raise StoreError."""

    def pending() -> list[Request]:
        try:
            return take(engine, study_id)
        except SQLAlchemyError:
            return []  # a store that stays unreachable ends the study elsewhere

    def poll() -> None:
        while True:
            time.sleep(_INTERVAL)
            for request in pending():
                if request.id not in handled:
                    handled.add(request.id)
                    _handle(request, fleet, add_event)

    # Those to an earlier run of this study, which was killed, are not for this one.
    handled = {request.id for request in pending()}
    threading.Thread(target=poll, daemon=True).start()


def _handle(request: Request, fleet: Fleet, add_event: Callable[[str], None]) -> None:
    reason = f"stopped on the dashboard by {request.by}"
    # The hosts come first: a store that cannot be written must not delay them.
    if request.kind == "restore":
        fleet.restore(reason)
        text = f"{request.by} asked on the dashboard to restore all hosts now"
    else:
        fleet.stop(reason)
        text = f"{request.by} asked on the dashboard to stop the run"
    _LOG.info("%s", text)
    fleet.notify(text)
    try:
        add_event(text)
    except StoreError:
        return
