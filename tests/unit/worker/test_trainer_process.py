from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker import trainer_process
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.trainer_process import (
    StudyOver,
    TrainerFailed,
    meet,
    why_it_ended,
)


def test_names_the_packages_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_process, "_NEEDED", {"json": "json", "nosuchmodule": "no-such-module"})
    with pytest.raises(TrainerFailed, match=r"the trainer needs no-such-module, which .* does not have; pip install"):
        meet(tmp_path / "run", tmp_path / "trainer.log", {})
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written_is_found_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "learned").write_text("a file")
    for dummy in range(2):  # whoever takes the lock next gets the same answer
        with pytest.raises(TrainerFailed, match=r"learned/small cannot be written: .*; set `output` to a folder"):
            meet(tmp_path / "run", tmp_path / "learned" / "small" / "trainer.log", {})


def test_a_trainer_that_cannot_start_says_its_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_process, "_PACKAGE", "no_such_trainer")
    log = tmp_path / "learned" / "trainer.log"
    with pytest.raises(TrainerFailed, match=r"the trainer ended early: .*No module named no_such_trainer; see "):
        meet(tmp_path / "run", log, {"a": "configuration"})
    assert "no_such_trainer" in log.read_text()
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
    assert json.loads((tmp_path / "run" / "trainer.json").read_text()) == {"a": "configuration"}


@pytest.mark.parametrize(
    ("log", "end", "reason"),
    [
        ("Traceback:\n  x\nOSError: no space\n", None, "the trainer ended early: OSError: no space; see "),
        ("", None, "the trainer ended early: it said nothing; see "),
        (None, None, "the trainer ended early: it said nothing; see "),
        ("OSError: no space\n", {"error": "the store takes no more"}, "the store takes no more"),
        ("a warning\n", {"result": {}}, "the trainer ended early: a warning; see "),
    ],
)
def test_tells_why_a_trainer_ended(log: str | None, end: dict[str, object] | None, reason: str, tmp_path: Path) -> None:
    if log is not None:
        (tmp_path / "trainer.log").write_text(log)
    if end is not None:
        (tmp_path / "end.json").write_text(json.dumps(end))
    assert why_it_ended(tmp_path, tmp_path / "trainer.log").startswith(reason)


def test_a_late_worker_hears_how_the_study_ended(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(str(os.getpid()))
    (tmp_path / "end.json").write_text(json.dumps({"result": {"verdict": "improved"}}))
    assert meet(tmp_path, tmp_path / "trainer.log", {}) == StudyOver({"verdict": "improved"})
