# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Studies whose trainer was killed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dashboard_store
import pytest
from ansible_collections.autotune.kernel.dashboard import feed as feeds
from ansible_collections.autotune.kernel.dashboard.feed import Feed
from ansible_collections.autotune.kernel.dashboard.readonly_store import ReadOnlyStore
from ansible_collections.autotune.kernel.dashboard.updates import status_of
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.claim import claim
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.store import RESUMED, open_store
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.tables import EventRow
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

# A trainer as others see it: it holds the claim on its study.
TRAINER = """
import sys, time
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.claim import claim
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.store import open_store

held = claim(open_store(sys.argv[1]), int(sys.argv[2]))
print("claimed" if held else "taken", flush=True)
time.sleep(600)
"""
AGO = timedelta(minutes=5)
Clients = Callable[..., FlaskClient]


@pytest.fixture
def trainer(url: str) -> Iterator[Callable[[int], subprocess.Popen[str]]]:
    started = []

    def start(study_id: int) -> subprocess.Popen[str]:
        path = os.pathsep.join(entry for entry in sys.path if entry)
        process = subprocess.Popen(
            [sys.executable, "-c", TRAINER, url, str(study_id)],
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout
        assert process.stdout.readline() == "claimed\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def begun(url: str) -> int:
    return dashboard_store.fill(url, trials=30, hosts=2, finished=False, started=datetime.now(UTC) - AGO)


@pytest.mark.takes_seconds
def test_a_study_without_a_trainer_is_interrupted(
    url: str, client_of: Clients, trainer: Callable[[int], subprocess.Popen[str]]
) -> None:
    study_id = begun(url)
    process = trainer(study_id)
    client = client_of(poll=0.0)
    assert client.get(f"/api/studies/{study_id}/data").get_json()["status"]["interrupted"] is False
    assert client.get("/api/studies?verdict=running").get_json()["total"] == 1

    process.kill()
    process.wait()
    client = client_of(poll=0.0)  # one that has not seen the trainer alive
    status = client.get(f"/api/studies/{study_id}/data").get_json()["status"]
    assert (status["interrupted"], status["left_seconds"]) == (True, None)
    assert status["elapsed_seconds"] == pytest.approx(120, abs=5)  # until its last trial
    assert client.get("/api/studies?verdict=running").get_json()["total"] == 0
    (listed,) = client.get("/api/studies?verdict=interrupted").get_json()["studies"]
    assert (listed["id"], listed["running"], listed["interrupted"]) == (study_id, False, True)

    page = client.get(f"/studies/{study_id}").get_data(as_text=True)
    assert re.search(r"Interrupted: no sign of the trainer since <time datetime=", page)
    assert "-e resume=true" in page
    assert '<span class="badge interrupted">Interrupted</span>' in page
    assert "Stop study…" not in page
    assert "was: training 1" in page
    token = re.findall(r'name="csrf_token" value="([^"]+)"', page)[0]
    asked = client.post(f"/studies/{study_id}/stop", data={"csrf_token": token}, headers={"Accept": "application/json"})
    assert (asked.status_code, "trainer is not running" in asked.get_json()["error"]) == (409, True)

    trainer(study_id)  # as with -e resume=true
    assert client.get(f"/api/studies/{study_id}/data").get_json()["status"]["interrupted"] is False


@pytest.mark.takes_seconds
def test_interruption_and_resumption_are_news(
    url: str, trainer: Callable[[int], subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "_GRACE", timedelta(hours=1))
    study_id = begun(url)
    process = trainer(study_id)
    feed = Feed(ReadOnlyStore(url), study_id)
    version = feed.version
    process.kill()
    process.wait()
    feed.refresh()
    assert not feed.interrupted  # within the grace period
    monkeypatch.setattr(feeds, "_GRACE", timedelta(0))
    feed.refresh()
    assert (feed.interrupted, feed.version) == (True, version + 1)
    feed.refresh()
    assert feed.version == version + 1  # nothing has changed
    trainer(study_id)
    feed.refresh()
    assert (feed.interrupted, feed.version) == (False, version + 2)


def test_a_study_that_has_just_started_is_not_interrupted(url: str) -> None:
    study_id = dashboard_store.fill(url, trials=0, hosts=0, finished=False, started=datetime.now(UTC))
    assert not Feed(ReadOnlyStore(url), study_id).interrupted


def test_a_study_that_has_ended_is_not_interrupted(url: str, study_id: int) -> None:
    assert not Feed(ReadOnlyStore(url), study_id).interrupted


def test_the_trainer_is_found_through_a_symbolic_link(url: str, tmp_path: Path) -> None:
    study_id = begun(url)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link.sqlite").symlink_to(tmp_path / "store.sqlite")
    other = f"sqlite:///{tmp_path / 'elsewhere' / 'link.sqlite'}"
    with dashboard_store.claimed(url, study_id):
        assert not Feed(ReadOnlyStore(other), study_id).interrupted
    assert Feed(ReadOnlyStore(other), study_id).interrupted


def test_interruptions_do_not_count_as_elapsed_time(url: str) -> None:
    """A two-minute study that was interrupted over a weekend had not taken three days."""
    began = datetime.now(UTC) - timedelta(days=3)
    study_id = dashboard_store.fill(url, trials=30, hosts=2, finished=False, started=began)
    with Session(open_store(url)) as session:
        resumed = datetime.now(UTC) - timedelta(seconds=30)
        session.add(EventRow(study_id=study_id, at=resumed, text=RESUMED))
        session.commit()
    held = claim(open_store(url), study_id)
    assert held
    status = status_of(Feed(ReadOnlyStore(url), study_id))
    held.release()
    assert 150 <= status["elapsed_seconds"] < 3600  # 120 s until the last event, then 30 s and this test
    assert status["left_seconds"] == 90, "what the trainer said last"
