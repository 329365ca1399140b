# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Starting and stopping the dashboard's process, which outlives the play."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ._file_lock import holder
from ._store import url

_PACKAGE = "ansible_collections.autotune.kernel.dashboard"
_COLLECTION = Path(__file__).absolute().parents[2]
_ROOT = _COLLECTION.parents[2]  # the parent of ansible_collections, for PYTHONPATH
_REQUIRED = {
    "flask": "flask",
    "waitress": "waitress",
    "plotly": "plotly",
    "pydantic": "pydantic",
    "sqlalchemy": "SQLAlchemy",
}
_TIMEOUT = 60.0
# What ansible-playbook reads as it stands in `-e output=...`.
_PLAIN = re.compile(r"[\w./:@+-]+", re.ASCII)


class DashboardFailed(Exception):
    """The dashboard could not be started or stopped; the message says why and which setting to change."""


@dataclass(frozen=True)
class Dashboard:
    """A running dashboard. store: the URL of its store, without the password."""

    pid: int
    address: str
    store: str


def running(folder: Path) -> Dashboard | None:
    """The dashboard that runs for this folder: it holds a lock on its PID file."""
    try:
        with open(folder / "dashboard.pid", "rb") as file:
            # Not by trying to lock it, which could keep a dashboard that is just starting from doing so.
            pid = holder(file, 0)
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return None
    # Until a starting dashboard has written the file, it may hold what an earlier one left.
    return Dashboard(pid, lines[1], lines[2]) if pid and len(lines) == 3 and lines[0] == str(pid) else None


def start(folder: Path, store: str, options: Sequence[str]) -> tuple[Dashboard, bool]:
    """The dashboard of a store, and whether it had to be started. Its log and PID file are in `folder`.

    options: further options of autotune-dashboard. Raises DashboardFailed.
    """
    missing = [package for module, package in _REQUIRED.items() if not find_spec(module)]
    if missing:
        raise DashboardFailed(f"the dashboard needs {', '.join(missing)}: install them for {sys.executable} with pip")
    if not (_COLLECTION / "dashboard" / "__main__.py").is_file():
        raise DashboardFailed(f"the collection is installed without its dashboard: {_COLLECTION}/dashboard is missing")
    if dashboard := running(folder):
        if dashboard.store != url.shown(store):
            raise DashboardFailed(f"process {dashboard.pid} serves {dashboard.store} for {folder}; stop it first")
        return dashboard, False
    log = folder / "dashboard.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        process = _start(folder, log, store, options)
    except OSError as error:
        raise DashboardFailed(f"{error.filename} cannot be written: {error.strerror}; set `output`") from None
    limit = time.monotonic() + _TIMEOUT
    while process.poll() is None and time.monotonic() < limit:
        if dashboard := running(folder):
            return dashboard, True
        time.sleep(0.05)
    process.kill()
    lines = log.read_text(errors="replace").strip().splitlines() or [f"no output; see {log}"]
    raise DashboardFailed(f"the dashboard did not start: {lines[-1].removeprefix('autotune-dashboard: ')}")


def _start(folder: Path, log: Path, store: str, options: Sequence[str]) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    with open(log, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as output:
        return subprocess.Popen(
            [sys.executable, "-m", _PACKAGE, "--pid-file", str(folder / "dashboard.pid"), *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # The store's URL may contain a password, and arguments can be read by every user of the machine.
            env={**os.environ, "PYTHONPATH": path, url.VARIABLE: store},
            start_new_session=True,
        )


def stop_command(folder: Path) -> str:
    """What to type to stop the dashboard of `folder`, wherever one is by then."""
    setting = f"output={folder}" if _PLAIN.fullmatch(str(folder)) else json.dumps({"output": str(folder)})
    words = ["ansible-playbook", "autotune.kernel.review", "-i", "localhost,", "-e", "dashboard_state=stopped"]
    return shlex.join([*words, "-e", setting])


def stop(folder: Path) -> Dashboard | None:
    """Stop the dashboard that runs for this folder; None if there is none. Raises DashboardFailed."""
    dashboard = running(folder)
    if dashboard is None:
        return None
    try:
        os.kill(dashboard.pid, signal.SIGTERM)
    except (ProcessLookupError, PermissionError) as error:
        raise DashboardFailed(f"process {dashboard.pid} cannot be stopped: {error.strerror}") from None
    limit = time.monotonic() + _TIMEOUT
    while running(folder):
        if time.monotonic() > limit:
            raise DashboardFailed(f"process {dashboard.pid} did not stop within {_TIMEOUT:g} s; kill it")
        time.sleep(0.05)
    return dashboard
