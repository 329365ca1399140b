# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The log that several processes of a run write."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils import _logs
from ansible_collections.autotune.kernel.plugins.plugin_utils._logs import LogFailed, debug_log, to_text
from ansible_collections.autotune.kernel.plugins.plugin_utils._wire import Line

LOG = logging.getLogger(_logs.__name__)
COLLECTIONS = Path(__file__).resolve().parents[2] / "playbooks/collections"


def test_without_a_log_warnings_are_not_printed() -> None:
    program = f"import logging, {_logs.__name__} as logs; logging.getLogger(logs.__name__).warning('x')"
    ran = subprocess.run([sys.executable, "-c", program], cwd=COLLECTIONS, capture_output=True, text=True, check=True)
    assert ran.stdout + ran.stderr == ""


def test_each_line_tells_time_process_host_and_area_and_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "learned" / "small" / "debug.log"
    with debug_log(path, "worker", "lab1"):
        LOG.debug("a benchmark said %s", "\x1b[2Jgone\nfor good")
        try:
            raise ValueError("no such thing")
        except ValueError:
            LOG.exception("it failed")
    LOG.error("the log is closed")
    first, second = path.read_text().splitlines()
    assert re.fullmatch(
        rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z worker\[{os.getpid()}\] lab1 _logs: "
        r"a benchmark said \\x1b\[2Jgone\\nfor good",
        first,
    )
    assert second.endswith("ValueError: no such thing")
    assert path.stat().st_mode & 0o777 == 0o600


def test_both_sides_of_the_wire_are_logged_and_each_content_once(tmp_path: Path) -> None:
    ours, theirs = (Line(end, peer) for end, peer in zip(socket.socketpair(), ("lab1", "trainer"), strict=True))
    with debug_log(tmp_path / "debug.log", "trainer"):
        ours.send("job", phase="train")
        theirs.receive()
    sent, received = (tmp_path / "debug.log").read_text().splitlines()
    assert sent.endswith('- _wire: to lab1: {"kind": "job", "phase": "train"}')
    assert received.endswith("- _wire: from trainer: job")


def test_processes_append_whole_lines_to_one_file(tmp_path: Path) -> None:
    path, children = tmp_path / "debug.log", []
    for number in range(4):
        if not (pid := os.fork()):
            with debug_log(path, "worker", f"lab{number}"):
                for dummy in range(200):
                    LOG.debug("%s", str(number) * 1000)
            os._exit(0)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    lines = path.read_text().splitlines()
    assert len(lines) == 800
    assert all(re.search(r" lab(\d) _logs: \1{1000}$", line) for line in lines)


def test_its_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_logs, "_LARGEST_LOG", 2**20)
    path = tmp_path / "debug.log"
    with debug_log(path, "trainer"):
        for dummy in range(1000):
            LOG.debug("%s", "x" * 10_000)
    assert 2**20 - 5000 < path.stat().st_size < 2**20 + 100
    assert path.read_text().endswith("...\nthe log has reached 1 MiB and ends here\n")


def test_a_link_is_not_followed_and_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "debug.log").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "file").touch()
    for path in (tmp_path / "debug.log", tmp_path / "file" / "debug.log"):
        with (
            pytest.raises(LogFailed, match=f"{path} cannot be written: .*; leave `debug` out or set `output`"),
            debug_log(path, "trainer"),
        ):
            pass
    assert not (tmp_path / "elsewhere").exists()


def test_secrets_are_left_out_wherever_they_are() -> None:
    content = {"state": "leased", "nonce": "f00", "values": {"a": 1}, "lease": [{"nonce": "f00"}], "token": None}
    assert json.loads(to_text(content)) == {
        "state": "leased",
        "nonce": "***",
        "values": {"a": 1},
        "lease": [{"nonce": "***"}],
        "token": None,
    }
