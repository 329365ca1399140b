# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The audit log: appended to, for its owner's eyes, a line an entry whatever is logged."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.client.mcp_audit import FILE_NAME, Audit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def entries(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / FILE_NAME).read_text().splitlines()]


def test_entries_are_appended_across_servers(tmp_path: Path) -> None:
    for number in (1, 2):
        Audit(tmp_path / "new").write("agent 1.0", "plan", {"n": number}, "done", f"run-{number}")
    found = entries(tmp_path / "new")
    assert [entry["arguments"] for entry in found] == [{"n": 1}, {"n": 2}]
    assert set(found[0]) == {"time", "client", "tool", "arguments", "plan_id", "outcome"}
    assert found[1]["plan_id"] == "run-2"


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).touch(mode=0o644)
    Audit(tmp_path)
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=FILE_NAME):
        Audit(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.takes_seconds
@given(
    st.text(max_size=300),
    st.recursive(st.text(max_size=50) | st.integers() | st.none(), lambda inner: st.lists(inner, max_size=3)),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_anything_makes_one_plain_line(tmp_path: Path, text: str, argument: object) -> None:
    audit = Audit(tmp_path)
    before = len(audit.path.read_bytes().splitlines())
    audit.write(text, text, {text: argument}, text, text)
    lines = audit.path.read_bytes().split(b"\n")
    assert len(lines) == before + 2
    assert all(0x20 <= byte < 0x7F for byte in lines[-2])
    assert json.loads(lines[-2])


def test_long_arguments_are_shortened(tmp_path: Path) -> None:
    Audit(tmp_path).write("agent", "plan", {"study": "x" * 10**6}, "y" * 10**6)
    assert (tmp_path / FILE_NAME).stat().st_size < 10_000
