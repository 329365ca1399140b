# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Whose values an evaluation measured: what every line and table that shows one says of it."""

from __future__ import annotations


def whose(phase: str, *, own: bool) -> str:
    """In two words. own: the host's own values; in the ablation all others are the winner's with some of these."""
    return "own values" if own else "variant" if phase == "ablate" else "candidate"
