# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Rendered charts and page parts, shared by all viewers until there is something new."""

from __future__ import annotations

import gzip
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from flask import Response, request

from .feed import Feed

_SIZE = 128

_Key = tuple[int, Hashable]


@dataclass(frozen=True)
class Content:
    """The body of an answer, plain and compressed."""

    plain: bytes
    gzipped: bytes

    @classmethod
    def of(cls, plain: bytes) -> Content:
        return cls(plain, gzip.compress(plain, compresslevel=6, mtime=0))

    def respond(self, mimetype: str, cache_control: str = "private, no-cache") -> Response:
        """The answer to the current request: compressed if accepted, 304 if the client has it."""
        accepts_gzip = request.accept_encodings.quality("gzip") > 0
        response = Response(self.gzipped if accepts_gzip else self.plain, mimetype=mimetype)
        if accepts_gzip:
            response.content_encoding = "gzip"
        response.headers["Cache-Control"] = cache_control
        response.vary.add("Accept-Encoding")
        response.add_etag()
        response.make_conditional(request)
        return response


class RenderCache:
    """The most recently used content, by study and key, with the version of the study it was made from."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rendering: dict[_Key, threading.Lock] = {}
        self._contents: OrderedDict[_Key, tuple[int, Content]] = OrderedDict()

    def get(self, feed: Feed, key: Hashable, render: Callable[[], str]) -> Content:
        full_key = (feed.study_id, key)
        with self._lock:
            rendering = self._rendering.setdefault(full_key, threading.Lock())
        # A hundred pages ask for the same content at once: one of them renders it.
        with rendering:
            version = feed.version
            known = self._contents.get(full_key)
            if known and known[0] == version:
                return known[1]
            try:
                content = Content.of(render().encode())
            except BaseException:
                with self._lock:
                    if known is None:  # or requests for what does not exist would fill the memory
                        self._rendering.pop(full_key, None)
                raise
            with self._lock:
                self._contents[full_key] = (version, content)
                self._contents.move_to_end(full_key)
                while len(self._contents) > _SIZE:
                    self._rendering.pop(self._contents.popitem(last=False)[0], None)
            return content
