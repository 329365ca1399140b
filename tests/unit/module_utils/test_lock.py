"""The lock over a host's values. Who holds it is killed when a lease has run out, and nobody is killed in his place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _journal, _lease, _lock, _process_group, _watchdog
from ansible_collections.autotune.kernel.plugins.module_utils._change import Failure

VALUES = {"vm.swappiness": "10"}
HOLDER = """
import sys
from ansible_collections.autotune.kernel.plugins.module_utils import _journal
_journal.RUN_DIRECTORY = sys.argv[1]
with _journal.locked():
    print("held", flush=True)
    sys.stdin.read()
"""


class Call:
    """A call of the module in the middle of its work: it holds the lock until it is told to end."""

    def __init__(self) -> None:
        path = {"PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, _journal.RUN_DIRECTORY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **path},
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"held\n"

    def end(self) -> int:
        """Its exit code."""
        self.process.communicate(timeout=20)
        return self.process.returncode


@pytest.fixture
def call(kernel: Any) -> Iterator[Call]:
    call = Call()
    yield call
    call.process.kill()
    call.end()


def watch() -> None:
    _watchdog.watch(os.open(os.devnull, os.O_RDONLY))


def test_a_call_with_nothing_on_loan_is_left_alone(
    call: Call, monkeypatch: pytest.MonkeyPatch, replace_for: Callable[..., None]
) -> None:
    naps, codes = [], []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            codes.append(call.end())

    replace_for(_watchdog, "time", sleep=sleep)
    monkeypatch.setattr(_journal, "now", iter(range(0, 10**6, 10)).__next__)  # ten seconds between two looks
    watch()
    assert codes == [0]


def test_a_call_that_hangs_is_ended_when_a_lease_has_run_out(
    kernel: Any, expire: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    _lease.acquire(VALUES, "anna", 60)
    expire()
    call = Call()
    monkeypatch.setattr(_journal, "now", iter(range(10**9, 10**10, 10)).__next__)
    watch()
    assert call.end() == -signal.SIGKILL
    assert kernel.get("vm.swappiness") == "60"


def test_a_call_that_has_settled_the_lease_meanwhile_is_left_alone(call: Call) -> None:
    with pytest.raises(Failure, match=f"process {call.process.pid}"), _journal.locked(0.05, lambda: False):
        pass
    assert call.end() == 0


def test_the_number_in_the_file_is_nobodys(kernel: Any) -> None:
    """It was written over a longer one, so that root killed whoever had the number which the two made together."""
    os.mkdir(_journal.RUN_DIRECTORY)
    with subprocess.Popen(["sleep", "60"]) as bystander:
        for text in (f"{bystander.pid}", f"{bystander.pid}" * 3):
            Path(_journal.RUN_DIRECTORY, "lock").write_text(text)
            call = Call()
            with _journal.locked(0.05, lambda: True):
                pass
            assert call.end() == -signal.SIGKILL
        assert bystander.poll() is None
        bystander.kill()


def test_who_cannot_be_told_for_sure_is_not_killed(kernel: Any) -> None:
    """A child that still has the file open holds the lock on, while the number of the process that took it is free."""
    os.mkdir(_journal.RUN_DIRECTORY)
    path = Path(_journal.RUN_DIRECTORY, "lock")
    with subprocess.Popen(["sleep", "60"]) as bystander:
        path.write_text(str(bystander.pid))
        descriptor = os.open(path, os.O_RDONLY)
        assert _lock.take(descriptor)  # by this very process, which the kernel does not tell itself
        with pytest.raises(Failure, match="process unknown"), _journal.locked(0.05):
            pass
        looked = iter([True, True, False])  # give up after two attempts to kill
        with pytest.raises(Failure), _journal.locked(0.05, lambda: next(looked)):
            pass
        os.close(descriptor)
        assert bystander.poll() is None
        bystander.kill()


def test_a_process_that_is_no_longer_the_one_meant_is_not_killed() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        assert not _process_group.kill(process.pid, lambda: False)
        assert process.poll() is None
        assert _process_group.kill(process.pid, lambda: True)
        assert process.wait(20) == -signal.SIGKILL
    assert not _process_group.kill(process.pid, lambda: True)


def test_where_the_kernel_gives_no_handle_on_a_process_its_number_has_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    with subprocess.Popen(["sleep", "60"]) as process:
        assert not _process_group.kill(process.pid, lambda: False)
        assert _process_group.kill(process.pid, lambda: True)
        assert process.wait(20) == -signal.SIGKILL


def test_it_is_had_where_nothing_can_be_written(kernel: Any) -> None:
    with _journal.locked():
        pass
    path = Path(_journal.RUN_DIRECTORY, "lock")
    assert path.read_bytes() == b""
    path.chmod(0o400)
    with _journal.locked():
        assert path.read_bytes() == b""
