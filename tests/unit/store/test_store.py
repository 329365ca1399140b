from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.claim import claim
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.page_requests import ask, take
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.store import (
    StoreError,
    StudyRecord,
    events,
    hosts,
    open_store,
    shown,
    studies,
    trial_of,
    trials,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import (
    Phase,
    Score,
    State,
    Trial,
    to_json,
)
from sqlalchemy import Engine, event, text

TRIAL = Trial(
    Phase.TRAIN,
    {"net.ipv4.tcp_rmem": "4096 131072 6291456"},
    host="h1",
    id=1,
    state=State.COMPLETE,
    applied={"net.ipv4.tcp_rmem": "4096 131072 6291456"},
    metric=94.25,
    streamed=[90.5, 93.0],
    metrics={"throughput": 94.25, "latency": 3.0},
    observations={"cpu_usage": 12.5},
    health={"retransmits": 0.01},
    seconds={"apply": 0.3, "benchmark": 5.0},
    score=Score(0.25, 0.9, 0.125, {"variation": 0.9}, 0.02, 100.0, 0.018),
    finished=datetime(2026, 11, 29, 12, 0, tzinfo=UTC),
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.sqlite'}"


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = open_store(url)
    yield engine
    engine.dispose()


@pytest.fixture
def record(engine: Engine) -> StudyRecord:
    return StudyRecord.begin(engine, workload_name="small", study={"workload_name": "small"}, seed=7)


def test_a_study_is_read_as_it_was_written(url: str, record: StudyRecord) -> None:
    record.add_host("h1", {"kernel": "6.1.0", "cpus": 2}, {"vm.swappiness": "60"})
    record.enter("train", 87)
    record.add_trial(TRIAL)
    record.add_trial(replace(TRIAL.fail("ran into its time limit"), id=2))
    record.add_event("total_timesteps is less than one rollout")
    result = {"verdict": "improved", "reason": "better in 8 of 8 pairs", "interval": [3.5, 9.0]}
    record.finish(result, 60)

    reader = open_store(url)
    (study,) = studies(reader)
    assert (study.id, study.workload_name, study.seed, study.study) == (
        record.study_id,
        "small",
        7,
        {"workload_name": "small"},
    )
    assert (study.phase, study.trials_planned, study.verdict) == ("ended", 60, "improved")
    assert (study.reason, study.result) == ("better in 8 of 8 pairs", result)
    (host,) = hosts(reader, study.id)
    assert (host.name, host.facts, host.original_values, host.lost) == (
        "h1",
        {"kernel": "6.1.0", "cpus": 2},
        {"vm.swappiness": "60"},
        None,
    )
    first, second = trials(reader, study.id)
    assert trial_of(first, "h1") == TRIAL
    assert (second.id, second.state, second.metric, second.error) == (2, "failed", None, "ran into its time limit")
    assert [row.id for row in trials(reader, study.id, after=first.id)] == [2]
    assert [(row.host, row.text) for row in events(reader, study.id)] == [
        (None, "total_timesteps is less than one rollout")
    ]


def test_times_are_in_utc(engine: Engine, record: StudyRecord) -> None:
    (study,) = studies(engine)
    assert study.started.tzinfo is UTC
    assert study.started == record.started
    assert abs((datetime.now(UTC) - study.started).total_seconds()) < 600


def test_a_running_study_has_no_verdict(engine: Engine, record: StudyRecord) -> None:
    (study,) = studies(engine)
    assert (study.phase, study.verdict, study.finished) == ("baseline", None, None)


def test_a_lost_host_keeps_its_reason(engine: Engine, record: StudyRecord) -> None:
    record.add_host("h1", {}, {})
    record.lose_host("h1", "lost: the SSH connection broke")
    record.lose_host("never ready", "vm.swappiness is read-only here")
    assert [host.lost for host in hosts(engine, record.study_id)] == ["lost: the SSH connection broke"]
    assert [(row.host, row.text) for row in events(engine, record.study_id)] == [
        ("h1", "lost: the SSH connection broke"),
        ("never ready", "vm.swappiness is read-only here"),
    ]


def test_studies_are_separate_and_the_latest_is_first(engine: Engine) -> None:
    first, second = (StudyRecord.begin(engine, workload_name=name, study={}, seed=1) for name in ("one", "two"))
    for record in (first, second):
        record.add_host("h1", {}, {})
        record.add_trial(replace(TRIAL, id=record.study_id))
    assert [study.workload_name for study in studies(engine)] == ["two", "one"]
    assert [row.id for row in trials(engine, first.study_id)] == [first.study_id]


def test_sqlite_is_durable_and_allows_concurrent_readers(engine: Engine) -> None:
    with engine.connect() as connection:
        pragmas = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}


@pytest.mark.parametrize(
    ("url", "visible"),
    [
        ("postgresql://tuner:s3cret@db.example/studies", "postgresql://tuner:***@db.example/studies"),
        ("sqlite:////tmp/store.sqlite", "sqlite:////tmp/store.sqlite"),
        ("postgresql://tuner:s3cret@db.example:port/studies", "postgresql://tuner:***@db.example:port/studies"),
        ("postgresql://tuner:s3/c:r@t@db.example/studies", "postgresql://tuner:***@db.example/studies"),
        ("sqlite:////home/a:b@c/store.sqlite", "sqlite:////home/a:b@c/store.sqlite"),
        ("s3cret", "s3cret"),
        ("postgresql://db/studies?user=tuner&password=s3cret", "postgresql://db/studies?user=tuner&password=***"),
    ],
)
def test_a_password_is_never_shown(url: str, visible: str) -> None:
    assert shown(url) == visible


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "the store 'nonsense' cannot be used"),
        ("nosuch://tuner:s3cret@host/db", "the store 'nosuch://tuner:***@host/db' cannot be used"),
        (
            "mysql+oursql2://tuner:s3cret@host/db",
            "the store 'mysql+oursql2://tuner:***@host/db' cannot be used",
        ),
        (
            "postgresql://t:s3cret@host:port/db",
            "the store 'postgresql://t:***@host:port/db' cannot be used",
        ),
        (
            "postgresql://t:p@ss:s3cret@host/db",
            "the store 'postgresql://t:***@host/db' cannot be used: its port is not a number; in a "
            "password, write @ as %40",
        ),
        (
            "mysql://t:s3cret@host/db",
            "the store 'mysql://t:***@host/db' cannot be used: the Python module MySQLdb is not installed",
        ),
        ("sqlite:////proc/none/store.sqlite", "the store's folder cannot be created"),
        ("sqlite:////dev/null/store.sqlite", "the store's folder cannot be created"),
        ("sqlite:////tmp", "the store sqlite:////tmp cannot be written: unable to open database file"),
    ],
)
def test_an_unusable_store_is_reported_in_one_line(url: str, message: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(url)
    assert str(caught.value).startswith(message)
    assert "set `store`" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_postgresql_without_its_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"psycopg is not installed; pip install autotune-kernel\[postgresql\]"):
        open_store("postgresql://t@host/db")


def test_a_file_that_is_not_a_database_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes\n" * 1000)
    with pytest.raises(StoreError, match="cannot be written: file is not a database"):
        open_store(f"sqlite:///{path}")
    assert path.read_text() == "my notes\n" * 1000


def test_a_read_only_store_is_detected_when_it_is_opened(url: str, tmp_path: Path) -> None:
    open_store(url).dispose()
    with pytest.raises(StoreError, match="cannot be written: attempt to write a readonly database"):
        open_store(f"sqlite:///file:{tmp_path / 'store.sqlite'}?mode=ro&uri=true")


def test_a_full_disk_is_reported_in_one_line_and_loses_no_trial(url: str, engine: Engine, record: StudyRecord) -> None:
    record.add_host("h1", {}, {})
    record.add_trial(TRIAL)
    with engine.connect() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar()
    # SQLite reports the same error for this limit as for a full disk.
    event.listen(engine, "connect", lambda raw, dummy: raw.execute(f"PRAGMA max_page_count={pages}"))
    engine.dispose()
    with pytest.raises(StoreError) as caught:
        record.add_event("x" * 100_000)
    assert str(caught.value) == f"writing to the store {url} failed: database or disk is full; earlier trials are safe"
    reader = open_store(url)
    assert [row.metric for row in trials(reader, record.study_id)] == [94.25]
    assert list(events(reader, record.study_id)) == []


def test_a_missing_table_is_a_store_error(engine: Engine, record: StudyRecord) -> None:
    record.add_host("h1", {}, {})
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE trials"))
    with pytest.raises(StoreError, match="failed: no such table: trials"):
        record.add_trial(TRIAL)


WRITER = """
import json, sys
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import from_json
from dataclasses import replace
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.store import StudyRecord, open_store

record = StudyRecord.begin(open_store(sys.argv[1]), workload_name="w", study={}, seed=1)
record.add_host("h1", {}, {})
trial = from_json(json.loads(sys.argv[2]))
for number in range(40):
    record.add_trial(replace(trial, id=number + 1))
"""


def test_a_new_file_that_another_process_writes_to_is_waited_for(url: str, tmp_path: Path) -> None:
    """SQLite gives up at once when the switch to WAL meets a writer."""
    other = sqlite3.connect(tmp_path / "store.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    ending = threading.Timer(0.5, other.execute, ["COMMIT"])
    ending.start()
    assert studies(open_store(url)) == []
    ending.join()
    other.close()


@pytest.mark.takes_seconds
def test_two_concurrent_writers_both_succeed(url: str, tmp_path: Path) -> None:
    content = json.dumps(to_json(TRIAL))
    path = os.pathsep.join(entry for entry in sys.path if entry)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, url, content], env={**os.environ, "PYTHONPATH": path})
        for dummy in range(2)
    ]
    assert [writer.wait(180) for writer in writers] == [0, 0]
    engine = open_store(url)
    for study in studies(engine):
        assert [row.id for row in trials(engine, study.id)] == list(range(1, 41))
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ("DROP TABLE trials", "trials"),
        ("ALTER TABLE trials DROP COLUMN health", "trials.health"),
    ],
)
def test_a_store_of_another_version_is_rejected(url: str, engine: Engine, change: str, missing: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(change))
    with pytest.raises(StoreError) as caught:
        open_store(url)
    assert str(caught.value) == (
        f"the store {url} was written by another version of autotune.kernel (missing: {missing}); "
        f"set `store` to a new one"
    )


def test_only_one_trainer_at_a_time_claims_a_study(engine: Engine) -> None:
    held = claim(engine, 1)
    assert held is not None
    assert claim(engine, 1) is None
    assert claim(engine, 2) is not None
    held.release()
    assert claim(engine, 1) is not None


def test_a_resumed_study_is_open_and_ignores_old_requests(engine: Engine, record: StudyRecord) -> None:
    record.add_host("h1", {"boot_id": "a"}, {"vm.swappiness": "60"})
    record.add_trial(TRIAL, left_seconds=7.0)
    record.lose_host("h1", "lost: no route")
    ask(engine, record.study_id, "stop", "127.0.0.1")
    record.finish({"verdict": "stopped", "reason": "Ctrl-C"}, 87)

    again = StudyRecord.resume(engine, record.study_id, {"workload_name": "small", "training_config": {}})
    again.add_host("h1", {"boot_id": "b"}, {"vm.swappiness": "10"})
    again.add_trial(replace(TRIAL, id=2))

    (study,) = studies(engine)
    assert (study.verdict, study.reason, study.result, study.finished) == (None, None, None, None)
    assert study.left_seconds is None
    assert (again.started, again.seed, "training_config" in study.study) == (record.started, 7, True)
    (host,) = hosts(engine, study.id)
    assert (host.facts, host.original_values, host.lost) == ({"boot_id": "b"}, {"vm.swappiness": "10"}, None)
    assert [row.id for row in trials(engine, study.id)] == [1, 2]
    assert [row.text for row in events(engine, study.id)] == ["lost: no route", "resumed"]
    assert take(engine, study.id) == []


def test_a_host_that_does_not_return_after_a_kill_does_nothing(engine: Engine, record: StudyRecord) -> None:
    for name in ("h1", "h2"):
        record.add_host(name, {}, {})
        record.set_activity(name, "training 2")
    again = StudyRecord.resume(engine, record.study_id, {"workload_name": "small"})
    again.add_host("h1", {}, {})
    again.set_activity("h1", "training 3")
    assert [(host.name, host.doing, host.since is None) for host in hosts(engine, record.study_id)] == [
        ("h1", "training 3", False),
        ("h2", None, True),
    ]
