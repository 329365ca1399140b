# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What became of one parameter."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """What became of one parameter. `status`: applied, unchanged, clamped; rejected, missing, denied, read_only."""

    status: str
    asked: str
    before: str | None = None
    after: str | None = None
    said: str = ""

    @classmethod
    def of(cls, asked: str, before: str, after: str | None) -> Change:
        """Of a value that the kernel took."""
        if after != asked:
            return cls("clamped", asked, before, after, f"asked for {asked!r}, the kernel made it {after!r}")
        return cls("unchanged" if before == after else "applied", asked, before, after)
