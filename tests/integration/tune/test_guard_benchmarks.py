# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Guard benchmarks on the lab: a value that makes the sensor faster and another workload slower.

The other workload feels net.ipv4.tcp_keepalive_time, as long as that is below its original value, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

BOTH = """
import random
read = lambda name: int(open("/proc/sys/net/ipv4/" + name).read())
worth = 100 + read("tcp_fin_timeout") / 2 + (7200 - read("tcp_keepalive_time")) / 60
print(f"throughput: {random.gauss(worth, worth / 1000):.3f}")
"""
OTHER = """
import os, random
time = int(open("/proc/sys/net/ipv4/tcp_keepalive_time").read())
worth = float(os.environ["WORTH"]) * (1 if time >= 7200 else 0.8)
print(f"requests: {random.gauss(worth, worth / 1000):.3f}")
"""
HARMFUL = {"param": "net.ipv4.tcp_keepalive_time", "min": 600, "max": 6000}
HARMLESS = {"param": "net.ipv4.tcp_fin_timeout", "min": 100, "max": 300}
pytestmark = pytest.mark.usefixtures("untouched")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The folder of the other workload's study."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "other.py").write_text(OTHER)
    study = {
        "workload_name": "requests",
        "reward_metric": "requests",
        "benchmark_command": "python3 other.py",
        "environment": {"WORTH": "50"},
        "training_config": {"benchmark_timeout": 5},
    }
    (folder / "study.yml").write_text(yaml.safe_dump(study))
    return folder


@pytest.fixture
def guarded(write_study: Callable[..., Path], other: Path) -> Callable[..., Path]:
    """A study of these parameters that guards the other workload."""
    guard = {"study": "other/study.yml", "may_worsen": 3}
    return lambda *space: write_study(BOTH, action_space=list(space), guard_benchmarks=[guard])


def test_a_role_that_worsens_another_workload_is_not_written(
    tune: Callable[..., Any], guarded: Callable[..., Path]
) -> None:
    run = tune(guarded(HARMFUL))

    assert run.process.returncode == 0, run.text
    result = run.result
    assert result["verdict"] == "no_improvement", run.text
    assert "but guard benchmark requests is more than 3 % worse" in result["reason"]
    assert not result["proved"]
    assert not (run.output / "sensor/roles").exists()
    assert "and to leave guard benchmark requests unharmed, so keep the original ones" in run.text
    (outcome,) = result["guard_benchmarks"]
    assert outcome["change"] == pytest.approx(-20, abs=2)
    assert result["trials"]["guard"] == 2 * len(outcome["evidence"])
    # It ran with its own files and its own environment, in pairs, and was stored apart from the study's benchmark.
    rows = [row for row in run.trials if row.phase == "guard"]
    assert {row.benchmark for row in rows} == {"requests"}
    assert {row.performance for row in rows} == {None}
    assert all(row.metric == pytest.approx(50 if row.original else 40, rel=0.02) for row in rows)
    assert "guard benchmark requests works on lab1" in run.text
    assert "guard: requests, candidate " in run.text


@pytest.mark.slow
def test_of_two_values_only_the_harmless_one_is_learned(
    start: Callable[..., Any], guarded: Callable[..., Path]
) -> None:
    run = start(guarded(HARMFUL, HARMLESS))
    run.end(600)  # it has more trials than other runs of these tests

    assert run.process.returncode == 0, run.text
    result = run.result
    assert result["verdict"] == "improved", run.text
    assert set(result["best_config"]) == {HARMLESS["param"]}
    (outcome,) = result["guard_benchmarks"]
    assert (outcome["holds"], outcome["dropped"]) == (True, [HARMFUL["param"]])
    assert f"Removed: {HARMFUL['param']}, which worsens requests" in result["reason"]
    # The proof in the result is that of the values that are learned.
    own = [row for row in run.trials if row.phase == "guard" and not row.benchmark and not row.original]
    assert own
    assert all(row.applied[HARMFUL["param"]] == "7200" for row in own)
    assert result["pairs"] == len(own)
    readme = (run.output / "sensor/roles/sensor/README.md").read_text()
    assert "Guard benchmark requests" in readme
    defaults = (run.output / "sensor/roles/sensor/defaults/main.yml").read_text()
    assert HARMFUL["param"] not in defaults
    assert "effect shown on its own" in defaults, "its own proof is what it rests on now"


def test_a_guard_benchmark_that_does_not_work_ends_the_run_before_it_changes_anything(
    tune: Callable[..., Any], guarded: Callable[..., Path], other: Path
) -> None:
    (other / "other.py").write_text("raise SystemExit('no server')")

    run = tune(guarded(HARMFUL))

    assert run.process.returncode != 0
    assert "guard benchmark requests ended with exit code 1: no server; no kernel parameter was changed" in run.text
