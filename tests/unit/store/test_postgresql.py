# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The store on a real PostgreSQL server: round trips, lost connections, locks, and passwords in messages."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._store import store
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.claim import claim
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.store import StoreError, StudyRecord, open_store
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Score, State, Trial
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

TRIAL = Trial(
    Phase.TRAIN,
    {"net.ipv4.tcp_rmem": "4096 131072 6291456", "vm.swappiness": 10},
    host="h1",
    id=1,
    state=State.COMPLETE,
    applied={"net.ipv4.tcp_rmem": "4096 131072 6291456", "vm.swappiness": "10"},
    metric=94.2500000000001,
    streamed=[0.1, 93.0],
    metrics={"throughput": 94.2500000000001, "latency": 1e-300},
    score=Score(-0.1 + 0.3, 0.9, 0.125, {"variation": 0.9}),
    finished=datetime(2026, 11, 29, 12, 0, tzinfo=UTC),
)


@pytest.fixture
def engine(postgresql: Any) -> Iterator[Engine]:
    """An empty database."""
    engine = open_store(postgresql.url)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE studies, hosts, trials, events, requests RESTART IDENTITY"))
    yield engine
    engine.dispose()


@pytest.fixture
def record(engine: Engine) -> StudyRecord:
    record = StudyRecord.begin(engine, workload_name="small", study={"workload_name": "small"}, seed=2**32 - 1)
    record.add_host("h1", {"kernel": "6.1.0"}, {"vm.swappiness": "60"})
    return record


def test_a_study_is_read_as_it_was_written(engine: Engine, record: StudyRecord) -> None:
    record.add_trial(TRIAL)
    record.add_trial(replace(TRIAL.fail("it said a\0b\udc80 and é"), id=2))
    record.finish({"verdict": "improved", "reason": "", "interval": [3.5, 0.1 + 0.2]}, 8)

    (study,) = store.studies(engine)
    assert (study.seed, study.result) == (
        2**32 - 1,
        {"verdict": "improved", "reason": "", "interval": [3.5, 0.1 + 0.2]},
    )
    first, second = store.trials(engine, study.id)
    assert store.trial_of(first, "h1") == TRIAL
    assert second.error == "it said a\ufffdb? and é"
    # The time zone of the server is not UTC.
    assert study.started.tzinfo is UTC
    assert first.finished.tzinfo is UTC


def test_trials_and_events_have_indexes(engine: Engine, record: StudyRecord) -> None:
    assert inspect(engine).get_pk_constraint("trials")["constrained_columns"] == ["study_id", "id"]
    assert "events_in_order" in {index["name"] for index in inspect(engine).get_indexes("events")}


PREPARER = """
import sys
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.store import open_store

print("ready", flush=True)
input()
open_store(sys.argv[1])
"""


@pytest.mark.takes_seconds
def test_concurrent_controllers_create_the_tables_once(postgresql: Any, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE studies, hosts, trials, events, requests"))
    path = os.pathsep.join(entry for entry in sys.path if entry)
    controllers = [
        subprocess.Popen(
            [sys.executable, "-c", PREPARER, postgresql.url],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for dummy in range(2)
    ]
    for controller in controllers:
        assert controller.stdout is not None
        assert controller.stdout.readline() == b"ready\n"
    for controller in controllers:
        assert controller.stdin is not None
        controller.stdin.write(b"\n")
        controller.stdin.close()
    assert [controller.wait(180) for controller in controllers] == [0, 0]


def test_a_restart_of_the_server_neither_loses_nor_duplicates_trials(
    postgresql: Any, engine: Engine, record: StudyRecord
) -> None:
    """Trials are written without a pause before, during and after the restart."""
    written: list[int] = []
    enough = threading.Event()

    def write() -> None:
        while not enough.is_set():
            record.add_trial(replace(TRIAL, id=len(written) + 1))
            written.append(len(written) + 1)

    writer = threading.Thread(target=write)
    writer.start()

    def wait_for_more() -> None:
        before, limit = len(written), time.monotonic() + 180
        while len(written) < before + 5:
            assert writer.is_alive()
            assert time.monotonic() < limit
            time.sleep(0.01)

    wait_for_more()
    postgresql.stop()
    postgresql.start()
    wait_for_more()
    enough.set()
    writer.join(180)
    assert [row.id for row in store.trials(engine, record.study_id)] == written


def test_a_trial_committed_without_confirmation_is_not_written_again(
    engine: Engine, record: StudyRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, failures = Session.commit, [OperationalError("COMMIT", {}, Exception("server closed the connection"))]

    def commit_without_confirmation(session: Session) -> None:
        commit(session)
        if failures:
            raise failures.pop()

    monkeypatch.setattr(Session, "commit", commit_without_confirmation)
    record.add_trial(TRIAL)
    assert not failures
    assert [row.id for row in store.trials(engine, record.study_id)] == [1]


def test_a_duplicate_trial_id_is_an_error(record: StudyRecord) -> None:
    record.add_trial(TRIAL)
    with pytest.raises(StoreError, match="failed: duplicate key"):
        record.add_trial(TRIAL)


def test_the_error_for_a_lost_server_is_one_line_without_the_password(
    postgresql: Any, record: StudyRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PATIENCE", 1.0)
    postgresql.stop()
    try:
        with pytest.raises(StoreError) as caught:
            record.add_event("too late")
        with pytest.raises(StoreError) as at_first:
            open_store(postgresql.url)
    finally:
        postgresql.start()
    assert "writing to the store " in str(caught.value)
    assert "cannot be written: " in str(at_first.value)
    for error in (caught, at_first):
        assert "tuner:***@127.0.0.1" in str(error.value)
        assert postgresql.password not in str(error.value)
        assert "\n" not in str(error.value)


def test_the_error_for_a_wrong_password_does_not_show_it(postgresql: Any) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(postgresql.url.replace(postgresql.password, "wr0ng"))
    assert "password authentication failed" in str(caught.value)
    assert "wr0ng" not in str(caught.value)


def test_only_one_trainer_at_a_time_claims_a_study(postgresql: Any, engine: Engine, record: StudyRecord) -> None:
    other = open_store(postgresql.url)
    held = claim(engine, 1)
    assert held is not None
    assert claim(other, 1) is None
    assert claim(other, 2) is not None
    held.release()
    assert claim(other, 1) is not None
    other.dispose()
