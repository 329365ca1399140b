from __future__ import annotations

import json

import dashboard_store
import pytest
from ansible_collections.autotune.kernel.dashboard.feed import Cursor, Feed, UnknownStudy
from ansible_collections.autotune.kernel.dashboard.readonly_store import ReadOnlyStore
from ansible_collections.autotune.kernel.dashboard.updates import (
    FIRST_TRIALS,
    as_json,
    first_message,
    message_after,
    of_trial,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.store import open_store
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.tables import TrialRow
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session


def numbers(message):
    return [trial["id"] for trial in message["trials"]]


def test_the_first_message_has_the_latest_trials_and_events(url, study_id):
    feed = Feed(ReadOnlyStore(url), study_id)
    message = first_message(feed)
    assert numbers(message) == list(range(121 - FIRST_TRIALS, 121))
    assert [event["text"] for event in message["events"]] == [event.text for event in feed.events]
    status = message["status"]
    assert (status["trials"], status["verdict"], status["left_seconds"]) == (120, "improved", 0.0)
    assert status["failed"] == sum(trial.failed for trial in feed.trials) > 0
    best = max((e for e in feed.trials if e.phase == "train" and not e.failed), key=lambda e: e.performance)
    assert (status["best_trial"], status["best_percent"]) == (best.id, best.change_percent)
    assert status["episode"] == sum(e.phase == "train" for e in feed.trials) // 10
    assert [host["trials"] for host in message["hosts"]] == [40, 40, 40]
    assert all(80 < host["baseline_metric"] < 120 for host in message["hosts"])


def test_following_the_cursors_gives_everything_once(url, running_study):
    feed = Feed(ReadOnlyStore(url), running_study.study_id)
    message = first_message(feed)
    seen, told = [], []
    for step in range(12):
        for dummy in range(step % 4):
            running_study.evaluate()
        running_study.add_event(f"step {step}")
        feed.refresh()
        message = message_after(feed, Cursor.parse(message["cursor"]))
        assert "reset" not in message
        seen += numbers(message)
        told += [event["text"] for event in message["events"]]
    assert seen == list(range(21, running_study.number + 1))
    assert told == [f"step {step}" for step in range(12)]


@pytest.mark.parametrize("cursor", ["999999-0", "1-999999", "nonsense", "-1-0", "1", "²-0", "1-0-0", "9" * 30 + "-0"])
def test_an_unknown_cursor_resets(url, study_id, cursor):
    feed = Feed(ReadOnlyStore(url), study_id)
    assert message_after(feed, Cursor.parse(cursor)) == first_message(feed) | {"reset": True}


def test_a_client_that_missed_too_much_is_reset(url):
    study_id = dashboard_store.fill(url, trials=2100, hosts=2, finished=False)
    feed = Feed(ReadOnlyStore(url), study_id)
    assert message_after(feed, Cursor())["reset"]
    since = Cursor(feed.trials[200].id, 0)
    assert len(message_after(feed, since)["trials"]) == 1899


def test_ids_of_another_study_are_unknown(url, study_id):
    other = dashboard_store.fill(url, trials=50, hosts=2)
    feed = Feed(ReadOnlyStore(url), other)
    assert message_after(feed, Cursor(5, 1))["reset"]


def test_a_request_is_news(url, running_study):
    feed = Feed(ReadOnlyStore(url), running_study.study_id)
    before = feed.version
    feed.refresh()
    assert feed.version == before
    feed.store.ask(running_study.study_id, "stop", "192.0.2.7")
    feed.refresh()
    assert feed.version == before + 1
    asked = first_message(feed)["status"]["request"]
    assert (asked["kind"], asked["by"], asked["taken_at"]) == ("stop", "192.0.2.7", None)


def test_the_end_comes_with_the_result(url, running_study):
    feed = Feed(ReadOnlyStore(url), running_study.study_id)
    assert first_message(feed)["status"]["left_seconds"] == 60.0
    running_study.finish("no_improvement")
    feed.refresh()
    assert (feed.ended, feed.data().result["verdict"]) == (True, "no_improvement")
    assert first_message(feed)["status"]["verdict"] == "no_improvement"


def test_a_study_that_was_resumed_and_ended_again_while_nobody_looked(url, running_study):
    running_study.finish("stopped")
    feed = Feed(ReadOnlyStore(url), running_study.study_id)
    assert feed.data().result["verdict"] == "stopped"
    running_study.finish("improved")
    feed.refresh()
    assert (feed.study["verdict"], feed.data().result["verdict"]) == ("improved", "improved")


def test_an_unknown_study(url, study_id):
    with pytest.raises(UnknownStudy, match=f"no study {study_id + 1}"):
        Feed(ReadOnlyStore(url), study_id + 1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_any_content_is_valid_json_on_one_line(content):
    def refuse(name):
        raise AssertionError(name)

    text = as_json(content)
    json.loads(text, parse_constant=refuse)
    assert "\n" not in text  # in a stream, a line break would end the message


def test_rewards_are_those_of_training_and_may_be_zero(url, study_id):
    """Trials of the proof are not compared with the best of training; and 0 is better than -1."""
    with Session(open_store(url)) as session:
        rows = session.query(TrialRow).order_by(TrialRow.id).all()
        first = next(row for row in rows if row.phase == "train")
        for row in rows:
            row.error, row.reward = None, 0.0 if row is first else -1.0 if row.phase == "train" else 5.0
        session.commit()
    status = first_message(Feed(ReadOnlyStore(url), study_id))["status"]
    assert (status["best_reward"], status["reward"]) == (0.0, -1.0)


def test_original_values_have_no_change(url, study_id):
    feed = Feed(ReadOnlyStore(url), study_id)
    told = [of_trial(trial) for trial in feed.trials]
    assert {e["label"] for e in told} == {"original values", "candidate"}
    assert {e["phase"] for e in told if e["label"] == "original values"} == {"baseline", "control", "verify"}
    assert all(e["change_percent"] is None for e in told if e["label"] == "original values")
    assert all(e["change_percent"] is not None for e in told if e["label"] == "candidate" and not e["error"])


def test_a_finished_study_has_no_trials_left(url, study_id):
    status = first_message(Feed(ReadOnlyStore(url), study_id))["status"]
    assert (status["trials"], status["trials_planned"], status["not_needed"]) == (120, 120, 12)
