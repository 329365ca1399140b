# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Running commands on the controller itself, for `ansible_connection: local`."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from contextlib import suppress
from typing import IO


class LocalProcess:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._open: list[IO[bytes]] = [stream for stream in (process.stdout, process.stderr) if stream]

    def read(self, patience: float) -> tuple[bytes, bytes]:
        found = dict.fromkeys((self._process.stdout, self._process.stderr), b"")
        if not self._open:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
        for stream in select.select(self._open, [], [], patience)[0] if self._open else ():
            found[stream] = os.read(stream.fileno(), 65_536)
            if not found[stream]:
                self._open.remove(stream)
        return found[self._process.stdout], found[self._process.stderr]

    def code(self) -> int | None:
        return self._process.poll()

    def end_input(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream:
                stream.close()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class LocalTransport:
    """Runs commands as subprocesses, each in a session of its own."""

    def start(self, command: list[str], *, stdin: bytes | None = b"") -> LocalProcess:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        if process.stdin and stdin is not None:
            process.stdin.write(stdin)
            process.stdin.close()
        return LocalProcess(process)

    def close(self) -> None:
        """There is no connection to close."""
