# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The check of a benchmark on a real host: its decision, and the exit code that a script goes by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("untouched")

# Scatters by 0.3 %, the same in every test; RUN is the number of the run.
BENCHMARK = """
import os
with open("runs", "a") as file:
    file.write(".")
RUN = os.path.getsize("runs")
worth = 100 + int(open("/proc/sys/net/ipv4/tcp_fin_timeout").read()) / 10
print(f"throughput: {worth * (1 + 0.003 * (1, -1, 0, -1, 1, 0, 0, 1, -1)[RUN % 9]):.4f}")
"""
SPACE = [{"param": "net.ipv4.tcp_fin_timeout", "min": 10, "max": 300}]


def said(run: Any) -> str:
    return " ".join(run.text.split())


def test_a_fit_benchmark_goes_on_and_the_play_ends_with_0(tune: Callable[..., Any], write_study: Any) -> None:
    guard = {"metric": "latency", "direction": "minimise", "may_worsen": 5}
    run = tune(write_study(BENCHMARK, action_space=SPACE, guard_metrics=[guard]), "-e", "check=true")
    assert "required by guard_metrics" in said(run)  # before twenty runs are spent
    assert run.process.returncode == 2

    script = BENCHMARK + 'print(f"latency: {1 / worth:.8f}")\n'
    run = tune(write_study(script, action_space=SPACE, guard_metrics=[guard]), "-e", "check=true")
    assert run.process.returncode == 0, run.text
    assert "guard metric latency: noise none" in said(run)
    assert "lab1: decision: go on: the study takes up to " in said(run)


def test_a_benchmark_that_drifts_is_to_be_changed_and_the_play_ends_with_2(
    tune: Callable[..., Any], write_study: Callable[..., Path]
) -> None:
    script = BENCHMARK + 'print(f"throughput: {worth * (1 + 0.01 * RUN):.4f}")\n'
    run = tune(write_study(script, action_space=SPACE), "-e", "check=true")
    assert run.process.returncode == 2
    assert "recommendation: reset in `between` what grows from run to run" in said(run)
    assert "FAILED! => " in said(run)
    assert "change: reset in `between` what grows" in said(run)
