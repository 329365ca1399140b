# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab built again: when nothing happened, when the variables changed, and after every fault."""

from __future__ import annotations

import importlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Lab = Any  # conftest.Lab, which pytest keeps to itself


@pytest.fixture(scope="module")
def odd_lab(lab_of_its_own: Callable[..., Any]) -> Iterator[Lab]:
    """One host and a short WAN: to be broken and repaired."""
    with lab_of_its_own(lab_hosts=1, lab_wan_delay_ms=20) as built:
        yield built


def sshd_answers(lab: Lab) -> bool:
    with socket.create_connection((lab.hosts["lab1"], 22), timeout=60) as connection:
        return connection.recv(4) == b"SSH-"


def round_trip(lab: Lab, expected: float) -> float:
    """The first measured round trip that is about as expected, else the last one of a minute.

    The link is a process: on a busy machine it may be late for seconds.
    """
    limit = time.monotonic() + 60
    while abs((found := lab.round_trip()) - expected) > 12 and time.monotonic() < limit:
        pass
    return float(found)


def test_keeps_what_was_tuned(odd_lab: Lab) -> None:
    odd_lab.run("lab1", "sysctl", "-w", "net.ipv4.tcp_fin_timeout=47")
    odd_lab.build()
    assert odd_lab.sysctl("lab1", "net.ipv4.tcp_fin_timeout") == "47"


def test_rebuilds_only_the_wan_when_only_the_wan_differs(odd_lab: Lab) -> None:
    host = odd_lab.process("lab1")
    assert odd_lab.build(lab_wan_delay_ms=50)
    assert odd_lab.process("lab1") == host
    assert round_trip(odd_lab, 50) == pytest.approx(50, abs=12)
    odd_lab.build()


def test_a_process_that_was_ended_has_closed_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line in /proc disappears first: the new WAN met the device of the old one."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "roles/lab/files"))
    lab_processes = importlib.import_module("lab_processes")
    (tmp_path / "lab_wan.py").write_text(
        "import socket, time\n"
        "listening = socket.create_server(('127.0.0.1', 0))\n"
        "much = bytearray(b'x' * 500_000_000)  # takes a moment to free, before files are closed\n"
        "print(listening.getsockname()[1], flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, str(tmp_path / "lab_wan.py"), str(tmp_path), "lab1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        port = int(process.stdout.readline())
        assert lab_processes.end(tmp_path, "lab_wan.py", "lab1")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def test_grows_and_shrinks(odd_lab: Lab) -> None:
    first = odd_lab.process("lab1")
    odd_lab.build(lab_hosts=2)
    assert odd_lab.process("lab2") > 0
    odd_lab.build()
    assert odd_lab.process("lab1") == first
    assert subprocess.run(["pgrep", "-f", f"{odd_lab.directory} lab2"], check=False).returncode == 1
    assert not (odd_lab.directory / "lab2").exists()


def kill_sshd(lab: Lab) -> None:
    lab.run("lab1", "pkill", "-KILL", "sshd")


def cut_link(lab: Lab) -> None:
    subprocess.run(["ip", "link", "set", lab.link("lab1"), "down"], check=True)


def delete_link(lab: Lab) -> None:
    subprocess.run(["ip", "link", "delete", lab.link("lab1")], check=True)


def kill_host(lab: Lab) -> None:
    os.kill(lab.process("lab1"), signal.SIGKILL)


def stop_host(lab: Lab) -> None:
    kill_sshd(lab)
    os.kill(lab.process("lab1"), signal.SIGSTOP)


def kill_wan(lab: Lab) -> None:
    os.kill(lab.process("lab1", "lab_wan.py"), signal.SIGKILL)


def lose_a_key(lab: Lab) -> None:
    (lab.directory / "lab1" / "host_key").unlink()


@pytest.mark.parametrize("breaking", [kill_sshd, cut_link, delete_link, kill_host, stop_host, kill_wan, lose_a_key])
def test_repairs(odd_lab: Lab, breaking: Callable[[Lab], None]) -> None:
    breaking(odd_lab)
    assert odd_lab.build()
    assert sshd_answers(odd_lab)
    assert round_trip(odd_lab, 20) == pytest.approx(20, abs=12)


def test_second_run_changes_nothing(odd_lab: Lab) -> None:
    assert not odd_lab.build()


def test_a_killed_sshd_costs_nothing_else(odd_lab: Lab) -> None:
    odd_lab.run("lab1", "touch", "/run/still-there")
    kill_sshd(odd_lab)
    odd_lab.build()
    odd_lab.run("lab1", "test", "-e", "/run/still-there")


def test_a_client_that_was_killed_keeps_the_next_one_waiting_for_seconds_only(odd_lab: Lab) -> None:
    benchmark = (Path(__file__).parents[2] / "benchmarks" / "wan" / "wan.py").read_text()
    start = ["env", "WAN_SERVER=198.18.0.2", "timeout", "--signal=KILL", "2", "python3", "-c", benchmark]
    assert odd_lab.run("lab1", *start, check=False).returncode != 0
    ran = odd_lab.run("lab1", "env", "WAN_SERVER=198.18.0.2", "python3", "-c", benchmark, "--seconds", "1", check=False)
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"^throughput_mbit_per_second: [\d.]+$", ran.stdout.splitlines()[-1])


def test_absent_finds_what_a_crash_left(lab_of_its_own: Callable[..., Any]) -> None:
    """The lab's folder gone, a host half built, the WAN stopped: all of it is found without any record."""
    with lab_of_its_own(lab_hosts=2) as built:
        os.kill(built.process("lab1"), signal.SIGKILL)
        os.kill(built.process("lab2", "lab_wan.py"), signal.SIGSTOP)
        for path in sorted(built.directory.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        built.directory.rmdir()
        assert built.remove()
        assert subprocess.run(["pgrep", "--full", f"{built.directory}[ /]"], check=False).returncode == 1
        assert not [host for host in ("lab1", "lab2") if Path("/sys/class/net", built.link(host)).exists()]
