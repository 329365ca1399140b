# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Untrusted text (from a study, a host or a benchmark), made safe to print: no control characters, bounded length.

An escape sequence in a benchmark's error message could otherwise set the terminal's title or hide earlier lines.
"""

from __future__ import annotations

from collections.abc import Sequence

_LONGEST_LINE = 1000
_MOST_LINES = 100
_LONGEST_NAME = 80
_MOST_LISTED = 10


def plain_line(text: object, longest: int = _LONGEST_LINE) -> str:
    r"""One line of at most `longest` characters. Control characters and lone surrogates are escaped, as in `\x1b`."""
    whole = str(text)
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in whole[:longest])
    return shown if len(whole) <= longest and len(shown) <= longest else shown[: longest - 3] + "..."


def plain(text: object) -> str:
    """The same for several lines, of which at most 100 are kept."""
    lines = str(text).split("\n")
    kept = [plain_line(line) for line in lines[:_MOST_LINES]]
    return "\n".join([*kept, f"... and {len(lines) - _MOST_LINES} more lines"] if len(lines) > _MOST_LINES else kept)


def brief(name: object) -> str:
    """A name, shortened to be part of a sentence."""
    return plain_line(name, _LONGEST_NAME)


def few(texts: Sequence[str], separator: str = ", ") -> str:
    """The first texts of a list, and how many more there are."""
    shown = separator.join(texts[:_MOST_LISTED])
    return f"{shown}{separator}and {len(texts) - _MOST_LISTED} more" if len(texts) > _MOST_LISTED else shown
