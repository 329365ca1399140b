# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The action `evaluate`: its arguments, what the trainer and the user learn when a host leaves."""

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
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.host_session import HostSession, SessionFailed
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.interrupt import standard_error
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.worker import (
    _host_facts,
    _leave,
    _print_after_interrupt,
    _study_to_resume,
)

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
    ids=["back", "not back", "out of reach", "a bug"],
)
def test_the_trainer_learns_the_state_of_the_host(leave: Callable[[], str], ending: str, restored: bool) -> None:
    ours, theirs = socket.socketpair()
    trainer, line = Line(ours), Line(theirs)
    session: Any = SimpleNamespace(leave=leave, show=lambda text: None, host="h1", lease=90)
    with suppress(SessionFailed, KeyError):  # raised for Ansible
        assert _leave(session, line, False) == (ending, restored)
    assert trainer.receive() == {"kind": "left", "ending": ending, "restored": restored}
    with pytest.raises(Disconnected):
        trainer.receive()
    trainer.close()


def test_the_print_after_interrupt_after_ctrl_c_leaves_the_log_of_the_run_as_it_is(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A regression: `ansible-playbook … > run.log 2>&1` kept only the last line."""
    os.write(2, b"[autotune] 1/57 lab1 baseline\n")
    _print_after_interrupt(cast("Any", SimpleNamespace(host="lab1", playbook_stderr=standard_error(os.getpid()))), BACK)
    assert capfd.readouterr().err == f"[autotune] 1/57 lab1 baseline\n[autotune] lab1: {BACK}\n"


def test_the_print_after_interrupt_reaches_a_pipe_too(capfd: pytest.CaptureFixture[str]) -> None:
    read, write = os.pipe()
    before = os.dup(2)
    os.dup2(write, 2)
    try:
        _print_after_interrupt(
            cast("Any", SimpleNamespace(host="lab1", playbook_stderr=standard_error(os.getpid()))), BACK
        )
    finally:
        os.dup2(before, 2)
        os.close(before)
    assert os.read(read, 1000).decode() == f"[autotune] lab1: {BACK}\n"
    os.close(read)
    os.close(write)


SEEN = {
    "original": "1",
    "exists": True,
    "readable": True,
    "writable": True,
    "why_not_writable": None,
    "safe_range": [[0, 200]],
}
GONE = {"original": None, **SEEN, "exists": False, "writable": False, "why_not_writable": "it does not exist here"}


def variables(batch: list[str], **found: dict[str, Any]) -> dict[str, Any]:
    hostvars = {name: {"autotune_host": facts} for name, facts in found.items()}
    return {"ansible_play_batch": batch, "ansible_play_hosts_all": list(found), "hostvars": hostvars}


def test_the_facts_of_a_failed_host_count() -> None:
    """A worker that starts late, when a fork is free, must read the same study as the others."""
    both = {"lab1": {"parameters": {"vm.a": SEEN}}, "lab2": {"parameters": {"vm.a": GONE}}}
    early, late = variables(["lab1", "lab2"], **both), variables(["lab1"], **both)
    assert _host_facts(early) == _host_facts(late)
    assert _host_facts(late)[1].missing == {"vm.a": "does not have it"}


def test_there_are_no_facts_unless_the_play_gathers_them() -> None:
    assert _host_facts(variables(["lab1", "lab2"], lab1={}, lab2={"failed": True})) == []
    assert _host_facts({"ansible_play_hosts_all": ["a"], "hostvars": {"a": {}}}) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("true", True),
        ("True", True),
        ("yes", True),
        ("latest", True),
        ("7", 7),
        ("1", 1),
        ("false", False),
        ("", False),
    ],
)
def test_a_study_is_resumed_by_its_id_or_as_the_latest(text: str, wanted: int | bool) -> None:
    assert _study_to_resume(text) is wanted


@pytest.mark.parametrize("text", ["wan", "-1", "0", "1.5", "9" * 19, "9" * 50])
def test_other_values_of_resume_are_refused(text: str) -> None:
    with pytest.raises(SessionFailed, match=r"resume is '.*'; use true for the latest interrupted study"):
        _study_to_resume(text)


TITLE = "\x1b]0;title\x07"


@pytest.mark.parametrize("way", ["show", "warn"])
def test_the_user_sees_one_line_of_plain_text(way: str) -> None:
    printed: list[str] = []
    part = object.__new__(HostSession)
    part._display = SimpleNamespace(display=printed.append, warning=printed.append)
    getattr(part, way)(f"lab1{TITLE}: the kernel says\n[autotune] improved \ud800 {'a' * 5000}")
    (line,) = printed
    assert line.isprintable()
    assert len(line) < 1100
