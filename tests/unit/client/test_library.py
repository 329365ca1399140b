# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.client.library import study_path, workloads


def test_every_workload_says_what_it_is() -> None:
    found = workloads()
    assert {"memory", "web", "wan"} <= {workload.name for workload in found}
    assert [workload.name for workload in found if not 10 < len(workload.title) < 80] == []
    assert all(workload.content()["reward_metric"] for workload in found)


def test_a_study_is_a_file_a_folder_or_a_workload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/study.yml").touch()
    monkeypatch.chdir(tmp_path)
    assert study_path("mine") == study_path("mine/study.yml") == Path("mine/study.yml")
    assert study_path("memory").parts[-3:] == ("benchmarks", "memory", "study.yml")
    with pytest.raises(FileNotFoundError, match="yours is neither a study file nor a workload of the library: fio, "):
        study_path("yours")
