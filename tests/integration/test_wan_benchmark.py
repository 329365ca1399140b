# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""benchmarks/wan on a lab host: what it prints, and how it ends when it cannot run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.file import read_study

Lab = Any  # conftest.Lab, which pytest keeps to itself
WAN_PY = Path(__file__).resolve().parents[2] / "benchmarks" / "wan" / "wan.py"


def benchmark(lab: Lab, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = [f"{name}={value}" for name, value in environment.items()]
    command = ["env", *settings, "/usr/bin/python3", "-c", WAN_PY.read_text(), *arguments]
    ran: subprocess.CompletedProcess[str] = lab.run("lab1", *command, check=False)
    return ran


@pytest.mark.parametrize("streams", ["1", "2"])
def test_prints_each_second_then_retransmits_then_the_mean(lab: Lab, streams: str) -> None:
    ran = benchmark(lab, "--seconds", "3", "--streams", streams, WAN_SERVER="198.18.0.2")
    assert ran.returncode == 0, ran.stderr
    lines = [line.split(": ") for line in ran.stdout.splitlines()]
    assert [name for name, dummy in lines] == ["throughput_mbit_per_second"] * 3 + ["retransmits"] + [lines[0][0]]
    assert re.fullmatch(r"\d+", lines[3][1])
    assert 0 < float(lines[4][1]) < 40, "the link carries no more"


def test_receiving_is_limited_by_the_receive_buffer(lab: Lab) -> None:
    """What the guard benchmark of the WAN study is for: a starved tcp_rmem, which sending does not feel."""
    name, means = "net.ipv4.tcp_rmem", []
    before = lab.sysctl("lab1", name)
    for value in (before, "4096 131072 131072"):
        lab.run("lab1", "sysctl", "-q", "-w", f"{name}={value}")
        try:
            command = read_study(WAN_PY.with_name("receive.yml"), WAN_PY.parent).study.commands[0]
            ran = benchmark(lab, *command[2:], WAN_SERVER="198.18.0.2")
        finally:
            lab.run("lab1", "sysctl", "-q", "-w", f"{name}={before}")
        assert ran.returncode == 0, ran.stderr
        means.append(float(ran.stdout.split()[-1]))
    assert means[1] < 0.6 * means[0]


@pytest.mark.parametrize(
    ("environment", "returncode", "message"),
    [
        ({}, 2, r"WAN_SERVER is not set: give the host benchmark_environment: \{WAN_SERVER: address\}"),
        ({"WAN_SERVER": "198.18.0.2", "PATH": "/nowhere"}, 2, "iperf3 is not installed on this host"),
        ({"WAN_SERVER": "198.18.0.9"}, 1, r"198\.18\.0\.9: iperf3: error - unable to connect to server.*"),
    ],
)
def test_says_in_a_line_why_it_cannot_run(lab: Lab, environment: dict[str, str], returncode: int, message: str) -> None:
    ran = benchmark(lab, **environment)
    assert (ran.returncode, ran.stdout) == (returncode, "")
    assert re.fullmatch(message, ran.stderr.strip())
