"""README is a door: short, with a study that works and commands that a test runs."""

from __future__ import annotations

from pathlib import Path

import yaml
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.file import read_study
from ansible_collections.autotune.kernel.tests.documented_commands import PAGES, README, ROOT, RUN_BY, block, commands


def test_it_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 160


def test_its_study_has_ten_lines_and_is_valid(tmp_path: Path) -> None:
    text = block(README, "yaml")
    assert len(text.splitlines()) <= 10
    (tmp_path / "my_benchmark.py").touch()
    (tmp_path / "study.yml").write_text(text)
    assert read_study(tmp_path / "study.yml", tmp_path).study.workload_name == yaml.safe_load(text)["workload_name"]


def test_a_command_that_another_test_runs_is_documented_and_that_test_exists() -> None:
    assert RUN_BY.keys() <= {command for page in PAGES for command in commands(page)}
    assert [file for file in RUN_BY.values() if not (ROOT / file).exists()] == []
