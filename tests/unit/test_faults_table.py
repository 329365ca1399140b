"""Every line of the table of faults in docs/explanation/safety.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PAGE = (TESTS.parent / "docs/explanation/safety.md").read_text()
LINES = PAGE.partition("\n| fault |")[2].partition("\n\n")[0].splitlines()[2:]


def faults_of(line: str) -> list[str]:
    demonstrated_by = line.split(" | ")[-1]
    named = re.findall(r"`([\w/]+\.py)`", demonstrated_by)
    return [f"{file} does not exist" for file in named if not path_of(file).exists()] or ["no test"] * (not named)


def path_of(file: str) -> Path:
    return TESTS / file if file.startswith("unit/") else TESTS / "integration" / file


def test_every_line_names_tests_that_exist() -> None:
    assert len(LINES) > 25
    assert [f"{line}: {fault}" for line in LINES for fault in faults_of(line)] == []
