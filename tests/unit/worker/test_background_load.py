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
    assert found.cpu == pytest.approx(sum(named.values()))
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


def look(steal: int, idle: int, **processes: int) -> str:
    lines = [f"cpu  0 0 0 {idle} 0 0 0 {steal} 0 0"]
    lines += [
        f"{at} ({name}) S 1 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0" for at, (name, ticks) in enumerate(processes.items())
    ]
    return "\n".join([*lines, "autotune-end"])


def host_of(tmp_path: Path, *looks: str) -> Transport:
    """A transport whose shell prints these looks, then that process 0 and 1 are others'."""
    (tmp_path / "sh").write_text(
        "#!/bin/bash\n[ $# -gt 2 ] || { cat <<'END'\n" + "\n".join(looks) + "\nEND\nexit; }\n"
        'shift 3; for each; do echo "$each no"; done\n'
    )
    (tmp_path / "sh").chmod(0o755)

    class Here(LocalTransport):
        def start(self, command: list[str], **options: object):  # type: ignore[no-untyped-def, override]
            return super().start([str(tmp_path / "sh"), *command[1:]], **options)  # type: ignore[arg-type]

    return Here()


def test_steal_and_names_with_parentheses(tmp_path: Path) -> None:
    before, after = look(0, 100, **{"a) (b": 10}), look(20, 150, **{"a) (b": 40})
    found = background_load(host_of(tmp_path, before, after))
    assert found.steal == pytest.approx(100 * 20 / 70)
    assert found.processes == (("a) (b", "0", pytest.approx(100 * 30 / 70)),)


def test_a_host_that_cannot_be_measured_is_passed_over(tmp_path: Path) -> None:
    assert disturbances({"web1": host_of(tmp_path, "nothing")}) == []
