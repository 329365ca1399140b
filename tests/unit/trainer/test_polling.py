from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._store import page_requests
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.page_requests import Request, ask
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.store import StudyRecord, events, open_store
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer import polling
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.polling import poll_requests
from sqlalchemy import Engine


class Fleet:
    """What was done to it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def stop(self, reason: str) -> None:
        self.calls.append(("stop", reason))

    def restore(self, reason: str) -> None:
        self.calls.append(("restore", reason))

    def notify(self, text: str) -> None:
        self.calls.append(("notify", text))


@pytest.mark.parametrize(("kind", "wanted"), [("stop", "stop the run"), ("restore", "restore all hosts now")])
def test_each_request_is_handled_once_and_recorded_with_its_sender(
    kind: Any, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    seen_before: dict[int, list[Request]] = {}

    def take(engine: Engine, study_id: int) -> list[Request]:
        """Whatever it returned once, it returns again, as when a server is lost before it has marked a request."""
        looks.append(study_id)
        seen_before.setdefault(study_id, []).extend(page_requests.take(engine, study_id))
        return list(seen_before[study_id])

    def wait_for(condition: Callable[[], bool]) -> None:
        limit = time.monotonic() + 180
        while not condition():
            assert time.monotonic() < limit
            time.sleep(0.01)

    monkeypatch.setattr(polling, "take", take)
    monkeypatch.setattr(polling, "_INTERVAL", 0.05)
    engine = open_store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    other = StudyRecord.begin(engine, workload_name="other", study={"workload_name": "other"}, seed=1)
    own = StudyRecord.begin(engine, workload_name="own", study={"workload_name": "own"}, seed=1)
    fleet, told = Fleet(), Fleet()
    ask(engine, own.study_id, "restore", "192.0.2.1")  # of an earlier run of this study, which was killed
    poll_requests(engine, own.study_id, fleet, own.add_event)  # type: ignore[arg-type]
    poll_requests(engine, other.study_id, told, other.add_event)  # type: ignore[arg-type]
    ask(engine, own.study_id, kind, "192.0.2.7")
    wait_for(lambda: bool(events(engine, own.study_id)))
    seen = looks.count(own.study_id)
    wait_for(lambda: looks.count(own.study_id) > seen + 1)  # which finds nothing more to do
    assert fleet.calls == [
        (kind, "stopped on the dashboard by 192.0.2.7"),
        ("notify", f"192.0.2.7 asked on the dashboard to {wanted}"),
    ]
    assert [event.text for event in events(engine, own.study_id)] == [f"192.0.2.7 asked on the dashboard to {wanted}"]
    assert told.calls == []
