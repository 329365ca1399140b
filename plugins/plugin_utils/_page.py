# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Starting and stopping the page (dashboard/): a process of its own that outlives the play."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ._file_lock import holder
from ._store.url import shown

_PACKAGE = "ansible_collections.autotune.kernel.dashboard"
_KERNEL = Path(__file__).absolute().parents[2]
# The folder above ansible_collections: what has to be on the page's path.
_ROOT = _KERNEL.parents[2]
_NEEDED = {"flask": "flask", "waitress": "waitress", "plotly": "plotly", "sqlalchemy": "SQLAlchemy"}
_PATIENCE = 60.0


class PageFailed(Exception):
    """The page could not be started or stopped; the message says why and which setting to change."""


@dataclass(frozen=True)
class Page:
    """A page that is served: by which process, for which store (its URL without a password), and where."""

    pid: int
    address: str
    store: str


def running(folder: Path) -> Page | None:
    """The page that was started for this folder, if it is still there: then it holds its file, and says so in it."""
    try:
        with open(folder / "dashboard.pid", "rb") as file:
            # Looked at, not tried: a page that starts at this moment must not find its file taken.
            pid = holder(file, 0)
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return None
    # A page that has just begun has not yet written over what an earlier one left.
    return Page(pid, lines[1], lines[2]) if pid and len(lines) == 3 and lines[0] == str(pid) else None


def start(folder: Path, store: str, options: Sequence[str]) -> tuple[Page, bool]:
    """The page for a store, and whether it had to be started. Its log and process id are left in `folder`.

    options: further ones of autotune-dashboard. Raises PageFailed.
    """
    missing = [package for module, package in _NEEDED.items() if not find_spec(module)]
    if missing:
        raise PageFailed(f"the page needs {', '.join(missing)}, which {sys.executable} does not have; pip install them")
    if not (_KERNEL / "dashboard" / "__main__.py").is_file():
        raise PageFailed(
            f"this installation of the collection comes without its page: {_KERNEL / 'dashboard'} is missing"
        )
    if page := running(folder):
        if page.store != shown(store):
            raise PageFailed(f"process {page.pid} serves {page.store} for {folder} already; stop it first")
        return page, False
    log = folder / "dashboard.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        process = _start(folder, log, store, options)
    except OSError as error:
        raise PageFailed(f"{error.filename} cannot be written: {error.strerror}; set `output`") from None
    limit = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < limit:
        if page := running(folder):
            return page, True
        time.sleep(0.05)
    process.kill()
    said = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
    raise PageFailed(f"no page: {said[-1].removeprefix('autotune-dashboard: ')}")


def _start(folder: Path, log: Path, store: str, options: Sequence[str]) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    with open(log, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as output:
        return subprocess.Popen(
            [sys.executable, "-m", _PACKAGE, "--pid-file", str(folder / "dashboard.pid"), *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Not as an argument, which everybody on the machine can read: it may hold a password.
            env={**os.environ, "PYTHONPATH": path, "AUTOTUNE_STORE": store},
            start_new_session=True,
        )


def stop(folder: Path) -> Page | None:
    """End the page that was started for this folder; None if there was none. Raises PageFailed."""
    page = running(folder)
    if page is None:
        return None
    try:
        os.kill(page.pid, signal.SIGTERM)
    except (ProcessLookupError, PermissionError) as error:
        raise PageFailed(f"process {page.pid} cannot be stopped: {error.strerror}") from None
    limit = time.monotonic() + _PATIENCE
    while running(folder):
        if time.monotonic() > limit:
            raise PageFailed(f"process {page.pid} does not end; kill it")
        time.sleep(0.05)
    return page
