# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a call changed, or why it changed nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Change:
    """What became of one parameter.

    status: applied, unchanged or clamped; on failure rejected, missing, denied or read_only. before: the value that the
    call found. applied: the value read back.
    """

    status: str
    requested: str
    before: str | None = None
    applied: str | None = None
    message: str = ""

    @classmethod
    def accepted(cls, requested: str, before: str, applied: str | None) -> Change:
        """For a value that the kernel accepted, though perhaps not as it was."""
        if applied != requested:
            message = f"{requested!r} was requested, the kernel set {applied!r}"
            return cls("clamped", requested, before, applied, message)
        return cls("unchanged" if before == applied else "applied", requested, before, applied)


@dataclass(frozen=True)
class Mismatch:
    """A parameter that could not be restored: its value, its original, why, and the command for an administrator."""

    parameter: str
    found: str | None
    original: str
    reason: str
    command: str

    def __str__(self) -> str:
        return (
            f"NEEDS ATTENTION: {self.parameter} is {self.found!r} and should be {self.original!r} ({self.reason}); "
            f"run: {self.command}"
        )


class Failure(Exception):
    """The call changed nothing, or `mismatches` says what could not be restored; so does the message."""

    def __init__(
        self, message: str, parameters: Mapping[str, Change] | None = None, mismatches: Collection[Mismatch] = ()
    ) -> None:
        super().__init__("\n".join([message, *map(str, mismatches)]))
        self.parameters = dict(parameters or {})
        self.mismatches = list(mismatches)

    @property
    def restored(self) -> bool:
        return not self.mismatches

    def as_result(self) -> dict[str, Any]:
        """What the module returns besides its message."""
        return {
            "restored": self.restored,
            "parameters": {parameter: asdict(change) for parameter, change in self.parameters.items()},
            "mismatches": [asdict(mismatch) for mismatch in self.mismatches],
        }


@dataclass
class Report:
    """What a call did. file: the path, former content and new content of the drop-in, if there is one."""

    changes: dict[str, Change] = field(default_factory=dict)
    lease: dict[str, Any] | None = None
    originals: dict[str, str] = field(default_factory=dict)
    verdict: dict[str, Any] | None = None
    file: tuple[str, str, str] | None = None
    warnings: list[str] = field(default_factory=list)
