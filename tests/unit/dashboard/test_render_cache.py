# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import pytest
from ansible_collections.autotune.kernel.dashboard.feed import Feed
from ansible_collections.autotune.kernel.dashboard.readonly_store import ReadOnlyStore
from ansible_collections.autotune.kernel.dashboard.render_cache import RenderCache


def test_a_study_that_was_out_of_memory_for_a_while_is_rendered_anew(url, running_study):
    cache = RenderCache()
    assert cache.get(Feed(ReadOnlyStore(url), running_study.study_id), "status", lambda: "old").plain == b"old"
    running_study.evaluate()
    again = Feed(ReadOnlyStore(url), running_study.study_id)
    assert cache.get(again, "status", lambda: "new").plain == b"new"
    assert cache.get(again, "status", lambda: "never").plain == b"new"


def test_what_cannot_be_rendered_leaves_nothing_in_memory(url, study_id):
    cache, feed = RenderCache(), Feed(ReadOnlyStore(url), study_id)
    for number in range(3):
        with pytest.raises(ZeroDivisionError):
            cache.get(feed, number, lambda: str(1 / 0))
    assert cache._rendering == {}
