from __future__ import annotations

import json
import os
import socket
import subprocess
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._wire import Line
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker import trainer_process, worker
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.host_session import SessionFailed
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.interrupt import Interrupts
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.trainer_process import (
    StudyFinished,
    TrainerFailed,
    connect_or_start,
    why_trainer_ended,
)


def test_names_missing_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_process, "_REQUIRED", {"json": "json", "nosuchmodule": "no-such-module"})
    with pytest.raises(TrainerFailed, match=r"needs no-such-module; install with .* -m pip install no-such-module"):
        connect_or_start(tmp_path / "run", tmp_path / "trainer.log", {})
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_output_is_reported_before_the_start(tmp_path: Path) -> None:
    (tmp_path / "learned").write_text("a file")
    for dummy in range(2):  # whoever takes the lock next gets the same answer
        with pytest.raises(TrainerFailed, match=r"learned/small is not writable: .*; set `output` to a writable"):
            connect_or_start(tmp_path / "run", tmp_path / "learned" / "small" / "trainer.log", {})


def test_a_trainer_that_cannot_start_is_reported_with_its_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_process, "_PACKAGE", "no_such_trainer")
    log = tmp_path / "learned" / "trainer.log"
    with pytest.raises(TrainerFailed, match=r"the trainer ended unexpectedly: .*No module named no_such_trainer; see "):
        connect_or_start(tmp_path / "run", log, {"a": "configuration"})
    assert "no_such_trainer" in log.read_text()
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
    assert json.loads((tmp_path / "run" / "trainer.json").read_text()) == {"a": "configuration"}


@pytest.mark.parametrize(
    ("log", "end", "reason"),
    [
        ("Traceback:\n  x\nOSError: no space\n", None, "the trainer ended unexpectedly: OSError: no space; see "),
        ("", None, "the trainer ended unexpectedly: its log is empty; see "),
        (None, None, "the trainer ended unexpectedly: its log is empty; see "),
        ("OSError: no space\n", {"error": "writing to the store failed"}, "writing to the store failed"),
        ("a warning\n", {"result": {}}, "the trainer ended unexpectedly: a warning; see "),
    ],
)
def test_reports_why_a_trainer_ended(
    log: str | None, end: dict[str, object] | None, reason: str, tmp_path: Path
) -> None:
    if log is not None:
        (tmp_path / "trainer.log").write_text(log)
    if end is not None:
        (tmp_path / "end.json").write_text(json.dumps(end))
    assert why_trainer_ended(tmp_path, tmp_path / "trainer.log").startswith(reason)


def test_a_late_worker_gets_the_result(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(str(os.getpid()))
    (tmp_path / "end.json").write_text(json.dumps({"result": {"verdict": "improved"}}))
    assert connect_or_start(tmp_path, tmp_path / "trainer.log", {}) == StudyFinished({"verdict": "improved"})


def test_a_trainer_may_finish_while_a_worker_connects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the check for a result and the attempt to connect."""
    trainer = subprocess.Popen(["sleep", "60"])
    (tmp_path / "lock").write_text(str(trainer.pid))

    def ends_now(folder: Path) -> NoReturn:
        (folder / "end.json").write_text(json.dumps({"result": {"verdict": "improved"}}))
        trainer.kill()
        trainer.wait()
        raise ConnectionRefusedError

    monkeypatch.setattr(trainer_process, "connect", ends_now)
    assert connect_or_start(tmp_path, tmp_path / "trainer.log", {}) == StudyFinished({"verdict": "improved"})


class BusySession:
    """A session whose host is prepared only after the trainer has ended."""

    host = "h1"

    def __init__(self, trainer: socket.socket) -> None:
        self.trainer, self.left = trainer, 0

    def prepare(self) -> tuple[dict[str, Any], Any]:
        self.trainer.close()
        return {}, SimpleNamespace(study=SimpleNamespace(guard_benchmarks=()), background_load=())

    def show(self, line: str) -> None: ...

    def leave(self) -> str:
        self.left += 1
        return "original values restored"


@pytest.mark.parametrize("result", [{"verdict": "improved"}, None])
def test_a_worker_busy_at_the_end_gets_the_result(result: Any, tmp_path: Path) -> None:
    (tmp_path / "end.json").write_text(json.dumps({"result": result} if result else {"error": "no space"}))
    own, trainer = socket.socketpair()
    session: Any = BusySession(trainer)
    run_worker = partial(worker._take_part, session, Line(own), Interrupts(), tmp_path, tmp_path / "trainer.log")
    if result:
        assert run_worker() == result
    else:
        with pytest.raises(SessionFailed, match="no space; h1: original values restored"):
            run_worker()
    assert session.left == 1
