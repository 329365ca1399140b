# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Ending the processes of a benchmark, which must not outlive their lease."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ansible_collections.autotune.kernel.plugins.module_utils import _trust

# In the environment of a benchmark: the folder of the file that names its process group.
MARK = "AUTOTUNE_BENCHMARK"
_EXEC_ATTEMPTS, _EXEC_INTERVAL = 100, 0.01  # to see the environment of a process in the middle of execve(2)


@dataclass(frozen=True)
class Process:
    """From /proc/PID/stat. `started`, in clock ticks since boot, and `pid` identify a process."""

    pid: int
    state: str
    group: int
    session: int
    started: int
    owner: int


def end(path: str) -> int:
    """Kill the process group named by a file; returns the number of processes killed.

    The file contains the group's ID and the start time of its first process, as in /proc/PID/stat. It is written by the
    account that runs the benchmark and not trusted: the group must be a session of its own, and only processes that
    the file's owner could kill are killed.
    """
    named = _read(path)
    if named is None:
        return 0
    group, started, owner = named

    def members() -> list[Process]:
        found = [process for process in _processes() if process.group == group == process.session]
        if any(process.pid == group and process.started != started for process in found):
            return []  # the ID has been reused
        return _killable(found, started, owner)

    return _kill(members)


def end_strays(path: str) -> int:
    """Kill what left that group, as a daemon does, but has MARK in its environment; returns the number killed.

    Call it after restoring the originals: reading the environment of a process that hangs in the kernel may block.
    """
    named = _read(path)
    if named is None:
        return 0
    dummy, started, owner = named
    mark = os.fsencode(f"{MARK}={os.path.dirname(path)}")
    return _kill(lambda: [one for one in _killable(_processes(), started, owner) if mark in _environment(one.pid)])


def kill(pid: int, is_meant: Callable[[], bool]) -> bool:
    """Kill a process, unless its ID has been reused, which `is_meant` checks; returns whether it was killed."""
    handle = None
    with contextlib.suppress(OSError, AttributeError):  # Linux before 5.3, or Python built for it
        handle = os.pidfd_open(pid)
    try:
        if not is_meant():  # with a handle, the process checked is the one killed
            return False
        if handle is None:
            os.kill(pid, signal.SIGKILL)
        else:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except OSError:
        return False
    finally:
        if handle is not None:
            os.close(handle)
    return True


def _killable(processes: Iterable[Process], started: int, owner: int) -> list[Process]:
    """Those that run, started no earlier than the benchmark, and belong to `owner`, or to anybody if that is root."""
    alive = [process for process in processes if process.state not in "ZX" and process.started >= started]
    return [process for process in alive if owner in (0, process.owner)]


def _kill(found: Callable[[], list[Process]]) -> int:
    ended = set()
    for dummy in range(3):  # they may be forking
        if not (processes := found()):
            break
        ended |= {one.pid for one in processes if kill(one.pid, lambda one=one: _is_still(one))}  # type: ignore[misc]
    return len(ended)


def _is_still(process: Process) -> bool:
    now = _process(process.pid)
    return now is not None and (now.started, now.owner) == (process.started, process.owner)


def _read(path: str) -> tuple[int, int, int] | None:
    """The group's ID, the start of its first process, and the file's owner; None if the file is malformed."""
    try:
        # Neither a symbolic nor a hard link, by which the file of another owner could be named.
        with open(_trust.open_file(path, any_owner=True), "rb") as file:
            status = os.fstat(file.fileno())
            words = file.read(64).split() if status.st_nlink == 1 else []
    except OSError:
        return None
    if len(words) != 2 or not all(word.isdigit() for word in words):
        return None
    return int(words[0]), int(words[1]), status.st_uid


def _environment(pid: int) -> list[bytes]:
    """What the process has in its environment; waits for one that is about to run another program.

    In the middle of execve(2) it shows none, for long if the machine is busy.
    """
    with contextlib.suppress(OSError, IndexError):  # gone, not permitted, or a kernel thread, which has no program
        os.readlink(f"/proc/{pid}/exe")
        for dummy in range(_EXEC_ATTEMPTS):
            if _has_environment(pid):
                break
            time.sleep(_EXEC_INTERVAL)
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    return []


def _has_environment(pid: int) -> bool:
    """Whether its end in memory is known; it may be empty."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[48] != b"0"


def _processes() -> Iterator[Process]:
    for name in os.listdir("/proc"):
        if name.isdigit() and (process := _process(int(name))) is not None:
            yield process


def _process(pid: int) -> Process | None:
    """None if the process has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            owner = os.fstat(file.fileno()).st_uid
            words = file.read().rpartition(b")")[2].split()
        return Process(pid, words[0].decode(), int(words[2]), int(words[3]), int(words[19]), owner)
    except (OSError, ValueError, IndexError):
        return None
