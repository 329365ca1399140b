# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""playbooks/new.yml: a study and a benchmark that run as they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.file import read_study

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def new(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the playbook in an empty folder, with these settings."""

    def run(**settings: str) -> subprocess.CompletedProcess[str]:
        command = [Path(sys.executable).with_name("ansible-playbook"), ROOT / "playbooks/new.yml", "-i", "localhost,"]
        environment = {**os.environ, "ANSIBLE_NOCOLOR": "1"}
        ran = subprocess.run(
            [*command, "-e", json.dumps(settings)], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert "[WARNING]" not in ran.stdout + ran.stderr
        return ran

    return run


def test_what_is_written_runs_as_it_is(new: Any, lab: Any, tmp_path: Path) -> None:
    ran = new(workload="my-service")
    assert ran.returncode == 0, ran.stdout
    folder = tmp_path / "my-service"
    read = read_study(folder / "study.yml", tmp_path)
    assert (read.study.workload_name, [name for dummy, name in read.files]) == ("my-service", ["benchmark.py"])
    hint = f"-e study={folder}/study.yml -e dry_run=true"
    assert hint in ran.stdout

    tried = lab.play("playbooks/tune.yml", "--limit", "lab1", *hint.split())
    assert "the benchmark works" in tried.stdout
    assert "requests_per_second in " in tried.stdout


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "missing setting: -e workload=NAME"),
        ({"workload": "My Service"}, "workload My Service: use a lower-case letter and up to 62 lower-case letters"),
    ],
)
def test_a_mistake_writes_nothing(settings: dict[str, str], message: str, new: Any, tmp_path: Path) -> None:
    ran = new(**settings)
    assert ran.returncode == 2
    assert message in ran.stdout + ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(new: Any, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/study.yml").write_text("mine\n")
    ran = new(workload="web", folder=str(tmp_path / "own"))
    assert ran.returncode == 2
    assert f"{tmp_path}/own/study.yml exists and is not overwritten" in ran.stdout + ran.stderr
    assert (tmp_path / "own/study.yml").read_text() == "mine\n"
    assert list((tmp_path / "own").iterdir()) == [tmp_path / "own/study.yml"]
