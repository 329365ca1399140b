# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The trainer's conversation with one worker, from its first message until one of the two leaves (see _wire.py)."""

from __future__ import annotations

import socket
from contextlib import suppress

from .._logs import HOST
from .._trial.trial import Phase, State, from_json
from .._wire import Disconnected, Line, Message
from .fleet import Fleet

_BROKE = "its connection to the trainer broke"


def converse(fleet: Fleet, connection: socket.socket) -> None:
    """Talk to the worker at the other end until it leaves or the study ends; then its host is no more in the fleet."""
    line = Line(connection, peer="a worker")
    name = ""
    reason = _BROKE
    try:
        name = line.peer = line.receive()["host"]
        HOST.set(name)
        fleet.arrive(name, line)
        reason = _answer(fleet, line, name)
    except (Disconnected, KeyError, TypeError, ValueError) as error:
        reason = reason if isinstance(error, Disconnected) else f"it said something unintelligible: {error!r}"
    finally:
        line.close()
        if name:
            fleet.lose(name, reason)


def _answer(fleet: Fleet, line: Line, name: str) -> str:
    """Answer every message; returns why there will be no more."""
    for message in line:
        if message["kind"] == "farewell":
            return _see_off(fleet, line, name, message)
        # A worker that is not there any more to be answered may have said good-bye before.
        with suppress(Disconnected):
            if refusal := _heed(fleet, line, name, message):
                return refusal
    return _BROKE


def _heed(fleet: Fleet, line: Line, name: str, message: Message) -> str | None:
    """Do what the message asks for, and send what comes next; returns why the host may not take part, if so."""
    refusal = None
    if message["kind"] == "ready":
        refusal = fleet.admit(name, message["facts"])
    elif message["kind"] == "restored":
        fleet.ended_on(name, message["ending"], restored=True)
    elif message["kind"] != "trial":
        raise ValueError(f"a message of kind {message['kind']}")
    elif not fleet.is_over:  # or it comes too late to count
        trial = fleet.settle(line, name, from_json(message["trial"]))
        if trial.phase == Phase.BASELINE and trial.state == State.FAILED and not fleet.may_try_again(name):
            refusal = f"the benchmark does not work with the host's own values: {trial.error}"
    if refusal:
        line.send("refused", reason=refusal)
    else:
        fleet.give_next(line, name)
    return refusal


def _see_off(fleet: Fleet, line: Line, name: str, farewell: Message) -> str:
    """Nothing more is asked of the host, and what it has once it was left is its last word; returns why it leaves."""
    reason = str(farewell["reason"])
    if farewell.get("stopped"):
        fleet.stop(reason)
    fleet.depart(name, reason)
    with suppress(Disconnected):
        left = line.receive()
        fleet.ended_on(name, left["ending"], restored=bool(left["restored"]))
    return reason
