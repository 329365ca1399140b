# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""One dashboard per file: the file says where it is served, and is locked while it is."""

from __future__ import annotations

import os
from pathlib import Path

from ..plugins.plugin_utils._file_lock import take_as_process


class AlreadyRunning(Exception):
    """Another dashboard holds the file; the message says where it is served."""


class PidFile:
    """Three lines: process ID, address, store. A file left behind by a crash is not locked and is reused.

    Raises AlreadyRunning or OSError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = open(path, "ab+")  # noqa: SIM115 (open while the dashboard runs)
        if not take_as_process(self._file, 0):
            raise AlreadyRunning(f"a dashboard is already running: {self._address()}; see {path}")

    def write(self, address: str, store: str) -> None:
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n{address}\n{store}\n".encode())
        self._file.flush()

    def _address(self) -> str:
        self._file.seek(0)
        lines = self._file.read().decode(errors="replace").splitlines()
        return lines[1] if len(lines) > 1 else "it is starting"

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
