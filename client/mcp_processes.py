# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The ansible-playbook processes that the MCP server starts. They outlive it, and their output goes to log files."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from . import playbooks
from .mcp_plans import Kind, Plan
from .mcp_site import Site
from .playbooks import runnable

_TAIL = 4096  # bytes of a log from which its last lines are taken
_LAST_LINES = 8


@dataclass(frozen=True)
class Process:
    """A process that carries out a plan. log: its output."""

    plan_id: str
    kind: Kind
    workload: str
    command: tuple[str, ...]
    log: Path
    started: datetime
    process: subprocess.Popen[bytes]

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self.process.poll()

    @property
    def ended(self) -> datetime | None:
        """When it wrote the last of its output, if it has ended."""
        if self.exit_code is None:
            return None
        try:
            return datetime.fromtimestamp(self.log.stat().st_mtime, UTC)
        except OSError:
            return self.started

    @property
    def last_lines(self) -> list[str]:
        """Of its output; none if somebody removed the log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(file.seek(0, os.SEEK_END) - _TAIL, 0))
                lines = file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return []
        return [line for line in lines if line.strip()][-_LAST_LINES:]


def start(site: Site, plan: Plan, ended: Callable[[int], None]) -> Process:
    """Start what the plan says, in a session of its own. ended: called in a thread with the exit code.

    Raises OSError.
    """
    change, now = plan.change, datetime.now(UTC)
    site.output.mkdir(parents=True, exist_ok=True)
    log = site.output / f"mcp-{change.kind}-{change.workload}-{now:%Y%m%dT%H%M%S}-{plan.id[-6:]}.log"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(
            runnable(list(change.command)),
            cwd=site.root,
            env=environment(site),
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)
    threading.Thread(target=lambda: ended(process.wait()), daemon=True, name=plan.id).start()
    return Process(plan.id, change.kind, change.workload, change.command, log, now, process)


@dataclass(frozen=True)
class Output:
    """exit_code: None if it took too long and was ended."""

    exit_code: int | None
    stdout: str
    stderr: str


def run(site: Site, command: list[str], seconds: float) -> Output:
    """Run a command that changes nothing. Raises OSError."""
    process = subprocess.Popen(
        runnable(command),
        cwd=site.root,
        env=environment(site),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=seconds)
        code: int | None = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        (stdout, stderr), code = process.communicate(), None
    return Output(code, stdout.decode("utf-8", "replace"), stderr.decode("utf-8", "replace"))


def environment(site: Site) -> dict[str, str]:
    return {**os.environ, **playbooks.environment(site.store), "ANSIBLE_NOCOLOR": "1"}
