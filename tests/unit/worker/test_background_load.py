"""What else uses the CPUs is measured on this machine, with a process that is always busy; parsing on made-up looks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.background_load import (
    BackgroundLoad,
    background_load,
    disturbances,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.local import LocalTransport
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.transport import Transport

BUSY = "print(flush=True)\nwhile True: pass"


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", BUSY, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **environment})
    assert process.stdout
    assert process.stdout.readline()
    return process


@pytest.fixture
def busy() -> Iterator[list[subprocess.Popen[bytes]]]:
    """A process of somebody else, one of a benchmark of this collection, and one of Ansible."""
    started = [start({}), start({"AUTOTUNE_HOST": "198.51.100.1"}), start({}, "/usr/bin/ansible-playbook")]
    yield started
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.takes_seconds
def test_other_processes_are_named_and_those_of_a_study_are_not(busy: list[subprocess.Popen[bytes]]) -> None:
    found = background_load(LocalTransport())
    named = {process: share for dummy, process, share in found.processes}
    other, *ours = (str(process.pid) for process in busy)
    assert named[other] > 0
    assert not set(ours) & named.keys()
    assert found.cpu == pytest.approx(min(sum(named.values()), 100))
    shares = [share for dummy, dummy, share in found.processes]
    assert shares == sorted(shares, reverse=True)


def test_what_disturbs_is_told_with_names_and_shares() -> None:
    processes = (("make -j", "11", 20.0), ("chrome", "12", 9.6), ("cron", "13", 1.0), ("kswapd0", "14", 0.5))
    assert BackgroundLoad(31.1, 4.0, processes).describe("web1") == [
        "other processes use 31 % of the CPU time of web1: make -j 20 %, process 11, chrome 10 %, process 12, "
        "cron 1 %, process 13; measure when it is idle",
        "other virtual machines take 4 % of the CPU time of web1 (steal); measure when it is idle",
    ]
    assert BackgroundLoad(9.9, 2.9, processes).describe("web1") == []


def look(steal: int, idle: int, *processes: tuple[str, int, int]) -> list[str]:
    """processes: name, own ticks, and ticks of children that ended; each is the parent of the next."""
    lines = [f"cpu  0 0 0 {idle} 0 0 0 {steal} 0 0"]
    for at, (name, own, children) in enumerate(processes, start=1):
        lines.append(f"{at} ({name}) S {at - 1} 1 1 0 -1 0 0 0 0 0 {own} 0 {children} 0 20 0")
    return lines


def host_of(tmp_path: Path, *looks: list[str]) -> Transport:
    """A transport whose shell prints these looks, then of every process that it is somebody else's."""
    text = "\n".join(line for each in looks for line in each)
    (tmp_path / "sh").write_text(
        f"#!/bin/bash\n[ $# -gt 2 ] || {{ cat <<'END'\n{text}\nEND\nexit; }}\n"
        'shift 3; for each; do echo "$each no"; done\necho 999999 no foo\n'
    )
    (tmp_path / "sh").chmod(0o755)

    class Here(LocalTransport):
        def start(self, command: list[str], **options: object):  # type: ignore[no-untyped-def, override]
            return super().start([str(tmp_path / "sh"), *command[1:]], **options)  # type: ignore[arg-type]

    return Here()


def test_steal_and_names_with_parentheses(tmp_path: Path) -> None:
    found = background_load(host_of(tmp_path, look(0, 100, ("a) (b", 10, 0)), look(20, 150, ("a) (b", 40, 0))))
    assert found.steal == pytest.approx(100 * 20 / 70)
    assert found.processes == (("a) (b", "1", pytest.approx(100 * 30 / 70)),)


def test_children_that_come_and_go_count_for_their_parent(tmp_path: Path) -> None:
    """As those of make. What a child had used before the first look is not of this second."""
    before = look(0, 100, ("make", 10, 1000), ("cc1plus", 500, 0))
    after = look(0, 200, ("make", 12, 1000 + 540))
    found = background_load(host_of(tmp_path, before, after))
    assert found.processes == (("make", "1", pytest.approx(100 * (2 + 40) / 100)),)
    session = background_load(host_of(tmp_path, look(0, 100, ("sshd", 1, 0)), look(0, 200, ("sshd", 2, 80))))
    assert session.cpu == 0


@pytest.mark.parametrize("name", [b"\ncpu 1", b"\n1 (x) S 1", b"a\\n9 no b", b"\x1b[31mred", b"\xff"])
def test_no_name_of_a_process_breaks_it_or_reaches_the_terminal(name: bytes) -> None:
    """Every account may name its processes as it likes, and give them any argument."""
    script = f"import ctypes; ctypes.CDLL(None).prctl(15, {name!r}); {BUSY}"
    arguments = [sys.executable, "-c", script.replace("; print", "\nprint"), "a\\n999999 no foo", "\\c"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE)
    try:
        assert process.stdout
        assert process.stdout.readline()
        found = background_load(LocalTransport())
        assert b"\n" in name or str(process.pid) in [number for dummy, number, dummy in found.processes]
        assert all(text.isprintable() for text in found.describe("web1"))
    finally:
        process.kill()
        process.communicate()


def test_a_host_that_cannot_be_measured_is_passed_over(tmp_path: Path) -> None:
    assert disturbances({"web1": host_of(tmp_path, ["nothing"])}) == []
