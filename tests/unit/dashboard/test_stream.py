from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import dashboard_store
import pytest
from ansible_collections.autotune.kernel.dashboard import feed as feeding
from ansible_collections.autotune.kernel.dashboard import queries
from ansible_collections.autotune.kernel.dashboard.feed import Feed, is_over
from ansible_collections.autotune.kernel.dashboard.readonly_store import ReadOnlyStore

PATIENCE = 180.0


class Stream:
    """A minimal EventSource."""

    def __init__(self, address: str, study_id: int, *, after: str = "", last_event_id: str = "") -> None:
        self.connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        query = f"?after={after}" if after else ""
        self.connection.request("GET", f"/api/studies/{study_id}/stream{query}", headers=headers)
        self.response = self.connection.getresponse()
        self.status = self.response.status

    def events(self) -> Iterator[dict[str, str]]:
        found: dict[str, str] = {}
        for raw in self.response:
            line = raw.decode().rstrip("\n")
            if not line and found:
                yield found
                found = {}
            elif line:
                name, dummy, value = line.partition(": ")
                found[name] = value

    def next(self, kind: str) -> dict[str, object]:
        """The content of the next event of this kind."""
        found = next(found for found in self.events() if found.get("event") == kind)
        content = json.loads(found["data"])
        assert kind == "ping" or found["id"] == content["cursor"]
        return content

    def close(self) -> None:
        self.connection.close()
        self.response.close()


@pytest.fixture
def stream(serve):
    opened = []
    addresses: dict[tuple[object, ...], str] = {}

    def open_one(study_id: int, settings: dict[str, object] | None = None, **asked: str) -> Stream:
        key = tuple((settings or {}).items())
        if key not in addresses:
            addresses[key] = serve(**(settings or {}))
        opened.append(Stream(addresses[key], study_id, **asked))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def cursor_of(url: str, study_id: int) -> str:
    return str(Feed(ReadOnlyStore(url), study_id).cursor)


def test_sends_a_trial(stream, url, running_study):
    one = stream(running_study.study_id, after=cursor_of(url, running_study.study_id))
    assert one.next("message")["trials"] == []  # the state of the study
    number = running_study.evaluate()
    assert [trial["id"] for trial in one.next("message")["trials"]] == [number]


def test_headers_disable_buffering(stream, running_study):
    headers = stream(running_study.study_id).response.headers
    assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert headers["X-Accel-Buffering"] == "no"
    assert "no-transform" in headers["Cache-Control"]


def test_a_reconnected_client_gets_what_it_missed_once(stream, url, running_study):
    first = stream(running_study.study_id, after=cursor_of(url, running_study.study_id))
    running_study.evaluate()
    message = first.next("message")
    while not message["trials"]:
        message = first.next("message")
    first.close()
    missed = [running_study.evaluate() for dummy in range(3)]
    running_study.add_event("meanwhile")
    # A browser reconnects with the header and its first address.
    again = stream(running_study.study_id, after="0-0", last_event_id=str(message["cursor"]))
    heard, told = [], []
    while not told:
        caught_up = again.next("message")
        heard += [trial["id"] for trial in caught_up["trials"]]
        told += [event["text"] for event in caught_up["events"]]
    assert (heard, told) == (missed, ["meanwhile"])


@pytest.mark.parametrize("after", ["424242-0", "nonsense"])
def test_an_unknown_id_resets_the_client(stream, running_study, after):
    message = stream(running_study.study_id, after=after).next("reset")
    assert message["reset"] is True
    assert message["status"]["trials"] == 20


def test_an_idle_stream_sends_pings(stream, running_study):
    one = stream(running_study.study_id)
    assert [one.next("ping") for dummy in range(2)] == [{}, {}]


def test_the_stream_ends_with_the_study(stream, running_study):
    one = stream(running_study.study_id)
    running_study.finish()
    end = one.next("end")
    assert end["status"]["verdict"] == "improved"
    assert list(one.events()) == []
    again = stream(running_study.study_id, last_event_id=str(end["cursor"]))
    assert again.status == 204
    # A client that missed the end still gets it.
    assert stream(running_study.study_id, after="0-0").next("end")["status"]["verdict"] == "improved"


def test_the_stream_waits_for_the_hosts_to_report(url, running_study, monkeypatch):

    running_study.finish(leave_hosts=False)
    feed = Feed(ReadOnlyStore(url), running_study.study_id)
    assert not is_over(feed)
    monkeypatch.setattr(feeding, "_REPORT_SECONDS", -1.0)
    assert is_over(feed)


def test_streams_beyond_the_limit_are_refused(stream, running_study):
    settings = {"max_streams": 2}
    first, dummy = (stream(running_study.study_id, settings) for dummy in range(2))
    refused = stream(running_study.study_id, settings)
    assert (refused.status, refused.response.headers["Retry-After"]) == (503, "10")
    first.close()
    limit = time.monotonic() + PATIENCE
    while stream(running_study.study_id, settings).status == 503:
        assert time.monotonic() < limit, "the place of a page that was closed is not given back"
        time.sleep(0.2)


def test_head_requests_take_no_stream(client_of, running_study):
    client = client_of(max_streams=1)
    for dummy in range(3):
        assert client.head(f"/api/studies/{running_study.study_id}/stream").status_code == 200


def test_other_requests_are_answered_while_all_streams_are_in_use(serve, running_study):
    address = serve(max_streams=3)
    streams = [Stream(address, running_study.study_id) for dummy in range(3)]
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)
    connection.request("GET", "/api/studies")
    assert connection.getresponse().status == 200
    for one in streams:
        one.close()


def test_sent_events_are_not_kept_in_memory(stream, servers, running_study):
    one = stream(running_study.study_id)
    words = 200 * 1024
    for dummy in range(4):
        running_study.add_event("x" * words)
        while not one.next("message")["events"]:
            pass
    (channel,) = servers[0].active_channels.values()
    kept = sum(len(buffer.buf.getfile().getvalue()) for buffer in channel.outbufs if buffer.buf)
    assert kept < 2 * words


def test_one_thread_polls_the_store_for_all_streams(serve, running_study):
    others = set(threading.enumerate())

    def looking() -> int:
        return sum(thread.name.startswith("study ") for thread in set(threading.enumerate()) - others)

    address = serve()
    Stream(address, running_study.study_id).close()
    streams = [Stream(address, running_study.study_id) for dummy in range(5)]
    assert looking() == 1
    for one in streams:
        one.close()
    limit = time.monotonic() + PATIENCE
    while looking():
        assert time.monotonic() < limit
        time.sleep(0.1)


def test_the_cost_of_an_update_does_not_grow_with_the_study(url, client_of):
    """Measured in rows, which do not depend on the load of the machine."""

    study_id = dashboard_store.fill(url, trials=300, hosts=2, finished=False)
    feed = Feed(ReadOnlyStore(url), study_id)
    rows = []
    with dashboard_store.continued(url, study_id) as study:
        for dummy in range(3):
            study.evaluate()
            with feed.store.reading() as connection:
                rows.append(len(queries.trials_after(connection, study_id, feed.cursor.trial)))
            feed.refresh()
    assert rows == [1, 1, 1]
