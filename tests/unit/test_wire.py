from __future__ import annotations

import fcntl
import resource
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._wire import Disconnected, Line, connect, listen


@pytest.fixture
def pair() -> Iterator[tuple[Line, Line]]:
    one, other = (Line(end) for end in socket.socketpair())
    yield one, other
    one.close()
    other.close()


def test_messages_arrive_complete_and_in_order(pair: tuple[Line, Line]) -> None:
    one, other = pair
    one.send("trial", values={"net.ipv4.tcp_rmem": "4096 131072 6291456"}, phase="train")
    one.send("notice", text="two\nlines, and ünicode \u2028")
    assert other.receive() == {
        "kind": "trial",
        "values": {"net.ipv4.tcp_rmem": "4096 131072 6291456"},
        "phase": "train",
    }
    assert other.receive() == {"kind": "notice", "text": "two\nlines, and ünicode \u2028"}


def test_a_message_may_be_larger_than_any_buffer(pair: tuple[Line, Line]) -> None:
    one, other = pair
    text = "x" * 5_000_000
    sending = threading.Thread(target=one.send, args=("notice",), kwargs={"text": text})
    sending.start()
    assert other.receive()["text"] == text
    sending.join()


def test_nan_cannot_be_sent(pair: tuple[Line, Line]) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        pair[0].send("trial", metric=float("nan"))


def test_both_ends_notice_a_closed_connection(pair: tuple[Line, Line]) -> None:
    one, other = pair
    one.close()
    with pytest.raises(Disconnected, match="the connection was closed"):
        other.receive()
    with pytest.raises(Disconnected):
        other.send("hello")
    with pytest.raises(Disconnected):
        one.send("hello")


def test_a_partial_message_is_not_received(pair: tuple[Line, Line]) -> None:
    one, other = pair
    one._connection.sendall(b'{"kind": "hel')
    one.close()
    with pytest.raises(Disconnected):
        other.receive()


def test_iteration_ends_when_the_connection_is_closed(pair: tuple[Line, Line]) -> None:
    one, other = pair
    one.send("a")
    one.send("b")
    one.close()
    assert [message["kind"] for message in other] == ["a", "b"]


def test_close_wakes_a_thread_that_waits_for_a_message(pair: tuple[Line, Line]) -> None:
    one, dummy = pair
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: list(one))
        one.close()
        assert waiting.result(10) == []


def test_is_readable_if_a_message_or_the_end_has_arrived(pair: tuple[Line, Line]) -> None:
    one, other = pair
    assert not other.is_readable()
    one.send("farewell", reason="")
    assert other.is_readable()
    other.receive()
    assert not other.is_readable()
    one.close()
    assert other.is_readable()


def test_is_readable_if_more_arrived_with_the_last_message(pair: tuple[Line, Line]) -> None:
    one, other = pair
    one._connection.sendall(b'{"kind": "trial"}\n{"kind": "restore"}\n{"kind": "no')
    assert other.receive() == {"kind": "trial"}
    assert other.is_readable()
    assert other.receive() == {"kind": "restore"}
    assert other.is_readable(), "part of a message has arrived"


def test_is_readable_works_with_many_open_files(pair: tuple[Line, Line]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1200:
        pytest.skip("this machine limits the number of open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    one, other = socket.socketpair()
    high = fcntl.fcntl(other, fcntl.F_DUPFD, 1100)  # select() ends at 1023
    other.close()
    line = Line(socket.socket(fileno=high))
    try:
        assert not line.is_readable()
        Line(one).send("restore")
        assert line.is_readable()
    finally:
        line.close()
        one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_concurrent_senders_do_not_mix_their_messages(pair: tuple[Line, Line]) -> None:
    one, other = pair
    texts = [letter * 3_000_000 for letter in "abcd"]
    with ThreadPoolExecutor(len(texts)) as pool:
        try:
            for text in texts:
                pool.submit(one.send, "notice", text=text)
            assert sorted(other.receive()["text"] for dummy in texts) == texts
        finally:
            other.close()  # ends the senders if the test has failed


@pytest.mark.parametrize("length", [10, 200])
def test_the_folder_may_have_a_long_path(length: int, tmp_path: Path) -> None:
    folder = tmp_path / ("d" * length)
    folder.mkdir()
    with listen(folder) as server:
        client = connect(folder)
        accepted = Line(server.accept()[0])
        client.send("hello", host="h1")
        assert accepted.receive()["host"] == "h1"
        accepted.close()
        client.close()
    assert [path.name for path in folder.iterdir()] == ["trainer.sock"]


def test_connecting_fails_while_there_is_no_trainer(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        connect(tmp_path)
    listen(tmp_path).close()
    with pytest.raises(ConnectionRefusedError):
        connect(tmp_path)
    with pytest.raises(FileNotFoundError):
        connect(tmp_path / "gone")


def test_many_concurrent_connections(tmp_path: Path) -> None:
    def converse(number: int) -> list[int]:
        line = connect(tmp_path)
        answers = []
        for at in range(50):
            line.send("ask", number=number * 1000 + at)
            answers.append(line.receive()["number"])
        line.close()
        return answers

    def answer(connection: socket.socket) -> None:
        line = Line(connection)
        for message in line:
            line.send("answer", number=message["number"])
        line.close()

    with listen(tmp_path) as server, ThreadPoolExecutor(32) as pool:
        asking = [pool.submit(converse, number) for number in range(16)]
        for dummy in range(16):
            pool.submit(answer, server.accept()[0])
        for number, answers in enumerate(asking):
            assert answers.result(20) == [number * 1000 + at for at in range(50)]
