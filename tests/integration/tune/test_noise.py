# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run says of the noise, and benchmarks that are ended early, on real hosts."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("untouched")

# Ten values in two and a half seconds, the first ones low, as of a connection that starts slowly.
STREAMING = """
import random, time
worth = 100 + int(open("/proc/sys/net/ipv4/tcp_fin_timeout").read()) / 2
values = [random.gauss(worth, worth / 100) * min(at / 3, 1) for at in range(1, 11)]
for value in values:
    time.sleep(0.25)
    print(f"throughput: {value:.3f}", flush=True)
print(f"throughput: {sum(values) / len(values):.3f}")
"""


def test_says_what_the_noise_lets_through_and_ends_what_will_not_matter(
    lab: Any, start: Callable[..., Any], write_study: Callable[..., Path]
) -> None:
    space = [{"param": "net.ipv4.tcp_fin_timeout", "min": 10, "max": 300}]
    config = {"total_timesteps": 60, "benchmark_timeout": 10}
    run = start(write_study(STREAMING, streams=True, algorithm="random", action_space=space, training_config=config))

    run.wait_for("detect a gain of", seconds=180)
    assert "note: baseline noise between runs: " in run.text
    run.wait_for(", ended early", seconds=240)
    run.signal(signal.SIGINT)
    run.end()

    rows = list(run.evaluations)
    early, whole = ([row for row in rows if bool(row.ended_early) is ended] for ended in (True, False))
    assert early
    assert {row.phase for row in early} == {"train"}
    for row in early:
        worth = 100 + int(row.actual["net.ipv4.tcp_fin_timeout"]) / 2
        # The mean of a whole run, with its slow start, though the run was not whole.
        assert row.metric == pytest.approx(0.9 * worth, rel=0.05)
        assert len(row.streamed) < 10
    # None of them was among the best.
    assert max(row.metric for row in early) < max(row.metric for row in whole)
