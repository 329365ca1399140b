# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The stream: Server-Sent Events with ids, replayed from the store, ending with the run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from flask import Blueprint, Response, current_app, request

from .feed import Cursor, Feed, Feeds
from .security import refusal
from .updates import Message, as_json, first_message, message_after

streams = Blueprint("streams", __name__)

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-store, no-transform",
    "X-Accel-Buffering": "no",  # nginx
}
_RETRY = 2000  # milliseconds after which a browser that lost the stream tries again
# A stream ends now and then, and the browser takes it up again where it was: one that hangs does not hang for ever.
_LONGEST = 3600.0
# A run that has ended waits for its hosts to say what they have now; one whose trainer was killed would do so for ever.
_AFTERWARDS = 900.0
_MOST_TOLD = 100


class Places:
    """How many streams there may be at once: each holds one of the server's threads."""

    def __init__(self, most: int) -> None:
        self._free = threading.BoundedSemaphore(most)
        self.most = most

    def take(self) -> bool:
        return self._free.acquire(blocking=False)

    def give_back(self) -> None:
        self._free.release()


class Watching(Iterator[bytes]):
    """A stream's text. close() is called by the server however it ends, also before it began."""

    def __init__(self, feeds: Feeds, feed: Feed, places: Places, cursor: Cursor | None, ping: float) -> None:
        self._feeds, self._places = feeds, places
        self._closed = False
        feeds.watch(feed)
        self._feed = feed
        self._text = _text(feed, cursor, ping)

    def __next__(self) -> bytes:
        return next(self._text)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._feeds.leave(self._feed)
            self._places.give_back()


def _text(feed: Feed, cursor: Cursor | None, ping: float) -> Iterator[bytes]:
    yield f"retry: {_RETRY}\n\n".encode()
    until = time.monotonic() + _LONGEST
    seen = -1
    while time.monotonic() < until:
        with feed.changed:
            if feed.version == seen:
                feed.changed.wait(ping)
            news, seen = feed.version != seen, feed.version
            over = is_over(feed)
        if news or over:
            text, cursor = _news(feed, cursor, over)
            yield text
            if over:
                return
        else:
            yield b"event: ping\ndata: {}\n\n"


def _news(feed: Feed, cursor: Cursor | None, over: bool) -> tuple[bytes, Cursor | None]:
    """What is new since the cursor, and how far that goes: made once for all that have read equally far."""
    with feed.changed:
        version, told = feed.told
        if version != feed.version or len(told) > _MOST_TOLD:
            told = {}
            feed.told = (feed.version, told)
        if (cursor, over) not in told:
            message = message_after(feed, cursor)
            text = event("end" if over else "reset" if message.get("reset") else "message", message)
            told[cursor, over] = text, Cursor.parse(message["cursor"])
        found: tuple[bytes, Cursor | None] = told[cursor, over]
        return found


def event(kind: str, message: Message) -> bytes:
    return f"id: {message['cursor']}\nevent: {kind}\ndata: {as_json(message)}\n\n".encode()


def is_over(feed: Feed) -> bool:
    """Nothing more will come: the study has ended, and no host is doing anything, or they had time enough."""
    finished = feed.study["finished"]
    if finished is None:
        return False
    return time.time() - finished.timestamp() > _AFTERWARDS or all(host.doing is None for host in feed.hosts)


@streams.get("/api/studies/<id:study_id>/stream")
def stream(study_id: int) -> Response:
    """What is new after Last-Event-ID or ?after=, and then all that follows."""
    feeds: Feeds = current_app.extensions["feeds"]
    places: Places = current_app.extensions["places"]
    feed = feeds.of(study_id)
    asked = request.headers.get("Last-Event-ID") or request.args.get("after") or "0-0"
    cursor = Cursor.parse(asked)
    if is_over(feed) and cursor == feed.cursor:
        return Response(status=204)  # tells the browser not to come again
    if request.method == "HEAD":
        return Response(headers=HEADERS)
    if not places.take():
        answer = refusal(f"{places.most} pages are fed already; ask /data again and again instead", 503)
        answer.headers["Retry-After"] = "10"
        return answer
    ping = current_app.extensions["settings"].ping
    return Response(Watching(feeds, feed, places, cursor, ping), headers=HEADERS, direct_passthrough=True)


def data(feed: Feed, after: str | None) -> Message:
    """The same for those who ask again and again."""
    return first_message(feed) if after is None else message_after(feed, Cursor.parse(after))
