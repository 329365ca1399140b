from __future__ import annotations

import json

import dashboard_store
import pytest
from ansible_collections.autotune.kernel.dashboard.feed import Cursor, Feed, UnknownStudy
from ansible_collections.autotune.kernel.dashboard.readonly_store import ReadOnlyStore
from ansible_collections.autotune.kernel.dashboard.updates import (
    FIRST_EVALUATIONS,
    as_json,
    first_message,
    message_after,
    of_evaluation,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.store import open_store
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.tables import TrialRow
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session


def numbers(message):
    return [evaluation["id"] for evaluation in message["evaluations"]]


def test_the_first_message_has_the_study_now_and_the_last_of_what_happened(url, study_id):
    feed = Feed(ReadOnlyStore(url), study_id)
    message = first_message(feed)
    assert numbers(message) == list(range(121 - FIRST_EVALUATIONS, 121))
    assert [event["text"] for event in message["events"]] == [event.text for event in feed.events]
    status = message["status"]
    assert (status["evaluations"], status["verdict"], status["left_seconds"]) == (120, "improved", 0.0)
    assert status["failed"] == sum(evaluation.failed for evaluation in feed.evaluations) > 0
    best = max((e for e in feed.evaluations if e.phase == "train" and not e.failed), key=lambda e: e.performance)
    assert (status["best_number"], status["best_percent"]) == (best.id, best.change_percent)
    assert status["episode"] == sum(e.phase == "train" for e in feed.evaluations) // 10
    assert [host["evaluations"] for host in message["hosts"]] == [40, 40, 40]
    assert all(80 < host["baseline_metric"] < 120 for host in message["hosts"])


def test_whoever_follows_the_cursors_gets_everything_once(url, running_study):
    feed = Feed(ReadOnlyStore(url), running_study.study_id)
    message = first_message(feed)
    seen, told = [], []
    for step in range(12):
        for dummy in range(step % 4):
            running_study.evaluate()
        running_study.tell(f"step {step}")
        feed.refresh()
        message = message_after(feed, Cursor.parse(message["cursor"]))
        assert "reset" not in message
        seen += numbers(message)
        told += [event["text"] for event in message["events"]]
    assert seen == list(range(21, running_study.number + 1))
    assert told == [f"step {step}" for step in range(12)]


@pytest.mark.parametrize("cursor", ["999999-0", "1-999999", "nonsense", "-1-0", "1", "²-0", "1-0-0", "9" * 30 + "-0"])
def test_a_cursor_that_is_not_known_is_a_new_beginning(url, study_id, cursor):
    feed = Feed(ReadOnlyStore(url), study_id)
    assert message_after(feed, Cursor.parse(cursor)) == first_message(feed) | {"reset": True}


def test_whoever_has_missed_too_much_gets_a_new_beginning(url):
    study_id = dashboard_store.fill(url, evaluations=2100, hosts=2, finished=False)
    feed = Feed(ReadOnlyStore(url), study_id)
    assert message_after(feed, Cursor())["reset"]
    since = Cursor(feed.evaluations[200].id, 0)
    assert len(message_after(feed, since)["evaluations"]) == 1899


def test_another_studys_ids_are_not_known(url, study_id):
    other = dashboard_store.fill(url, evaluations=50, hosts=2)
    feed = Feed(ReadOnlyStore(url), other)
    assert message_after(feed, Cursor(5, 1))["reset"]


def test_a_request_and_what_a_host_does_are_news(url, running_study):
    feed = Feed(ReadOnlyStore(url), running_study.study_id)
    before = feed.version
    feed.refresh()
    assert feed.version == before
    feed.store.ask(running_study.study_id, "stop", "192.0.2.7")
    feed.refresh()
    assert feed.version == before + 1
    asked = first_message(feed)["status"]["asked"]
    assert (asked["kind"], asked["by"], asked["taken_at"]) == ("stop", "192.0.2.7", None)


def test_the_end_comes_with_its_result(url, running_study):
    feed = Feed(ReadOnlyStore(url), running_study.study_id)
    assert first_message(feed)["status"]["left_seconds"] > 0
    running_study.finish("no_improvement")
    feed.refresh()
    assert (feed.ended, feed.data().result["verdict"]) == (True, "no_improvement")
    assert first_message(feed)["status"]["verdict"] == "no_improvement"


def test_a_study_that_is_not_there(url, study_id):
    with pytest.raises(UnknownStudy, match=f"no study {study_id + 1}"):
        Feed(ReadOnlyStore(url), study_id + 1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_whatever_a_store_holds_is_sent_as_json_that_browsers_read(content):
    def refuse(name):
        raise AssertionError(name)

    text = as_json(content)
    json.loads(text, parse_constant=refuse)
    assert "\n" not in text  # in a stream, a line break would end the message


def test_rewards_are_those_of_training_and_nought_is_one(url, study_id):
    """What the proof measures anew is not to be compared to the best of many; and 0 is better than -1."""
    with Session(open_store(url)) as session:
        rows = session.query(TrialRow).order_by(TrialRow.id).all()
        first = next(row for row in rows if row.phase == "train")
        for row in rows:
            row.error, row.reward = None, 0.0 if row is first else -1.0 if row.phase == "train" else 5.0
        session.commit()
    status = first_message(Feed(ReadOnlyStore(url), study_id))["status"]
    assert (status["best_reward"], status["reward"]) == (0.0, -1.0)


def test_own_values_are_named_and_compared_to_nothing(url, study_id):
    feed = Feed(ReadOnlyStore(url), study_id)
    told = [of_evaluation(evaluation) for evaluation in feed.evaluations]
    assert {e["label"] for e in told} == {"original values", "candidate"}
    assert {e["phase"] for e in told if e["label"] == "original values"} == {"baseline", "control", "verify"}
    assert all(e["change_percent"] is None for e in told if e["label"] == "original values")
    assert all(e["change_percent"] is not None for e in told if e["label"] == "candidate" and not e["error"])


def test_a_study_that_is_complete_has_done_all_and_says_what_it_did_without(url, study_id):
    status = first_message(Feed(ReadOnlyStore(url), study_id))["status"]
    assert (status["evaluations"], status["evaluations_planned"], status["not_needed"]) == (120, 120, 12)
