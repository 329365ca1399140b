"""Splitting a command's output into lines."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.local import LocalTransport
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.transport import (
    LONGEST_LINE,
    follow,
    output_of,
)


class Printed:
    """A command that has ended, and what it printed, piece by piece."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)

    def read(self, patience: float) -> tuple[bytes, bytes]:
        return next(self._pieces, b""), b""

    def code(self) -> int | None:
        return 0

    def end_input(self) -> None: ...

    def close(self) -> None: ...


def lines_of(*pieces: bytes, **settings: int) -> list[str]:
    lines: list[str] = []
    follow(Printed(pieces), lines.append, limit=60.0, **settings)  # type: ignore[arg-type]
    return lines


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ((b"a\nb\n",), ["a", "b"]),
        ((b"a", b"b\nc", b"d"), ["ab", "cd"]),
        ((b"\n\na\n",), ["", "", "a"]),
        ((b"\xc3", b"\xa9\n\xff\n"), ["é", "\ufffd"]),
        ((), []),
    ],
)
def test_lines_are_put_together_from_pieces(pieces: tuple[bytes, ...], lines: list[str]) -> None:
    assert lines_of(*pieces) == lines


def test_of_a_long_line_the_beginning_is_kept_and_the_next_one_is_whole() -> None:
    assert lines_of(b"abc", b"def\nghi\n", longest_line=4) == ["abcd", "ghi"]
    assert [len(line) for line in lines_of(b"x" * 100_000, b"y\n")] == [LONGEST_LINE]


def test_the_output_of_a_short_command_is_whole() -> None:
    """A list of ports, for example, is one line of any length."""
    printed = output_of(LocalTransport(), ["sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x"])
    assert printed == "x" * 300_000
