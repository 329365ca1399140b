# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Commands over a real sshd: their output comes whole, whenever sshd says how they ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.ssh import SSHTransport
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.ssh_config import SSHAddress
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.transport import follow, output_of

LONG = 250


@pytest.fixture
def transport(ssh_option: dict[str, Any]) -> Iterator[SSHTransport]:
    found = SSHTransport(SSHAddress.of_connection(ssh_option.get))
    yield found
    found.close()


def test_output_that_comes_after_the_exit_status_is_read(transport: SSHTransport) -> None:
    assert output_of(transport, ["sh", "-c", "echo first; (sleep 0.5; echo last) & exit 0"]) == "first\nlast"


def test_all_of_a_long_output_is_read(transport: SSHTransport) -> None:
    assert output_of(transport, ["seq", "200000"]) == "\n".join(map(str, range(1, 200_001)))


def test_a_command_that_leaves_something_running_is_not_waited_for(transport: SSHTransport) -> None:
    lines: list[str] = []
    started = time.monotonic()
    process = transport.start(["sh", "-c", f"sleep {LONG} & echo $!; exit 3"])
    completed = follow(process, lines.append, limit=LONG)
    process.close()
    output_of(transport, ["kill", *lines])
    assert completed.code == 3
    assert time.monotonic() - started < LONG / 2


def test_a_command_that_closes_its_output_is_waited_for(transport: SSHTransport) -> None:
    process = transport.start(["sh", "-c", "exec >&- 2>&-; sleep 0.5; exit 4"])
    assert follow(process, lambda line: None, limit=LONG).code == 4
    process.close()


def test_commands_that_are_closed_while_they_print_do_not_break_the_connection(transport: SSHTransport) -> None:
    """paramiko's thread wrote to a pipe that closing the channel had closed, and took that for the socket's end."""
    chatter = ["sh", "-c", "while sleep 0.001; do echo out; echo err >&2; done"]
    for dummy in range(100):
        process = transport.start(chatter)
        while not any(process.read(0.5)):
            pass
        process.close()
    assert output_of(transport, ["echo", "still", "there"]).split() == ["still", "there"]
