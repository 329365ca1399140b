# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run reports about the noise, on real hosts."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("untouched")

BENCHMARK = """
import random
print(f"throughput: {random.gauss(100, 2):.3f}")
"""


def test_says_what_the_noise_lets_through(
    lab: Any, start: Callable[..., Any], write_study: Callable[..., Path]
) -> None:
    space = [{"param": "net.ipv4.tcp_fin_timeout", "min": 10, "max": 300}]
    run = start(write_study(BENCHMARK, algorithm="random", action_space=space))
    run.wait_for("detect a gain of", seconds=180)
    assert "note: baseline noise between runs: " in run.text
    run.signal(signal.SIGINT)
    run.end()
