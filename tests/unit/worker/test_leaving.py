# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A worker's last word to the trainer: what its host has, however it came to leave it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.autotune.kernel.plugins.plugin_utils._wire import Disconnected, Line
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.host_session import SessionFailed
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.worker import _leave, _print_after_interrupt

BACK = "original values restored and verified"
WRONG = "h1: NEEDS ATTENTION: vm.swappiness could not be restored"
LATER = "if it stays unreachable, the host will restore its original values within 90 s (lease expiry)"


def raising(error: Exception) -> Callable[[], str]:
    def leave() -> str:
        raise error

    return leave


@pytest.mark.parametrize(
    ("leave", "ending", "restored"),
    [
        (lambda: BACK, BACK, True),
        (raising(SessionFailed(WRONG)), WRONG, False),
        (raising(AnsibleConnectionFailure("no route")), LATER, False),
        (raising(KeyError("verdict")), "the state of the host's values is unknown", False),
    ],
    ids=["back", "not back", "out of reach", "a mistake of ours"],
)
def test_the_trainer_hears_what_the_host_has(leave: Callable[[], str], ending: str, restored: bool) -> None:
    ours, theirs = socket.socketpair()
    trainer, line = Line(ours), Line(theirs)
    session: Any = SimpleNamespace(leave=leave, show=lambda text: None, host="h1", lease=90)
    with suppress(SessionFailed, KeyError):  # which Ansible gets to hear
        assert _leave(session, line, False) == (ending, restored)
    assert trainer.receive() == {"kind": "left", "ending": ending, "restored": restored}
    with pytest.raises(Disconnected):
        trainer.receive()
    trainer.close()


def test_the_print_after_interrupt_after_ctrl_c_leaves_the_log_of_the_run_as_it_is(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of `ansible-playbook … > run.log 2>&1` nothing was left but the last word."""
    monkeypatch.setattr(os, "getppid", os.getpid)  # the playbook's standard error is this process's: a file
    os.write(2, b"[autotune] 1/57 lab1 baseline\n")
    _print_after_interrupt(cast("Any", SimpleNamespace(host="lab1", playbook_pid=os.getpid())), BACK)
    assert capfd.readouterr().err == f"[autotune] 1/57 lab1 baseline\n[autotune] lab1: {BACK}\n"


def test_the_print_after_interrupt_reaches_a_pipe_too(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "getppid", os.getpid)
    read, write = os.pipe()
    before = os.dup(2)
    os.dup2(write, 2)
    try:
        _print_after_interrupt(cast("Any", SimpleNamespace(host="lab1", playbook_pid=os.getpid())), BACK)
    finally:
        os.dup2(before, 2)
        os.close(before)
    assert os.read(read, 1000).decode() == f"[autotune] lab1: {BACK}\n"
    os.close(read)
    os.close(write)
