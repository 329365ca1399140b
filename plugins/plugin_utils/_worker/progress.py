# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The progress lines of a run, one a trial, and the last."""

from __future__ import annotations

from typing import Any

from .._trial.trial import phase_name


def progress_line(host: str, metric: str, progress: dict[str, Any], *, several: bool = False) -> str:
    """One trial: `12/87 lab1 training: candidate 94.3 throughput (+213.4 %), best +250.1 %, 3 min left`.

    several: there are objectives besides the metric, and the changes are of all of them.
    """
    place = f"{progress['number']}/{progress['of']} {host} {phase_name(progress['phase'])}: {progress['label']}"
    if progress["error"]:
        outcome = f"failed: {progress['error']}"
    else:
        of = " in all objectives" if several else ""
        change = "" if progress["change"] is None else f" ({progress['change']:+.1f} %{of})"
        outcome = f"{progress['metric']:.6g} {metric}{change}"
    best = "" if progress["best"] is None else f", best {progress['best']:+.1f} %"
    return f"{place} {outcome}{best}, {duration(progress['left'])} left"


def last_line(result: dict[str, Any]) -> str:
    """Of a run with a verdict: `116/116 done, 12 of the 128 planned trials were not needed`."""
    total, not_needed = result["trials"]["total"], result["not_needed"]
    spared = f", {not_needed} of the {total + not_needed} planned trials were not needed" if not_needed > 0 else ""
    return f"{total}/{total} done{spared}"


def duration(seconds: float) -> str:
    """`45 s`, `3 min`, `2 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
