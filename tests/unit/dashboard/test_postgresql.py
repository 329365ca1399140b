# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The dashboard of a store in PostgreSQL."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import dashboard_store
import pytest
from ansible_collections.autotune.kernel.dashboard.app import create_app
from ansible_collections.autotune.kernel.dashboard.feed import Feed
from ansible_collections.autotune.kernel.dashboard.readonly_store import ReadOnlyStore
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.claim import claim
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.page_requests import Request, take
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.store import StoreError
from flask.testing import FlaskClient
from sqlalchemy import Engine, text

MARKUP = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"


@pytest.fixture
def engine(postgresql: Any) -> Iterator[Engine]:
    """An empty database."""
    engine = dashboard_store.open_store(postgresql.url)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE studies, hosts, trials, events, requests RESTART IDENTITY"))
    yield engine
    engine.dispose()


@pytest.fixture
def url(postgresql: Any, engine: Engine) -> str:
    """Replaces the SQLite store of the other tests."""
    found: str = postgresql.url
    return found


@pytest.mark.takes_seconds
def test_every_page_of_a_finished_study(url: str, study_id: int, client_of: Callable[..., FlaskClient]) -> None:
    client, here = client_of(), f"/studies/{study_id}"
    assert client.get("/api/studies?q=WAN&verdict=improved").get_json()["total"] == 1
    assert client.get(f"/api/studies?q={study_id}").get_json()["total"] == 1
    for path in ("/", here, f"{here}/trials?sort=reward", f"{here}/trials/7", f"/compare?study={study_id}"):
        assert client.get(path).status_code == 200, path
    for name in ("learning_curve", "parallel", "evidence"):
        assert client.get(f"/api{here}/charts/{name}").get_json()["figure"]["data"]
    assert len(client.get(f"/api{here}/trials.json").get_json()) == 120
    assert client.get(f"/api{here}/trials.csv").get_data(as_text=True).count("\n") == 121


def test_a_trial_reaches_watching_clients(serve: Any, running_study: Any) -> None:
    from .test_stream import Stream

    one = Stream(serve(), running_study.study_id, after="0-0")
    assert one.next("message")["status"]["trials"] == 20
    number = running_study.evaluate()
    message = one.next("message")
    assert [trial["id"] for trial in message["trials"]] == [number]
    assert message["status"]["elapsed_seconds"] < 3600  # whatever the server's time zone
    running_study.finish()
    assert one.next("end")["status"]["verdict"] == "improved"
    one.close()


def test_a_stop_request_reaches_the_store(
    engine: Engine, running_study: Any, client_of: Callable[..., FlaskClient]
) -> None:
    client, here = client_of(poll=0.0), f"/studies/{running_study.study_id}"
    token = re.findall(r'name="csrf_token" value="([^"]+)"', client.get(here).get_data(as_text=True))[0]
    assert client.post(f"{here}/stop", data={"csrf_token": token}).status_code == 303
    assert take(engine, running_study.study_id) == [Request("stop", "127.0.0.1")]
    asked = client.get(f"/api{here}/data").get_json()["status"]["request"]
    assert (asked["kind"], asked["by"], asked["taken_at"] is not None) == ("stop", "127.0.0.1", True)


def test_markup_is_escaped(engine: Engine, url: str, study_id: int, client_of: Callable[..., FlaskClient]) -> None:
    with dashboard_store.Session(engine) as session:
        study = session.get_one(dashboard_store.StudyRow, study_id)
        study.workload_name, study.reason = MARKUP[:60], MARKUP
        study.study = {**study.study, "reward_metric": MARKUP, "benchmark_command": MARKUP}
        for host in session.query(dashboard_store.HostRow):
            host.name, host.doing, host.lost = f"{host.name}{MARKUP}", MARKUP, MARKUP
        for row in session.query(dashboard_store.TrialRow).filter(dashboard_store.TrialRow.error.isnot(None)):
            row.error = MARKUP
        for event in session.query(dashboard_store.EventRow):
            event.text, event.host = MARKUP, MARKUP
        session.commit()
    client, here = client_of(), f"/studies/{study_id}"
    for path in ("/", here, f"{here}/trials?failed=true", f"{here}/trials/7", f"/compare?study={study_id}"):
        shown = client.get(path).get_data(as_text=True)
        assert "&lt;script&gt;" in shown or "\\u003cscript" in shown, path
        assert "<script>alert" not in shown
        assert "<img" not in shown
        assert "49" not in re.findall(r"onerror=alert\(1\)&gt;(.{0,6})", shown)
    assert client.get("/api/studies", query_string={"q": MARKUP}).get_json()["total"] == 0


@pytest.mark.takes_seconds
def test_a_trainer_outlives_a_restart_of_the_database(postgresql: Any, engine: Engine, url: str) -> None:
    study_id = dashboard_store.fill(url, trials=10, hosts=2, finished=False)
    assert Feed(ReadOnlyStore(url), study_id).interrupted
    held = claim(engine, study_id)
    assert held is not None
    held.keep(engine, study_id, [].append, interval=0.1)
    feed = Feed(ReadOnlyStore(url), study_id)
    assert not feed.interrupted
    postgresql.stop()
    postgresql.start()
    limit = time.monotonic() + 180
    while Feed(ReadOnlyStore(url), study_id).interrupted:  # a feed that has not seen the trainer before
        assert time.monotonic() < limit, "the trainer has lost its claim for good"
        time.sleep(0.1)
    feed.refresh()
    assert not feed.interrupted
    held.release()
    assert Feed(ReadOnlyStore(url), study_id).interrupted


def test_an_unreachable_database_is_reported_without_its_password(
    postgresql: Any, url: str, study_id: int, client_of: Callable[..., FlaskClient]
) -> None:
    client = client_of(poll=0.0)
    assert client.get(f"/studies/{study_id}").status_code == 200
    postgresql.stop()
    try:
        answer = client.get(f"/api/studies/{study_id}/data")
        with pytest.raises(StoreError) as at_first:
            create_app(url)
    finally:
        postgresql.start()
    assert (answer.status_code, "cannot read the store" in answer.get_json()["error"]) == (503, True)
    assert "tuner:***@127.0.0.1" in str(at_first.value)
    assert postgresql.password not in answer.get_data(as_text=True) + str(at_first.value)
    assert client.get(f"/studies/{study_id}").status_code == 200
