# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Tasks in worker processes; each result is kept in a file at once, so that an interrupted run can be continued."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """`do(*arguments)` in another process, for one row. kind: tasks of the same kind take about equally long."""

    kind: str
    do: Callable[..., Row]
    arguments: tuple[Any, ...]


def run(tasks: Sequence[Task], *, processes: int, until: float | None, costs: dict[str, list[float]]) -> list[Row]:
    """The rows of all tasks that are likely to finish before `until`, on the monotonic clock.

    costs: known CPU seconds of tasks, by kind.
    """
    seconds: dict[str, list[float]] = defaultdict(list, costs)
    waiting, found = list(tasks), []
    running: dict[Future[Row], Task] = {}
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        while waiting or running:
            while waiting and len(running) < processes:
                task = waiting.pop(0)
                if until and time.monotonic() + median(seconds[task.kind] or [0.0]) > until:
                    continue
                running[pool.submit(task.do, *task.arguments)] = task
            for future in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                task, row = running.pop(future), future.result()
                seconds[task.kind].append(row["cpu_seconds"])
                found.append(row)
                left = sum(median(seconds[task.kind] or [0.0]) for task in (*waiting, *running.values())) / processes
                limit = (until or float("inf")) - time.monotonic()
                _progress(f"{len(found)}/{len(tasks)}, {min(left, limit) / 60:.0f} min left", task, row)
    return found


def _progress(state: str, task: Task, row: Row) -> None:
    share = f", {row['share']:.2f}" if "share" in row else ""
    text = f"bench-learner: {state}; {task.kind} {task.arguments[-1]}{share} in {row['cpu_seconds']:.0f} s"
    print(text, file=sys.stderr, flush=True)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def read(path: Path) -> Iterator[Row]:
    """The rows of a file, except for a line that was truncated when its writer was killed."""
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue


def append(path: Path, row: Row) -> None:
    """Append in a single write, so that processes can share the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, (json.dumps(row) + "\n").encode())
    finally:
        os.close(file)
