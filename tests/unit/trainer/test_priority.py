from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.priority import at_idle_priority


def test_only_the_learner_s_thread_is_at_idle_priority_and_only_while_it_learns() -> None:
    if os.geteuid():
        pytest.skip("without CAP_SYS_NICE there is no way back, for the thread that runs the tests too")
    before = os.sched_getscheduler(0)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(os.sched_getscheduler, 0).result()
        with at_idle_priority():
            assert os.sched_getscheduler(0) == os.SCHED_IDLE
            assert pool.submit(os.sched_getscheduler, 0).result() == other
    assert os.sched_getscheduler(0) == before


def test_the_learner_works_where_priorities_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*dummy: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", forbidden)
    with at_idle_priority():
        pass
