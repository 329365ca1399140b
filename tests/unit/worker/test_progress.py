from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.progress import duration, last_line, progress_line

PROGRESS: dict[str, Any] = {
    "number": 12,
    "of": 87,
    "phase": "train",
    "label": "candidate",
    "metric": 94.3,
    "change": 213.44,
    "best": 250.1,
    "left": 180.0,
    "error": None,
}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "12/87 lab1 training: candidate 94.3 throughput (+213.4 %), best +250.1 %, 3 min left"),
        (
            {"change": -3.0, "best": -1.0},
            "12/87 lab1 training: candidate 94.3 throughput (-3.0 %), best -1.0 %, 3 min left",
        ),
        (
            {"phase": "baseline", "label": "original values", "change": None, "best": None, "metric": 123456789.0},
            "12/87 lab1 baseline: original values 1.23457e+08 throughput, 3 min left",
        ),
        (
            {"error": "the benchmark exited with code 1", "metric": None, "change": None},
            "12/87 lab1 training: candidate failed: the benchmark exited with code 1, best +250.1 %, 3 min left",
        ),
    ],
)
def test_progress_line(changes: dict[str, Any], line: str) -> None:
    assert progress_line("lab1", "throughput", PROGRESS | changes) == line


def test_a_change_of_several_objectives_is_not_that_of_the_first() -> None:
    line = progress_line("lab1", "throughput", PROGRESS, several=True)
    assert line.endswith("candidate 94.3 throughput (+213.4 % in all objectives), best +250.1 %, 3 min left")


@pytest.mark.parametrize(
    ("not_needed", "line"),
    [(12, "116/116 done, 12 of the 128 planned trials were not needed"), (0, "116/116 done"), (-2, "116/116 done")],
)
def test_a_run_ends_with_all_of_its_trials_done(not_needed: int, line: str) -> None:
    assert last_line({"trials": {"total": 116}, "not_needed": not_needed}) == line


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (45.4, "45 s"),
        (89, "89 s"),
        (90, "2 min"),
        (180, "3 min"),
        (5340, "89 min"),
        (5400, "1 h 30 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
