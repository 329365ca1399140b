# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host says of itself before it is tuned."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _dropin, _journal, _readiness

RMEM = "net.ipv4.tcp_rmem"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_dropin, "DROPIN_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(_dropin, "OTHER_DIRECTORIES", ())
    return tmp_path


def test_a_file_that_comes_later_prevails_whatever_it_says(folder: Path) -> None:
    (folder / "zz.conf").write_text(f"{RMEM} = 4096 131072 6291456\n")
    (folder / "aa.conf").write_text(f"{RMEM} = 1 2 3\nvm.swappiness = 1\n")
    (found,) = _readiness.overridden("autotune-web", [RMEM, "vm.swappiness"])
    assert (found["parameter"], found["file"]) == (RMEM, str(folder / "zz.conf"))
    assert found["path"] == "net/ipv4/tcp_rmem"
    assert f"prevails over {folder}/autotune-web.conf" in found["message"]


def test_settings_that_no_file_can_make_are_passed_over(folder: Path) -> None:
    assert _readiness.overridden("autotune-web", ["transparent_hugepage.enabled"]) == []


def test_the_clock_is_now_and_nothing_is_sought_without_a_name(folder: Path) -> None:
    found = _readiness.readiness([RMEM], None)
    assert abs(found["time"] - time.time()) < 60
    assert found["overridden"] == []


def test_a_lease_can_be_kept_in_a_folder_that_is_yet_to_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_journal, "RUN_DIRECTORY", str(tmp_path / "run/autotune"))
    assert _readiness.why_no_lease() is None
