# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Starting the trainer: the first worker to take the lock does it, the others connect."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .._wire import Line, connect

_PACKAGE = __package__.rpartition(".")[0] + "._trainer"
# The folder above ansible_collections: what has to be on the trainer's path.
_ROOT = Path(__file__).absolute().parents[6]
_NEEDED = {"torch": "torch", "stable_baselines3": "stable-baselines3", "gymnasium": "gymnasium", "scipy": "scipy"}
_PATIENCE = 120.0
_INFORMATION = re.compile(r"\S+ \S+ INFO ")  # a line of the trainer's log that reports no trouble


class TrainerFailed(Exception):
    """The trainer could not start, or ended before the study did."""


@dataclass(frozen=True)
class StudyFinished:
    """This worker came when the study had ended already."""

    result: dict[str, Any]


def connect_or_start(folder: Path, log: Path, config: dict[str, Any]) -> Line | StudyFinished:
    """Connect to the run's trainer, starting it if nobody has. `config` is a TrainerConfig as a dict.

    folder: private to the run. log: where the trainer's own output goes. Raises TrainerFailed.
    """
    missing = [package for module, package in _NEEDED.items() if not find_spec(module)]
    if missing:
        raise TrainerFailed(
            f"the trainer needs {', '.join(missing)}, which {sys.executable} does not have; pip install them there"
        )
    folder.mkdir(mode=0o700, exist_ok=True)
    with open(folder / "lock", "a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if not (pid := lock.read()):
            pid = str(_start(folder, log, config))
            lock.write(pid)
    return _wait_for(folder, log, int(pid))


def _start(folder: Path, log: Path, config: dict[str, Any]) -> int:
    (folder / "trainer.json").write_text(json.dumps(config))
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        output = open(log, "w")  # noqa: SIM115 (closed below; only opening it may fail in this way)
    except OSError as error:
        message = f"{log.parent} cannot be written: {error.strerror}; set `output` to a folder that can"
        raise TrainerFailed(message) from None
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    with output:
        # A session of its own: Ctrl-C is for the workers, which then tell the trainer.
        process = subprocess.Popen(
            [sys.executable, "-m", _PACKAGE, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # One thread of every numeric library: the models are small, and the benchmark may run on this very machine.
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
    return process.pid


def _wait_for(folder: Path, log: Path, pid: int) -> Line | StudyFinished:
    limit = time.monotonic() + _PATIENCE
    while time.monotonic() < limit:
        alive = _alive(pid)  # asked first: what it leaves is there before it goes
        if end := _end(folder):
            if "error" in end:
                raise TrainerFailed(end["error"])
            return StudyFinished(end["result"])
        try:
            return connect(folder)
        except OSError:
            pass
        if not alive:
            raise TrainerFailed(why_it_ended(folder, log))
        time.sleep(0.05)
    raise TrainerFailed(f"the trainer did not start within {_PATIENCE:g} s; see {log}")


def result_left(folder: Path) -> dict[str, Any] | None:
    """The study's result if the trainer has left one: then it is gone because the study is over."""
    return (_end(folder) or {}).get("result")


def why_it_ended(folder: Path, log: Path) -> str:
    """What the trainer left as the reason, or the last line that it wrote: of a traceback, that is what happened."""
    end = _end(folder)
    if end and "error" in end:
        return str(end["error"])
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    lines = [line for line in lines if not _INFORMATION.match(line)]
    return f"the trainer ended early: {lines[-1] if lines else 'it said nothing'}; see {log}"


def _end(folder: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads((folder / "end.json").read_text())
    except OSError:
        return None
    return content


def _alive(pid: int) -> bool:
    try:
        # As its parent, reap it; anybody else just looks.
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return Path(f"/proc/{pid}").exists()
