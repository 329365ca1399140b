# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""wan.py against an iperf3 that answers as a server does whose last client was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WAN_PY = Path(__file__).resolve().parents[3] / "benchmarks/wan/wan.py"
IPERF3 = """#!/bin/sh
echo run >>"$0.runs"
if [ "$(wc -l <"$0.runs")" -le 1 ]; then
    {first}
    echo "iperf3: error - {error}"
    exit 1
fi
echo "[  5]   0.00-1.00   sec  1.00 MBytes  8000 Kbits/sec    0    100 KBytes"
echo "[  5]   0.00-1.00   sec  1.00 MBytes  8000 Kbits/sec    3             sender"
echo "[  5]   0.00-1.00   sec  1.00 MBytes  7900 Kbits/sec                  receiver"
"""
INTERVAL = 'echo "[  5]   0.00-1.00   sec  1.00 MBytes  8000 Kbits/sec    0    100 KBytes"'
RESET = "unable to receive control message: Connection reset by peer"


def run(folder: Path, first: str, error: str) -> subprocess.CompletedProcess[str]:
    tool = folder / "iperf3"
    tool.write_text(IPERF3.format(first=first, error=error))
    tool.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "WAN_SERVER": "192.0.2.1"}
    return subprocess.run([sys.executable, WAN_PY], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("error", ["the server is busy running a test. try again later", RESET])
def test_a_server_that_is_not_yet_rid_of_its_last_client_is_asked_again(error: str, tmp_path: Path) -> None:
    ran = run(tmp_path, ":", error)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[-2:] == ["retransmits: 3", "throughput_mbit_per_second: 7.900"]


@pytest.mark.parametrize(
    ("first", "error"), [(INTERVAL, RESET), (":", "unable to connect to server: No route to host")]
)
def test_what_breaks_a_run_is_told_and_not_repeated(first: str, error: str, tmp_path: Path) -> None:
    ran = run(tmp_path, first, error)
    assert ran.returncode == 1
    assert f"192.0.2.1: iperf3: error - {error}" in ran.stderr
    assert (tmp_path / "iperf3.runs").read_text().count("run") == 1
