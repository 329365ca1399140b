# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The logs of a run: trainer.log, and with `-e debug=true` debug.log (see docs/how-to/debug.md).

All processes of a run, a worker for each host and the trainer, append to the same debug.log. Each line is one write to
a file opened with O_APPEND, which Linux does not interleave with the writes of other processes.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ._plain import plain_line

DEBUG_LOG = "debug.log"
# The managed host that a thread of the trainer works for. A worker has only one host.
HOST: ContextVar[str] = ContextVar("HOST", default="-")

_COLLECTION = __name__.partition(".plugins.")[0]
_LARGEST_LOG = 64 * 2**20  # bytes
_LONGEST_LINE = 4000  # characters
_SECRETS = ("nonce", "environment", "store", "token", "password")

# Without any handler, Python would print warnings to standard error, among the output of ansible-playbook.
logging.getLogger(_COLLECTION).addHandler(logging.NullHandler())


class LogFailed(Exception):
    """A log cannot be written; the message says why and what to do."""


class _LineFormatter(logging.Formatter):
    """`2026-11-29T11:24:31.123Z worker[4711] lab1 _wire: to trainer: {...}`, without control characters."""

    def __init__(self, process: str, host: str | None) -> None:
        super().__init__()
        self._process, self._host = f"{process}[{os.getpid()}]", host

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        area = record.name.removeprefix(f"{_COLLECTION}.plugins.").removeprefix("plugin_utils.")
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return plain_line(f"{time} {self._process} {self._host or HOST.get()} {area}: {text}", _LONGEST_LINE)


class _DebugLog(logging.Handler):
    """Appends lines to a file that other processes write as well, until the file is full."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, 0o600)
        os.fchmod(self._descriptor, 0o600)  # an existing file may have another mode
        self._is_full = False

    def emit(self, record: logging.LogRecord) -> None:
        if self._is_full:
            return
        line = self.format(record) + "\n"
        try:
            if os.fstat(self._descriptor).st_size + len(line) > _LARGEST_LOG:
                self._is_full = True
                line = f"the log has reached {_LARGEST_LOG / 2**20:g} MiB and ends here\n"
            os.write(self._descriptor, line.encode())
        except OSError:  # a full disk costs the log, not the run
            self._is_full = True

    def close(self) -> None:
        os.close(self._descriptor)
        super().close()


@contextmanager
def debug_log(path: Path | None, process: str, host: str | None = None) -> Iterator[None]:
    """Log everything that this process does to `path`, or nothing if that is None.

    process: what this process is, such as "worker". host: the managed host, if there is only one. Raises LogFailed.
    """
    if path is None:
        yield
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _DebugLog(path)
    except OSError as error:
        raise LogFailed(f"{path} cannot be written: {error.strerror}; leave `debug` out or set `output`") from None
    handler.setFormatter(_LineFormatter(process, host))
    logger = logging.getLogger(_COLLECTION)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    # Ansible's own log, if there is one, has a handler of the root logger.
    logger.propagate = process != "worker"
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
        handler.close()


def log_to_stderr() -> None:
    """Log what this collection does, and the warnings of all packages, to standard error (trainer.log)."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.INFO)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING, handlers=[handler])
    logging.getLogger(_COLLECTION).setLevel(logging.INFO)
    logging.captureWarnings(True)


def to_text(content: Mapping[str, Any]) -> str:
    """A module's arguments or result as JSON, without secrets."""
    return json.dumps(_redacted(content), default=str)


def _redacted(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: "***" if key in _SECRETS and value else _redacted(value) for key, value in content.items()}
    return [_redacted(value) for value in content] if isinstance(content, list) else content
