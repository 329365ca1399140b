# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The learner on families of surfaces held out from its development: `./dev bench-learner --families`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from . import tables
from .families import UNSEEN
from .report import OWN, gap_text, until_90
from .searches import Cell
from .work import Row

SIZES = ("16/8", "32/4", "64/6", "16/8@10", "32/4@10")
ALGORITHMS = (OWN, "tpe", "cmaes", "gp", "random")
CELLS = [f"{family}:{size}" for size in SIZES for family in UNSEEN]
COLUMNS = [
    "evaluations/parameters", "families", "algorithm", "mean", "median", "lower decile", "least", "until 90 %",
    f"mean minus {OWN} (95 %)", "surfaces",
]  # fmt: skip


def table(rows: Sequence[Row]) -> list[list[str]]:
    """All families together, then each."""
    lines = []
    for size in SIZES:
        for family in ("all", *UNSEEN):
            found = [
                row
                for row in rows
                if row["cell"].endswith(f":{size}") and family in ("all", Cell.parse(row["cell"]).kind)
            ]
            lines += [line(size, family, name, found) for name in ALGORITHMS if _of(found, name)]
    return lines


def line(size: str, family: str, name: str, rows: Sequence[Row]) -> list[str]:
    shares, own = _of(rows, name), _of(rows, OWN)
    gap = tables.difference(own, shares, np.mean) if name != OWN else None
    found = list(shares.values())
    return [
        size,
        family,
        name,
        *map(tables.rounded, (float(np.mean(found)), median(found), tables.decile(found), min(found))),
        until_90([row for row in rows if row["algorithm"] == name]),
        gap_text(gap),
        str(len(found)),
    ]


def write(rows: Sequence[Row], path: Path) -> str:
    """Write the table's file for the documentation; returns the table."""
    lines = table(rows)
    about = f"Families {', '.join(UNSEEN)}: held out from the learner's development."
    content = {"command": "./dev bench-learner --families", "about": about, "columns": COLUMNS, "rows": lines}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return tables.markdown(COLUMNS, lines)


def _of(rows: Sequence[Row], name: str) -> dict[tuple[str, int], float]:
    return {(row["cell"], row["surface"]): row["share"] for row in rows if row["algorithm"] == name}
