# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The event stream: Server-Sent Events with IDs, replayed from the store, until the study has ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from flask import Blueprint, Response, current_app, request

from .feed import Cursor, Feed, is_over
from .feeds import Feeds
from .security import refusal
from .settings import Settings
from .updates import as_json, message_after

streams = Blueprint("streams", __name__)

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-store, no-transform",
    "X-Accel-Buffering": "no",  # nginx
}
_RETRY = 2000  # milliseconds before a browser reconnects
# Every stream ends after an hour and the browser resumes it: so does one that hangs unnoticed.
_MAX_SECONDS = 3600.0
_MAX_SENT = 100


def _body(feed: Feed, cursor: Cursor | None, ping: float) -> Iterator[bytes]:
    yield f"retry: {_RETRY}\n\n".encode()
    limit = time.monotonic() + _MAX_SECONDS
    seen = -1
    while time.monotonic() < limit:
        with feed.changed:
            if feed.version == seen:
                feed.changed.wait(ping)
            has_news, seen = feed.version != seen, feed.version
            over = is_over(feed)
            if feed.is_gone:
                return
        if has_news or over:
            text, cursor = _event(feed, cursor, over)
            yield text
            if over:
                return
        else:
            yield b"event: ping\ndata: {}\n\n"


def _event(feed: Feed, cursor: Cursor | None, over: bool) -> tuple[bytes, Cursor | None]:
    """The event with what is new since the cursor, and the next cursor; clients at the same cursor share it."""
    with feed.changed:
        version, sent = feed.sent
        if version != feed.version or len(sent) > _MAX_SENT:
            sent = {}
            feed.sent = (feed.version, sent)
        if (cursor, over) not in sent:
            message = message_after(feed, cursor)
            kind = "end" if over else "reset" if message.get("reset") else "message"
            text = f"id: {message['cursor']}\nevent: {kind}\ndata: {as_json(message)}\n\n"
            sent[cursor, over] = text.encode(), Cursor.parse(message["cursor"])
        found: tuple[bytes, Cursor | None] = sent[cursor, over]
        return found


@streams.get("/api/studies/<id:study_id>/stream")
def stream(study_id: int) -> Response:
    """What is new after Last-Event-ID or ?after=, and all that follows."""
    feeds: Feeds = current_app.extensions["feeds"]
    settings: Settings = current_app.extensions["settings"]
    slots: threading.BoundedSemaphore = current_app.extensions["stream_slots"]  # each stream holds a thread
    feed = feeds.of(study_id)
    cursor = Cursor.parse(request.headers.get("Last-Event-ID") or request.args.get("after") or "0-0")
    if is_over(feed) and cursor == feed.cursor:
        return Response(status=204)  # browsers do not reconnect after this
    if request.method == "HEAD":
        return Response(headers=HEADERS)
    if not slots.acquire(blocking=False):
        answer = refusal(f"all {settings.max_streams} streams are in use; poll /data instead", 503)
        answer.headers["Retry-After"] = "10"
        return answer
    feeds.watch(feed)
    answer = Response(_body(feed, cursor, settings.ping), headers=HEADERS)
    answer.call_on_close(lambda: feeds.leave(feed))
    answer.call_on_close(slots.release)
    return answer
