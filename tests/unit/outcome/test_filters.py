"""Numbers are readable, and untrusted text stays text."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome import filters
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.result import Change, Result
from hypothesis import given
from hypothesis import strategies as st


@given(st.text(max_size=400), st.integers(0, 8))
def test_a_comment_stays_a_comment(foreign: str, indent: int) -> None:
    assert yaml.safe_load(f"a: 1\n{filters.comment(foreign, indent)}\nb: 2\n") == {"a": 1, "b": 2}


@given(st.text(max_size=200))
def test_a_line_stays_one_line_and_moves_no_cursor(foreign: str) -> None:
    line = filters.one_line(foreign)
    assert line == "" or line.isprintable()
    assert len(line.splitlines()) <= 1


def test_a_control_character_is_shown_as_everywhere_else() -> None:
    assert filters.one_line("two\nlines\tand \x1b[2J") == r"two lines and \x1b[2J"
    assert len(filters.one_line("a" * 5000)) == 5000, "a list of hosts is shown whole"


def test_markdown_is_escaped() -> None:
    assert filters.markdown("a|b\n<img src=x> [x](y) `c` *d*") == r"a\|b \<img src=x\> \[x\](y) \`c\` \*d\*"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (0.0, "0"),
        (352.0, "352"),
        (1234567.8, "1234568"),
        (0.00781, "0.00781"),
        (-3.14159, "-3.142"),
        (1e-9, "1e-09"),
    ],
)
def test_numbers_have_four_digits(value: float | None, shown: str) -> None:
    assert filters.number(value) == shown


def test_gain_includes_its_interval(improved: dict[str, Any]) -> None:
    assert filters.gain(Result.model_validate(improved)) == "+130.4 % (95 % interval +118.2 % to +141.9 %)"


@pytest.mark.parametrize(
    ("before", "shown"),
    [
        ({}, "unknown"),
        ({"h1": "60", "h2": "60"}, "60"),
        ({"h1": "60", "h2": "30", "h3": "60"}, "60 (h1, h3), 30 (h2)"),
    ],
)
def test_original_values_are_grouped_by_value(before: dict[str, str], shown: str) -> None:
    assert (
        filters.original(Change.model_validate({"param": "vm.swappiness", "original": before, "learned": 1})) == shown
    )
