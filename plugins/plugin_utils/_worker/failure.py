# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What is said of a command that failed, and what to do about it where that is known."""

from __future__ import annotations

import re

from .output import BenchmarkOutput, said_of_failure
from .transport import Completed

_CANNOT_EXECUTE = 126
_NOEXEC = (
    "; {folder} on the host is mounted noexec: set ansible_remote_tmp to a folder without noexec, or name the "
    "interpreter, as in `sh bench.sh`"
)
# As tools of all kinds pass on what the kernel says, mostly among other lines.
_REFUSED = re.compile("connection refused|ECONNREFUSED", re.IGNORECASE)
_SERVICE_DOWN = (
    "; start the service, listening on the address that the benchmark connects to, or give the study a command `start`"
)
_SERVICE_NOT_READY = (
    "; the service does not run where the benchmark connects: `start` must return only when it is ready, and have it "
    "listen on the address in AUTOTUNE_SERVICE"
)


def failure(completed: Completed, output: BenchmarkOutput, noexec: str | None) -> str:
    """A predicate, as messages of BenchmarkFailed are. noexec: the command's folder, if it is mounted so."""
    said = said_of_failure(output, completed.errors) or "no message"
    is_noexec = completed.code == _CANNOT_EXECUTE and noexec
    return f"ended with exit code {completed.code}: {said}{_NOEXEC.format(folder=noexec) if is_noexec else ''}"


def remedy_for_service(completed: Completed, output: BenchmarkOutput, *, starts_service: bool) -> str:
    """What to add if the benchmark failed because its service does not run; empty otherwise.

    starts_service: whether the study starts it, and not the operator.
    """
    # The end alone: before, a client may have tried another address of the service, which answered in the end.
    last = completed.errors.strip().split("\n")[-2:]
    if not _REFUSED.search("\n".join([*last, output.last_line])):
        return ""
    if "`start`" in said_of_failure(output, completed.errors):
        return ""  # it says so itself, as the benchmark of playbook `new` does
    return _SERVICE_NOT_READY if starts_service else _SERVICE_DOWN
