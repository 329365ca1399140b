# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The benchmarks in Python alone: what they print, and that nothing is left of them however they end."""

from __future__ import annotations

import importlib.util
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.file import read_study

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
MEBIBYTE = 1024 * 1024


def command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, str(BENCHMARKS / name / "benchmark.py"), *arguments]


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", BENCHMARKS / name / "benchmark.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a benchmark and waits for its first line: then it is in the middle of its work."""
    started = []

    def start_one(name: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(command(name, *arguments), stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline()
        return process

    yield start_one
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.takes_seconds
@pytest.mark.parametrize("name", ["memory", "network"])
def test_streams_the_metric_of_its_study_and_ends_with_the_rate_of_the_whole_run(name):
    study = read_study(BENCHMARKS / name / "study.yml", BENCHMARKS).study
    ran = subprocess.run(command(name, "--duration", "2.5"), capture_output=True, text=True, check=True)
    lines = [re.fullmatch(r"(\w+): (\d+\.\d)", line) for line in ran.stdout.splitlines()]
    assert all(lines), ran.stdout
    values = [float(line[2]) for line in lines if line[1] == study.reward_metric]
    assert len(values) == 3, ran.stdout
    *streamed, last = values
    assert min(streamed) * 0.5 < last < max(streamed) * 1.5
    assert ran.stderr == ""


@pytest.mark.takes_seconds
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_memory_leaves_no_file_when_it_is_ended(tmp_path, start, end):
    process = start("memory", "--folder", str(tmp_path), "--duration", "600")
    open_files = [os.readlink(link) for link in Path(f"/proc/{process.pid}/fd").iterdir()]
    assert any(name.startswith(str(tmp_path)) for name in open_files)
    process.send_signal(end)
    assert process.wait(timeout=180) == -end
    assert list(tmp_path.iterdir()) == []


def test_memory_stays_within_its_bounds(tmp_path, start):
    process = start("memory", "--folder", str(tmp_path), "--duration", "600")
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    assert int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024 < 300 * MEBIBYTE
    sizes = [os.stat(link).st_size for link in Path(f"/proc/{process.pid}/fd").glob("[3-9]")]
    assert 100 * MEBIBYTE < sum(sizes) < 300 * MEBIBYTE


def test_memory_says_in_one_line_that_it_has_no_place_to_work():
    ran = subprocess.run(command("memory", "--folder", "/proc/nowhere"), capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr == "benchmark.py: cannot work in /proc/nowhere: No such file or directory\n"


def test_memory_asks_for_the_same_few_pages_most_of_the_time_for_the_same_seed():
    zipf_offsets = module("memory").zipf_offsets
    offsets = zipf_offsets(random.Random(5), 4 * MEBIBYTE, 20_000)
    assert offsets == zipf_offsets(random.Random(5), 4 * MEBIBYTE, 20_000)
    assert offsets != zipf_offsets(random.Random(6), 4 * MEBIBYTE, 20_000)
    assert set(offsets) <= set(range(0, 4 * MEBIBYTE, 4096))
    hottest_tenth = sum(count for offset, count in Counter(offsets).most_common(102))
    assert hottest_tenth / len(offsets) > 0.5


@pytest.mark.takes_seconds
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_network_ends_both_its_processes_when_one_is_ended(start, end):
    process = start("network", "--duration", "600")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="utf-8").split()
    assert len(children) == 1
    process.send_signal(end)
    process.wait(timeout=180)
    deadline = time.monotonic() + 180
    while is_running(int(children[0])):
        assert time.monotonic() < deadline, "the serving process is still there"
        time.sleep(0.05)
