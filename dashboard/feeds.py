# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The studies that are in use, each in memory once, and polled while anybody watches."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from sqlalchemy.exc import SQLAlchemyError

from .feed import Feed, UnknownStudy
from .readonly_store import ReadOnlyStore

# Studies without viewers that stay in memory.
_IDLE_FEEDS = 8


class Feeds:
    """The feeds of all studies in use. poll: seconds between two refreshes of a study that is being watched."""

    def __init__(self, store: ReadOnlyStore, poll: float) -> None:
        self.store, self.poll = store, poll
        self._lock = threading.Lock()
        self._loading: dict[int, threading.Lock] = {}
        self._feeds: OrderedDict[int, Feed] = OrderedDict()
        self._edition = store.edition

    def of(self, study_id: int) -> Feed:
        """The study as it was at most `poll` seconds ago. Raises UnknownStudy."""
        edition = self.store.check_edition()
        with self._lock:
            if edition != self._edition:
                self._feeds.clear()
                self._edition = edition
            loading = self._loading.setdefault(study_id, threading.Lock())
        # A long study takes a while to load: only requests for the same study wait.
        with loading:
            try:
                feed = self._feeds.get(study_id) or Feed(self.store, study_id)
            except UnknownStudy:
                self._loading.pop(study_id, None)  # requests for unknown studies must not fill the memory
                raise
            with self._lock:
                self._feeds[study_id] = feed
                self._feeds.move_to_end(study_id)
                for old in [key for key, known in self._feeds.items() if not known.watchers][:-_IDLE_FEEDS]:
                    del self._feeds[old]
        feed.refresh(older_than=self.poll)
        return feed

    def watch(self, feed: Feed) -> None:
        """Add a watcher; one thread per study polls the store while there is any."""
        with feed.changed:
            feed.watchers += 1
            if not feed.is_polled:  # the thread may outlive the last watcher by one poll
                feed.is_polled = True
                threading.Thread(target=self._poll, args=(feed,), daemon=True, name=f"study {feed.study_id}").start()

    def leave(self, feed: Feed) -> None:
        with feed.changed:
            feed.watchers -= 1

    def _poll(self, feed: Feed) -> None:
        while True:
            time.sleep(self.poll)
            with feed.changed:
                if not feed.watchers:
                    feed.is_polled = False
                    return
            try:
                feed.refresh()
            except UnknownStudy:
                return
            except SQLAlchemyError:
                continue  # the server restarts, or the disk is slow: try again
