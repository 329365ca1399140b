# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Studies in memory, while the store changes under them."""

from __future__ import annotations

from pathlib import Path

import dashboard_store
import pytest
from ansible_collections.autotune.kernel.dashboard.feed import Feed, UnknownStudy
from ansible_collections.autotune.kernel.dashboard.feeds import Feeds
from ansible_collections.autotune.kernel.dashboard.readonly_store import ReadOnlyStore
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.page_requests import ask
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.store import StoreError, StudyRecord, open_store


def remove(url: str) -> None:
    path = Path(url.removeprefix("sqlite:///"))
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def test_a_store_in_the_place_of_another_one_is_shown(url: str) -> None:
    old = dashboard_store.fill(url, workload="old", trials=30, finished=False)
    feeds = Feeds(ReadOnlyStore(url), poll=0.0)
    of_old = feeds.of(old)
    kept = open(url.removeprefix("sqlite:///"), "rb")  # noqa: SIM115 (or the new file may get its inode)
    remove(url)
    assert feeds.of(old) is of_old, "there is no other one yet"
    with pytest.raises(StoreError, match="was removed or replaced"):
        feeds.store.ask(old, "stop", "192.0.2.7")
    with dashboard_store.running(url, trials=20) as study:
        assert study.study_id == old
        assert feeds.of(old).study["workload_name"] == "wan"
        assert len(feeds.of(old).trials) == 20
        with pytest.raises(UnknownStudy):
            of_old.refresh()
        assert of_old.is_gone
        feeds.store.ask(old, "stop", "192.0.2.7")
        assert feeds.of(old).request["kind"] == "stop"
    kept.close()


def test_what_was_asked_before_a_resumption_is_not_shown_after_it(url: str) -> None:
    study_id = dashboard_store.fill(url, trials=30, finished=False)
    engine = open_store(url)
    ask(engine, study_id, "stop", "192.0.2.7")
    feed = Feed(ReadOnlyStore(url), study_id)
    assert feed.request["kind"] == "stop"
    StudyRecord.resume(engine, study_id, dashboard_store.study_file("wan", 30))
    for found in (feed, Feed(ReadOnlyStore(url), study_id)):
        found.refresh()
        assert found.request is None
    ask(engine, study_id, "restore", "192.0.2.7")
    feed.refresh()
    assert feed.request["kind"] == "restore"
