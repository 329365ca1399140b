# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker import ssh

MARKER = "autotune-1"


class Channel:
    """A command whose exit status arrives first, as sshd may send it."""

    def __init__(self) -> None:
        self.output, self.eof_received, self.closed = b"", False, False
        self.status_event = threading.Event()
        self.in_buffer = self.in_stderr_buffer = SimpleNamespace(set_event=lambda event: None)

    def recv_ready(self) -> bool:
        return bool(self.output)

    def recv_stderr_ready(self) -> bool:
        return False

    def recv(self, size: int) -> bytes:
        found, self.output = self.output, b""
        return found

    def exit_status_ready(self) -> bool:
        return True

    def recv_exit_status(self) -> int:
        return 1


@pytest.fixture
def process(replace_for: Callable[..., None]) -> Any:
    """With a clock that the test moves by setting `now`."""
    clock = SimpleNamespace(now=100.0)
    replace_for(ssh, "time", monotonic=lambda: clock.now, sleep=time.sleep)
    channel = Channel()
    found: Any = ssh.SSHProcess(channel, lambda: False, MARKER)  # type: ignore[arg-type]
    return SimpleNamespace(channel=channel, clock=clock, code=found.code, read=found.read)


def test_what_a_login_shell_says_instead_of_running_the_command_is_read_whenever_it_arrives(process: Any) -> None:
    process.channel.output, process.channel.eof_received = b"This account is currently not available.\n", True
    assert process.code() == 1, "everything has arrived before anything was read"
    assert process.read(0.0) == (b"", b"This account is currently not available.\n")
    assert process.read(0.0) == (b"", b"")


def test_what_it_says_before_the_end_is_read_at_the_end(process: Any) -> None:
    process.channel.output = b"This account is currently not available.\n"
    assert process.code() is None
    assert process.read(0.0) == (b"", b"")
    process.channel.eof_received = True
    assert process.code() == 1
    assert process.read(0.0) == (b"", b"This account is currently not available.\n")


def test_the_output_that_a_daemon_of_the_command_keeps_open_is_not_waited_for(process: Any) -> None:
    process.channel.output = f"{MARKER}\n7\n".encode()
    assert process.code() is None
    assert process.read(0.0) == (b"7\n", b"")
    process.clock.now += 3
    assert process.code() == 1
