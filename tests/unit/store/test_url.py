# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._store import url


def test_what_was_given_comes_before_the_environment_and_that_before_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(url.VARIABLE, raising=False)
    assert url.chosen(None, "learned") == f"sqlite:///{tmp_path}/learned/autotune.sqlite"
    monkeypatch.setenv(url.VARIABLE, "postgresql://db/other")
    assert url.chosen(None, "learned") == "postgresql://db/other"
    assert url.chosen("sqlite:////x", "learned") == "sqlite:////x"


def test_a_path_is_that_of_a_sqlite_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/anna")
    assert url.chosen("runs.sqlite", "learned") == f"sqlite:///{tmp_path}/runs.sqlite"
    assert url.chosen("~/runs.sqlite", "learned") == "sqlite:////home/anna/runs.sqlite"
    monkeypatch.setenv(url.VARIABLE, "/srv/runs.sqlite")
    assert url.chosen(None, "learned") == "sqlite:////srv/runs.sqlite"
    # Refused when it is opened, instead of becoming a file of that name.
    assert url.chosen("postgresql:db", "learned") == "postgresql:db"
