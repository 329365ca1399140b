from __future__ import annotations

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._plain import brief, few, plain, plain_line
from hypothesis import given
from hypothesis import strategies as st

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(ANY_TEXT)
def test_nothing_that_a_terminal_obeys_comes_through(text: str) -> None:
    line = plain_line(text)
    assert line.isprintable()
    line.encode()


@given(ANY_TEXT)
def test_line_breaks_stay_and_nothing_else(text: str) -> None:
    lines = plain(text).split("\n")
    assert len(lines) == text.count("\n") + 1
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\ud800", r"\ud800"),
        ("\u202eevil", r"\u202eevil"),
        ("größer 東京", "größer 東京"),
    ],
)
def test_shows_what_it_does_not_print(text: str, shown: str) -> None:
    assert plain_line(text) == shown


def test_cuts_what_is_long() -> None:
    assert plain_line("a" * 2000) == "a" * 997 + "..."
    assert len(plain_line("\x1b" * 999)) == 1000
    assert len(brief("b" * 100_000)) == 80
    assert plain("x\n" * 200).split("\n")[-1] == "... and 101 more lines"


def test_names_the_first_of_many() -> None:
    assert few(["a", "b"]) == "a, b"
    assert few([str(n) for n in range(5000)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 4990 more"
