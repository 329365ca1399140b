# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Starting the trainer: the first worker to take the lock starts it, the others connect."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .._wire import Line, connect

_PACKAGE = __package__.rpartition(".")[0] + "._trainer"
# The folder that contains ansible_collections, for the trainer's path.
_ROOT = Path(__file__).absolute().parents[6]
_REQUIRED = {"torch": "torch", "stable_baselines3": "stable-baselines3", "gymnasium": "gymnasium", "scipy": "scipy"}
_START_TIMEOUT = 120.0
_INFO = re.compile(r"\S+ \S+ INFO ")  # the beginning of such a line in the trainer's log


class TrainerFailed(Exception):
    """The trainer could not start, or ended before the study did."""


@dataclass(frozen=True)
class StudyFinished:
    """The study had already finished when this worker joined."""

    result: dict[str, Any]


def connect_or_start(folder: Path, log: Path, config: dict[str, Any]) -> Line | StudyFinished:
    """Connect to the trainer of this run, starting it if no worker has. Raises TrainerFailed.

    folder: private to the run. log: the trainer's standard output and error. config: a TrainerConfig as a dict.
    """
    missing = [package for module, package in _REQUIRED.items() if not find_spec(module)]
    if missing:
        raise TrainerFailed(
            f"the trainer needs {', '.join(missing)}; install with {sys.executable} -m pip install {' '.join(missing)}"
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
        raise TrainerFailed(
            f"{log.parent} is not writable: {error.strerror}; set `output` to a writable folder"
        ) from None
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    with output:
        # In a session of its own: Ctrl-C is for the workers, which then tell the trainer.
        process = subprocess.Popen(
            [sys.executable, "-m", _PACKAGE, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # One thread per numeric library: the models are small, and the benchmark may run on this machine.
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
    return process.pid


def _wait_for(folder: Path, log: Path, pid: int) -> Line | StudyFinished:
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline:
        alive = _is_alive(pid)  # checked first, because the trainer writes its ending before it exits
        if ending := _ending(folder):
            if "error" in ending:
                raise TrainerFailed(ending["error"])
            return StudyFinished(ending["result"])
        with suppress(OSError):
            return connect(folder)
        if not alive:
            raise TrainerFailed(why_trainer_ended(folder, log))
        time.sleep(0.05)
    raise TrainerFailed(f"the trainer did not start within {_START_TIMEOUT:g} s; see {log}")


def result_of(folder: Path) -> dict[str, Any] | None:
    """The study's result, if the trainer has finished the study."""
    return _ending(folder).get("result")


def why_trainer_ended(folder: Path, log: Path) -> str:
    """The error that the trainer reported, or else the last warning in its log."""
    ending = _ending(folder)
    if "error" in ending:
        return str(ending["error"])
    lines: list[str] = []
    with suppress(OSError):
        lines = [
            line for line in log.read_text(errors="replace").splitlines() if line.strip() and not _INFO.match(line)
        ]
    return f"the trainer ended unexpectedly: {lines[-1] if lines else 'its log is empty'}; see {log}"


def _ending(folder: Path) -> dict[str, Any]:
    with suppress(OSError):
        content: dict[str, Any] = json.loads((folder / "end.json").read_text())
        return content
    return {}


def _is_alive(pid: int) -> bool:
    try:
        # Its parent has to reap it.
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return Path(f"/proc/{pid}").exists()
