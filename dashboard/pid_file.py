# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""One page a store: who serves it leaves a file that says where, and holds it for as long as it runs."""

from __future__ import annotations

import os
from pathlib import Path

from ..plugins.plugin_utils._file_lock import take_as_process


class Taken(Exception):
    """Another one runs already with this file; the message says where."""


class PidFile:
    """Three lines: process id, address, store. Held by a lock, so a file that a crash left behind is no obstacle.

    Raises Taken or OSError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = open(path, "ab+")  # noqa: SIM115 (it stays open for as long as the page runs)
        if not take_as_process(self._file, 0):
            raise Taken(f"a page runs already: {self._address()}; see {path}")

    def write(self, address: str, store: str) -> None:
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n{address}\n{store}\n".encode())
        self._file.flush()

    def _address(self) -> str:
        self._file.seek(0)
        lines = self._file.read().decode(errors="replace").splitlines()
        return lines[1] if len(lines) > 1 else "it is just starting"

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
