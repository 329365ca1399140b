# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The types of keys that name files next to a study: commands, and files to copy.

For studies and their guard benchmarks alike: the files of a guard benchmark lie next to the `study` that it names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo

from .command_line import check_command, check_files
from .sections import Guard


def _finder(info: ValidationInfo) -> Callable[[str], object]:
    """Looks a file up; without a study file, as in the trainer, every file counts as found."""
    find_beside = (info.context or {}).get("find_beside")
    return find_beside(info.data.get("study")) if find_beside else bool


def _checked_command(command: str, info: ValidationInfo) -> str:
    check_command(command, _finder(info))
    return command


def _checked_stop(command: str, info: ValidationInfo) -> str:
    """With `start`, which stands before it. Studies in a store, which have no context, may be older than this check."""
    if info.context and "start" in info.data and info.data["start"] is None:
        raise ValueError(
            "stops what a command `start` has started, and there is none; give `start` too, or stop in `teardown` what "
            "`setup` started"
        )
    return command


def _checked_files(names: list[str], info: ValidationInfo) -> list[str]:
    check_files(names, _finder(info))
    return names


def _checked_guard(guard: Guard, info: ValidationInfo) -> Guard:
    if guard.health_command is not None:
        check_command(guard.health_command, _finder(info), "health_command: ")
    return guard


Command = Annotated[str, AfterValidator(_checked_command)]
StopCommand = Annotated[Command, AfterValidator(_checked_stop)]
Files = Annotated[list[str], Field(max_length=1000), AfterValidator(_checked_files)]
WarmUp = Annotated[float, Field(ge=0, le=3600)]  # seconds
GuardLimits = Annotated[Guard, AfterValidator(_checked_guard)]
