# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The hosts of one study: those of one task and one batch of the play (`serial`)."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Batch:
    """folder: private to the batch. first: whether this worker was the first one to join."""

    folder: Path
    hosts: Sequence[str]
    first: bool


def join_batch(task: Path, host: str, present: Sequence[str], begin: Callable[[], None] = lambda: None) -> Batch:
    """The batch of the host. task: the task's folder, created if it is missing.

    present: `ansible_play_batch`. Ansible removes failed hosts from it, so with more hosts than forks a late worker
    gets a shorter list. The list of the first worker counts, because it contains every host that can still join.
    begin: called by the first worker of the batch before any other can join.
    """
    task.mkdir(mode=0o700, exist_ok=True)
    with open(task / "batches", "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        batches: list[list[str]] = [json.loads(line) for line in file]
        for number, hosts in enumerate(batches):
            if host in hosts:
                return Batch(task / str(number), hosts, first=False)
        begin()
        file.write(json.dumps(list(present)) + "\n")
    return Batch(task / str(len(batches)), list(present), first=True)
