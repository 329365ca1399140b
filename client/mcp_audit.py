# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The audit log: what was asked of the MCP server, by whom, and what became of it, a line of JSON each."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from ..plugins.plugin_utils._plain import plain_line

FILE_NAME = "mcp-audit.jsonl"
_LONGEST = 4000  # characters of arguments and of an outcome


class Audit:
    """Appends to a file that only its owner may read. Raises OSError, also later: what is not logged is not done."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE_NAME
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(self.path, flags, 0o600)
        os.fchmod(self._file, 0o600)
        self._lock = threading.Lock()

    def write(
        self, client: str, tool: str, arguments: Mapping[str, object], outcome: str, plan_id: str | None = None
    ) -> None:
        said = json.dumps(arguments, ensure_ascii=True, default=str)
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "client": plain_line(client, 200),
            "tool": plain_line(tool, 200),
            "arguments": arguments if len(said) <= _LONGEST else plain_line(said, _LONGEST),
            "plan_id": plan_id and plain_line(plan_id, 200),
            "outcome": plain_line(outcome, _LONGEST),
        }
        line = f"{json.dumps(entry, ensure_ascii=True, default=str)}\n".encode()
        with self._lock:
            if os.write(self._file, line) != len(line):
                raise OSError(f"{self.path} was not written in full")
