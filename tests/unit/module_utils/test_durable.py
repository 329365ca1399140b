# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Replacing a file that several processes write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _durable

COLLECTIONS = Path(__file__).resolve().parents[3] / "playbooks/collections"
WRITE = """
import sys
from ansible_collections.autotune.kernel.plugins.module_utils import _durable
for dummy in range(100):
    _durable.write(sys.argv[1], sys.argv[2].encode() * 10000, locked=False)
"""


@pytest.mark.takes_seconds
def test_writers_at_the_same_time_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    writers = [subprocess.Popen([sys.executable, "-c", WRITE, path, letter], cwd=COLLECTIONS) for letter in "abc"]
    assert [writer.wait(180) for writer in writers] == [0, 0, 0]
    assert path.read_text() in [letter * 10000 for letter in "abc"]
    assert list(tmp_path.iterdir()) == [path]


def test_under_a_lock_the_leftover_of_a_killed_call_is_reused(tmp_path: Path) -> None:
    (tmp_path / ".lease.json.new").write_text("half a le")
    _durable.write(str(tmp_path / "lease.json"), b"whole")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("lease.json", "whole")]
