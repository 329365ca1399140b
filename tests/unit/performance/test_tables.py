# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import numpy as np
import pytest
from ansible_collections.autotune.kernel.tests.performance.learner import report, tables, unseen
from ansible_collections.autotune.kernel.tests.performance.learner.work import append, read
from hypothesis import given, settings
from hypothesis import strategies as st

SHARES = st.dictionaries(st.integers(0, 30), st.floats(-1, 1), min_size=5, max_size=30)


def row(algorithm, cell, surface, share):
    return {
        "algorithm": algorithm,
        "cell": cell,
        "surface": surface,
        "share": share,
        "cpu_seconds": 2.0,
        "peak_mb": 500,
    }


def test_compares_on_the_surfaces_that_both_were_on():
    ours = {1: 0.9, 2: 0.8, 3: 0.7, 4: 0.6, 5: 0.5, 6: 0.1}
    other = {1: 0.8, 2: 0.7, 3: 0.6, 4: 0.5, 5: 0.4, 7: 1.0}
    found = tables.difference(ours, other)
    assert found.surfaces == 5
    assert (found.middle, found.low, found.high) == pytest.approx((-0.1, -0.1, -0.1))


def test_says_nothing_about_four_surfaces():
    shares = dict.fromkeys(range(4), 0.5)
    assert tables.difference(shares, shares) is None


@settings(max_examples=15)
@given(SHARES, st.floats(0.01, 1))
def test_the_interval_holds_the_median_and_turns_with_the_sides(shares, gap):
    better = {surface: share + gap * (surface + 1) for surface, share in shares.items()}
    one, back = tables.difference(shares, better), tables.difference(better, shares)
    assert one.low <= one.middle <= one.high
    assert one.middle > 0
    assert (back.middle, back.low, back.high) == pytest.approx((-one.middle, -one.high, -one.low), abs=gap * 32)
    assert back.high <= 0


def test_the_interval_covers_the_true_median_about_as_often_as_it_says():
    random = np.random.default_rng(1)
    covered = 0
    for dummy in range(60):
        gaps = dict(enumerate(random.normal(0.1, 1, 24)))
        found = tables.difference(dict.fromkeys(gaps, 0.0), gaps)
        covered += found.low <= 0.1 <= found.high
    assert 51 <= covered <= 60


def test_columns_line_up():
    lines = tables.markdown(["a", "bcd"], [["long", "x"], ["y", ""]]).splitlines()
    assert lines == ["| a    | bcd |", "| ---- | --- |", "| long | x   |", "| y    |     |"]


def test_shares_are_shown_short():
    assert [tables.rounded(value) for value in (0.934, 1.0, -0.12, 0.999, -1.0)] == [
        ".93",
        "1.00",
        "-.12",
        "1.00",
        "-1.00",
    ]


def test_tables_show_what_there_is_of_each_algorithm_and_cell():
    rows = [row("ppo", "64/8", surface, 0.9 + surface / 100) for surface in range(6)]
    rows += [row("tpe", "64/8", surface, 0.8 + surface / 100) for surface in range(6)]
    rows += [row("tpe", "64/8@10", 1, 0.5)]
    shown = report.shares(rows, ["64/8", "64/8@10"], ["ppo", "tpe", "gp"]).splitlines()
    assert shown[0].split("|")[1:4] == [" algorithm ", " 64/8         ", " 64/8, 10% noise "]
    assert shown[2].split("|")[2].strip() == ".93 (.91), 6"
    assert [cell.strip() for cell in shown[3].split("|")[1:4]] == ["tpe", ".83 (.81), 6", ".50 (.50), 1"]
    assert len(shown) == 4  # nothing of gp
    gap = report.differences(rows, ["64/8"], ["ppo", "tpe"]).splitlines()[-1]
    assert gap.split("|")[2].strip() == "-0.100 (-0.100 to -0.100)"
    assert report.cost(rows, "64/8") == "A study of 64/8 costs 2 s of CPU time (median) and at most 500 MB of memory."


def test_a_line_that_was_cut_off_is_no_row(tmp_path):
    path = tmp_path / "folder" / "rows.jsonl"
    append(path, {"share": 0.5})
    with path.open("a") as file:
        file.write('{"share": 0.')
    assert list(read(path)) == [{"share": 0.5}]


def test_held_out_families_are_compared_together_and_each():
    rows = []
    for family, share in (("memory", 0.9), ("ratio", 0.7)):
        for surface in range(5):
            ours = row("ppo", f"{family}:64/6", surface, share)
            other = row("tpe", f"{family}:64/6", surface, share - 0.1)
            rows += [{**ours, "until_90": 20 if family == "memory" else None}, {**other, "until_90": None}]
    found = unseen.table(rows)
    assert [line[:4] for line in found[:2]] == [["64/6", "all", "ppo", ".80"], ["64/6", "all", "tpe", ".70"]]
    assert found[1][8:] == ["-0.100 (-0.100 to -0.100)", "10"]
    assert [line[7] for line in found if line[1:3] == ["memory", "ppo"]] == ["20"]
    assert [line[7] for line in found if line[1:3] == ["ratio", "ppo"]] == ["never"]
