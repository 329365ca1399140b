# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""JSON lines between a worker and the trainer, over a Unix socket in a private folder.

Every message is one JSON object on one line with a `kind`. A worker sends

    hello        host                                it is there, and getting ready
    ready        host, facts                         it can evaluate; `facts` is what `sysctl_info` said
    trial        trial                               the same trial, complete or failed
    restored     ending                              its host has its own values back: the answer to `restore`
    farewell     reason, stopped                     it leaves: another host may have its job
    left         ending, restored                    its last word: what its host has now; `restored`: its own values

and the trainer answers

    trial        trial                               run this trial (see _trial/trial.py)
    progress     (see _trainer/history.py)           how the last evaluation looks from the whole study
    notice       text                                one line for the user
    refused      reason                              this host may not take part
    restore                                          end the benchmark, and put the host's own values back now
    end          result                              the study is over
"""

from __future__ import annotations

import json
import logging
import os
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Message = dict[str, Any]

_LOG = logging.getLogger(__name__)

SOCKET_NAME = "trainer.sock"
_CHUNK = 65536


class Disconnected(Exception):
    """The other side is gone."""


class Line:
    """One end of the conversation: whole messages in, whole messages out.

    Any thread may send, one receives. Raises Disconnected from send() and receive() when the other side has gone.
    peer: the other end's name in the log.
    """

    def __init__(self, connection: socket.socket, peer: str = "trainer") -> None:
        self._connection, self.peer = connection, peer
        self._sending = threading.Lock()
        self._received = bytearray()
        self._readable = select.poll()
        self._readable.register(connection, select.POLLIN)

    def send(self, kind: str, **content: Any) -> None:
        text = json.dumps({"kind": kind, **content}, allow_nan=False)
        _LOG.debug("to %s: %s", self.peer, text)
        try:
            # A large message takes several writes, and another thread's must not get between them.
            with self._sending:
                self._connection.sendall(text.encode() + b"\n")
        except OSError as error:
            raise Disconnected(str(error)) from error

    def receive(self) -> Message:
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            try:
                more = self._connection.recv(_CHUNK)
            except OSError as error:
                raise Disconnected(str(error)) from error
            if not more:
                raise Disconnected("the connection was closed")
            self._received += more
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        message: Message = json.loads(line)
        # The sender logs the content, unless it is no message.
        _LOG.debug("from %s: %s", self.peer, message.get("kind") if isinstance(message, dict) else line)
        return message

    def has_news(self) -> bool:
        """Whether there is more to receive, a message or that the other side has gone."""
        return bool(self._received or self._readable.poll(0))

    def __iter__(self) -> Iterator[Message]:
        """Messages until the other side is gone."""
        while True:
            try:
                yield self.receive()
            except Disconnected:
                return

    def close(self) -> None:
        # shutdown, not only close: it wakes a thread that is blocked in receive().
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._connection.close()


def listen(folder: Path) -> socket.socket:
    """A listening socket in `folder`, there only once it can be connected to."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _short_name(folder) as handle:
        server.bind(f"{handle}/starting.sock")
        server.listen(128)
        os.rename(folder / "starting.sock", folder / SOCKET_NAME)
    return server


def connect(folder: Path) -> Line:
    """Connect to the trainer that listens in `folder`; raises OSError while there is none."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short_name(folder) as handle:
            client.connect(f"{handle}/{SOCKET_NAME}")
    except OSError:
        client.close()
        raise
    return Line(client)


@contextmanager
def _short_name(folder: Path) -> Iterator[str]:
    """A short name for a folder: socket paths end at 108 bytes, and home directories can be longer."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
