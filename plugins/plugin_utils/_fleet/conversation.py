# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The trainer's side of the connection to one worker, from its first message to the end (see _wire.py)."""

from __future__ import annotations

import socket
from contextlib import suppress

from .._logs import HOST
from .._trial.trial import Phase, State, from_json
from .._wire import Disconnected, Line, Message
from .fleet import Fleet

_CONNECTION_LOST = "the connection to its worker was lost"


def converse(fleet: Fleet, connection: socket.socket) -> None:
    """Serve a worker until it leaves or the study ends, then remove its host from the fleet."""
    line = Line(connection, peer="a worker")
    name = ""
    reason = _CONNECTION_LOST
    try:
        name = line.peer = line.receive()["host"]
        HOST.set(name)
        fleet.connect(name, line)
        reason = _serve(fleet, line, name)
    except (Disconnected, KeyError, TypeError, ValueError) as error:
        reason = reason if isinstance(error, Disconnected) else f"invalid message from its worker: {error!r}"
    finally:
        line.close()
        if name:
            fleet.disconnect(name, reason)


def _serve(fleet: Fleet, line: Line, name: str) -> str:
    """Answer each message; returns the reason why the host leaves."""
    for message in line:
        if message["kind"] == "farewell":
            return _handle_farewell(fleet, line, name, message)
        # If the worker is gone, its farewell may still be waiting to be read.
        with suppress(Disconnected):
            if refusal := _handle(fleet, line, name, message):
                return refusal
    return _CONNECTION_LOST


def _handle(fleet: Fleet, line: Line, name: str, message: Message) -> str | None:
    """Process a message and send the next one; returns the reason if the host is refused."""
    refusal = None
    if message["kind"] == "ready":
        refusal = fleet.admit(name, message["facts"], message.get("guard_seconds"))
    elif message["kind"] == "restored":
        fleet.report_ending(name, message["ending"], restored=True)
    elif message["kind"] != "trial":
        raise ValueError(f"unknown kind {message['kind']}")
    elif not fleet.is_over:  # a trial that ends later no longer counts
        trial = fleet.finish_trial(line, name, from_json(message["trial"]))
        if trial.phase == Phase.BASELINE and trial.state == State.FAILED and not fleet.retry_baseline(name):
            refusal = f"the benchmark does not work with the host's original values: {trial.error}"
    if refusal:
        line.send("refused", reason=refusal)
    else:
        fleet.send_next(line, name)
    return refusal


def _handle_farewell(fleet: Fleet, line: Line, name: str, farewell: Message) -> str:
    """Release the host's trials, then wait for the worker's report on its clean-up; returns the reason."""
    reason = str(farewell["reason"])
    if farewell.get("stopped"):
        fleet.stop(reason)
    fleet.begin_leaving(name, reason)
    with suppress(Disconnected):
        left = line.receive()
        fleet.report_ending(name, left["ending"], restored=bool(left["restored"]))
    return reason
