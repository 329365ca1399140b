# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Tables of the searches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

import numpy as np

from . import tables
from .searches import Cell
from .work import Row

OWN = "ppo"
# One candidate for all hosts, compared with the best compromise.
FLEETS = {
    "hosts:64/8": "Four hosts that differ",
    "loads:64/8": "Four hosts that differ, under a load that changes",
}
Rows = Sequence[Row]


def words(cell: str) -> str:
    parsed = Cell.parse(cell)
    return f"{parsed.evaluations}/{parsed.parameters}" + ("" if parsed.sigma == 0.03 else f", {parsed.sigma:.0%} noise")


def detailed(rows: Rows, cell: str, algorithms: Sequence[str]) -> str:
    """One cell, an algorithm per row.

    last quarter: the mean share of the last quarter of the evaluations.
    """
    own = _by_surface(rows, cell, OWN)
    lines = []
    for name in algorithms:
        these = _of(rows, cell, name)
        if these:
            shares = [row["share"] for row in these]
            gap = tables.difference(own, _by_surface(rows, cell, name)) if name != OWN else None
            lines.append(
                [
                    name,
                    *map(tables.rounded, (median(shares), tables.quartile(shares), tables.decile(shares), min(shares))),
                    tables.rounded(float(np.mean(shares))),
                    until_90(these),
                    gap_text(gap) + f", {gap.surfaces}" if gap else "",
                    *(tables.rounded(median(row[what] for row in these)) for what in ("unraced", "late")),
                    f"{median(row['failed'] for row in these):.0f}",
                    f"{median(row['cpu_seconds'] for row in these):.1f}",
                    str(len(these)),
                ]
            )
    head = [
        "algorithm",
        "median",
        "lower quartile",
        "decile",
        "least",
        "mean",
        "until 90 %",
        f"minus {OWN} (95 %), surfaces",
        "without race",
    ]
    return tables.markdown([*head, "last quarter", "failed", "seconds", "surfaces"], lines)


def until_90(rows: Rows) -> str:
    """The median number of evaluations until one closed 90 % of the gap."""
    found = median(row.get("until_90") or np.inf for row in rows)
    return "never" if np.isinf(found) else f"{found:.0f}"


def shares(rows: Rows, cells: Sequence[str], algorithms: Sequence[str]) -> str:
    """Median (lower quartile), surfaces."""

    def text(own: Rows) -> str:
        found = [row["share"] for row in own]
        return f"{tables.rounded(median(found))} ({tables.rounded(tables.quartile(found))}), {len(found)}"

    return _across(rows, cells, algorithms, text)


def seconds(rows: Rows, cells: Sequence[str], algorithms: Sequence[str]) -> str:
    return _across(rows, cells, algorithms, lambda own: f"{median(row['cpu_seconds'] for row in own):.1f}")


def effects(rows: Rows, cells: Sequence[str], without: Sequence[str]) -> str:
    """The mean of the paired differences to ours: a component may matter much, but on few surfaces."""
    return differences(rows, cells, without, np.mean)


def differences(
    rows: Rows, cells: Sequence[str], algorithms: Sequence[str], middle: tables.Statistic = np.median
) -> str:
    """The median of the paired differences to ours, with its interval; below 0, ours is better."""
    lines = []
    for name in algorithms:
        if name != OWN:
            pairs = [(_by_surface(rows, cell, OWN), _by_surface(rows, cell, name)) for cell in cells]
            lines.append([name, *(gap_text(tables.difference(*pair, middle)) for pair in pairs)])
    return tables.markdown([f"minus {OWN} (95 %)", *map(words, cells)], lines)


def warm(rows: Rows, cold: Sequence[str], warmed: str) -> str:
    lines = []
    for cell in (*cold, warmed):
        found = [row["share"] for row in _of(rows, cell, OWN)]
        if found:
            after = "warm: after a study of a related surface" if cell == warmed else "cold"
            line = [words(cell), after, tables.rounded(median(found)), tables.rounded(tables.quartile(found))]
            lines.append([*line, str(len(found))])
    gap = tables.difference(_by_surface(rows, cold[-1], OWN), _by_surface(rows, warmed, OWN))
    said = f"\n\n{words(warmed)} warm minus {words(cold[-1])} cold: {gap_text(gap)}" if gap else ""
    head = ["evaluations/parameters", "start", "median", "lower quartile", "surfaces"]
    return tables.markdown(head, lines) + said


def cost(rows: Rows, cell: str) -> str:
    own = _of(rows, cell, OWN)
    if not own:
        return ""
    cpu, peak = median(row["cpu_seconds"] for row in own), max(row["peak_mb"] for row in own)
    return f"A study of {words(cell)} costs {cpu:.0f} s of CPU time (median) and at most {peak} MB of memory."


def _across(rows: Rows, cells: Sequence[str], algorithms: Sequence[str], text: Callable[[Rows], str]) -> str:
    lines = []
    for name in algorithms:
        by_cell = [_of(rows, cell, name) for cell in cells]
        if any(by_cell):
            lines.append([name, *(text(own) if own else "" for own in by_cell)])
    return tables.markdown(["algorithm", *map(words, cells)], lines)


def _of(rows: Rows, cell: str, name: str) -> list[Row]:
    return [row for row in rows if row["cell"] == cell and row["algorithm"] == name]


def _by_surface(rows: Rows, cell: str, name: str) -> dict[int, float]:
    return {row["surface"]: row["share"] for row in _of(rows, cell, name)}


def gap_text(gap: tables.Difference | None) -> str:
    return f"{gap.middle:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})" if gap else ""
