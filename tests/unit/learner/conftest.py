from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study


@pytest.fixture
def study(new_study: Callable[..., Study]) -> Study:
    """Of a number and a choice."""
    return new_study(
        action_space=[
            {"param": "vm.swappiness", "min": 0, "max": 100},
            {"param": "net.ipv4.tcp_congestion_control", "choices": ["reno", "bbr"]},
        ]
    )
