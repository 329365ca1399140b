# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Running commands on a host: what an SSH connection and a local subprocess have in common."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

# Of output that is followed line by line, in bytes; the rest of a longer line is dropped.
LONGEST_LINE = 65_536
# Of output that is taken as a whole.
MOST_OUTPUT = 16 * 2**20
_ERROR_TAIL = 4_096
# Stands for the exit code of a command that was not followed to its end.
CUT_SHORT = -1000


class ConnectionLost(Exception):
    """The connection to the host broke."""


class CommandTimeout(Exception):
    """The command outlived its time limit, although the host should have killed it by then."""


@dataclass(frozen=True)
class Completed:
    """How a command ended. code: its exit code, or CUT_SHORT. errors: the tail of its standard error."""

    code: int
    errors: str
    seconds: float


class Process(Protocol):
    """A running command."""

    def read(self, patience: float) -> tuple[bytes, bytes]:
        """New bytes on standard output and standard error; waits up to `patience` seconds for some."""

    def code(self) -> int | None:
        """The exit code, or None while the command runs. Raises ConnectionLost."""

    def end_input(self) -> None:
        """Close the command's standard input."""

    def close(self) -> None:
        """Close the command's standard input and output."""


class Transport(Protocol):
    """Runs commands on one host."""

    def start(self, command: list[str], *, stdin: bytes | None = b"") -> Process:
        """Start a command. stdin: its whole input; None keeps the input open. Raises ConnectionLost."""

    def close(self) -> None: ...


def follow(
    process: Process,
    on_line: Callable[[str], None],
    *,
    limit: float,
    until: Callable[[], bool] = lambda: False,
    patience: float = 0.5,
    longest_line: int = LONGEST_LINE,
) -> Completed:
    """Pass each line of standard output to `on_line` until the command ends or `until()` is true.

    limit: seconds until CommandTimeout is raised, which does not kill the command. patience: seconds between two
    calls of `until` while there is no output. longest_line: in bytes; what follows in a line is dropped. Raises
    ConnectionLost.
    """
    started = time.monotonic()
    lines, errors = _Lines(on_line, longest_line), b""
    while True:
        code = process.code()
        output, error = process.read(0.0 if code is not None else patience)
        errors = (errors + error)[-_ERROR_TAIL:]
        lines.feed(output)
        ended = code is not None and not output and not error
        if ended or until():
            lines.end()
            seconds = time.monotonic() - started
            return Completed(CUT_SHORT if code is None else code, errors.decode(errors="replace").strip(), seconds)
        if time.monotonic() - started > limit:
            raise CommandTimeout(f"did not end within {limit:g} s")


class _Lines:
    """Splits output into lines, of which it keeps the beginning. It copies each byte once, however long a line is."""

    def __init__(self, on_line: Callable[[str], None], longest: int) -> None:
        self._on_line, self._longest, self._pending = on_line, longest, bytearray()

    def feed(self, output: bytes) -> None:
        first, *others = output.split(b"\n")
        self._keep(first)
        for part in others:
            self._pass_on()
            self._keep(part)

    def end(self) -> None:
        """The last line may lack its newline."""
        if self._pending:
            self._pass_on()

    def _keep(self, part: bytes) -> None:
        self._pending += part[: self._longest - len(self._pending)]

    def _pass_on(self) -> None:
        line, self._pending = self._pending, bytearray()
        self._on_line(line.decode(errors="replace"))


def output_of(transport: Transport, command: list[str], *, stdin: bytes = b"", limit: float = 30.0) -> str:
    """The output of a short command. Raises ConnectionLost, CommandTimeout, and OSError if the exit code is not 0."""
    lines: list[str] = []
    process = transport.start(command, stdin=stdin)
    try:
        completed = follow(process, lines.append, limit=limit, longest_line=MOST_OUTPUT)
    finally:
        process.close()
    if completed.code != 0:
        raise OSError(f"{command[0]}: {completed.errors or f'exit code {completed.code}'}")
    return "\n".join(lines)
