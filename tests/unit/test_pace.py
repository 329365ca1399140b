from __future__ import annotations

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._pace import RECENT, usual


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([5.0], 5.0),
        ([9.0, 5.0], 5.0),
        ([5.0, 60.0, 7.0], 6.0),
        ([100.0] * 20 + [5.0] * RECENT, 5.0),
    ],
    ids=["the only one", "a slow first one", "one that hung", "only the latest count"],
)
def test_usual(seconds: list[float], expected: float) -> None:
    assert usual(seconds) == expected
