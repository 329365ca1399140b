"""What a host or a benchmark says reaches the terminal as plain text."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.benchmark import _ending
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.host_session import HostSession
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.transport import Completed

TITLE = "\x1b]0;title\x07"


@pytest.mark.parametrize("way", ["show", "warn"])
def test_a_line_for_the_user_stays_one_line_of_plain_text(way: str) -> None:
    printed: list[str] = []
    part = object.__new__(HostSession)
    part._display = SimpleNamespace(display=printed.append, warning=printed.append)
    getattr(part, way)(f"lab1{TITLE}: the kernel says\n[autotune] improved \ud800 {'a' * 5000}")
    (line,) = printed
    assert line.isprintable()
    assert len(line) < 1100


def test_an_error_of_the_benchmark_is_kept_as_plain_text() -> None:
    """Also because PostgreSQL takes no NUL."""
    assert _ending(Completed(3, f"first\n{TITLE}bo\0om", 1.0), "") == (
        r"ended with exit code 3: \x1b]0;title\x07bo\x00om"
    )
