# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Which hosts take part in a study together: those of one task and one batch of the play (`serial`)."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Batch:
    """The hosts of one study. folder: private to it. first: whether this worker was the first of them to come."""

    folder: Path
    hosts: Sequence[str]
    first: bool


def join(task: Path, host: str, present: Sequence[str], begin: Callable[[], None] = lambda: None) -> Batch:
    """The batch that the host belongs to. task: a folder of the task's own, which is made if need be.

    present: `ansible_play_batch`. Ansible takes hosts out of it as they fail, so with more hosts than forks the later
    ones are given fewer: what counts is the list of whoever came first, which has all that can still come.
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
