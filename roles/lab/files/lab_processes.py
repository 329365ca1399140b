# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab's processes, as /proc shows them: with no other record, none is missed or mistaken, whatever crashed when."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

HERE = Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"
PROGRAMS = ("lab_host.py", "lab_wan.py")


def wait_until(happened: Callable[[], Any], seconds: float) -> Any:
    """What `happened` last said: something true, unless the time ran out."""
    deadline = time.monotonic() + seconds
    while not (result := happened()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return result


def processes(directory: Path, program: str = "", name: str = "") -> Iterator[tuple[int, list[str]]]:
    """Number and command line of all that runs a program (or any) for a host (or any), even of its `unshare`."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        except OSError:
            continue
        for place, argument in enumerate(command[:-2]):
            ours = Path(argument).name in ([program] if program else PROGRAMS) and command[place + 1] == str(directory)
            if ours and name in ("", command[place + 2]):
                yield int(entry.name), command


def running(directory: Path, program: str, name: str) -> int | None:
    """The number of the program's own process."""
    return next((process for process, command in processes(directory, program, name) if command[0] == PYTHON), None)


def host_names(directory: Path) -> set[str]:
    """The hosts that have a process."""
    return {command[command.index(str(directory)) + 1] for dummy, command in processes(directory)}


def start(directory: Path, program: str, name: str, wrapper: list[str], *arguments: str) -> int:
    """Start it, detached, with its messages in a log of its own, and return its number."""
    command = [*wrapper, PYTHON, str(HERE / program), str(directory), name, *arguments]
    with log_of(directory, program, name).open("w", encoding="utf-8") as log:
        # Not waited for: it outlives us, and then belongs to process 1.
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    wait_until(lambda: running(directory, program, name) or child.poll() is not None, 10)
    process = running(directory, program, name)
    if process is None:
        fail(directory, program, name, f"{program} did not start")
    return process


def end(directory: Path, program: str = "", name: str = "") -> bool:
    """Whether there was anything to end. SIGKILL: nothing has anything to save, and it may have been stopped."""
    found = [process for process, dummy in processes(directory, program, name)]
    killed = [_killed(process) for process in found]
    if not all(killed) or any(processes(directory, program, name)):
        sys.exit(f"cannot kill the lab's processes {found}")
    return bool(found)


def _killed(process: int) -> bool:
    """Whether it has ended, its files closed and its links gone; its command line in /proc disappears before that."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        return bool(select.select([handle], [], [], 10)[0])
    except ProcessLookupError:
        return True
    finally:
        os.close(handle)


def log_of(directory: Path, program: str, name: str) -> Path:
    return directory / name / f"{Path(program).stem}.log"


def fail(directory: Path, program: str, name: str, what: str) -> NoReturn:
    log = log_of(directory, program, name)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    sys.exit(f"{name}: {what}; {log} ends with: {lines[-1] if lines else 'nothing'}")
