# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Messages between a worker, or an agent, and the trainer, as JSON lines over a Unix socket in a private folder.

Each message is a JSON object on one line with a `kind`. A worker sends

    hello        host                                it has connected and prepares its host
    ready        host, facts, guard_seconds          it can run trials; facts: from `sysctl_info`; guard_seconds: of
                                                     each guard benchmark that it has tried, for the time left
    trial        trial                               the trial that it was sent, complete or failed
    restored     ending                              reply to `restore`: the original values are back; ending: in words
    farewell     reason, stopped                     it runs no more trials; stopped: the user stopped the study
    left         ending, restored                    last message; restored: the original values are back, verified

and the trainer sends

    trial        trial                               run this trial (see _trial/trial.py)
    progress     (see _trainer/history.py)           the progress of the study after the worker's last trial
    notice       text                                show this line to the user
    refused      reason                              this host cannot take part
    restore                                          end the benchmark and restore the original values immediately
    end          result                              the study is over

An agent, which chooses the candidates instead of the trainer (see _trainer/agent.py), sends

    point        point                               measure the candidate at this point of the unit cube on each host
    finish                                           go on to the race and the proof

and the trainer sends

    begin        study, baselines, left              the study as the hosts made it, trials of their original values
    trials       trials, left                        of the candidate, ended; left: of the budget, in trials
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
    """The other end has closed the connection."""


class Line:
    """One end of a connection. Any thread may send, only one may receive; both raise Disconnected.

    peer: the name of the other end in the log.
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
            # A large message takes several writes, which another thread's message must not interrupt.
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
        # The sender logs the content, unless this is not a message.
        _LOG.debug("from %s: %s", self.peer, message.get("kind") if isinstance(message, dict) else line)
        return message

    def is_readable(self) -> bool:
        """Whether (part of) a message has arrived or the other end has closed the connection."""
        return bool(self._received or self._readable.poll(0))

    def __iter__(self) -> Iterator[Message]:
        """The messages until the other end closes the connection."""
        while True:
            try:
                yield self.receive()
            except Disconnected:
                return

    def close(self) -> None:
        # Unlike close(), shutdown() also wakes a thread that is blocked in receive().
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._connection.close()


def listen(folder: Path) -> socket.socket:
    """A listening socket in `folder`, which appears there once it accepts connections."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _short_name(folder) as handle:
        server.bind(f"{handle}/starting.sock")
        server.listen(128)
        os.rename(folder / "starting.sock", folder / SOCKET_NAME)
    return server


def connect(folder: Path) -> Line:
    """Connect to the trainer that listens in `folder`. Raises OSError if there is none."""
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
    """A short path to a folder: a socket's path is limited to 108 bytes, and that of a home directory may be longer."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
