# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module and the watchdog, killed at every point where they touch a disk or the kernel, or given an error there.

In a network namespace of its own, by strace. Whatever the point: every parameter has a value that somebody meant it to
have, and the next contact, or the end of the lease, makes all of them the host's own. `./dev soak` takes every error at
every point; a test run takes every kill, and some of the errors.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import (
    _change,
    _dropin,
    _journal,
    _kernel,
    _lease,
    _persist,
    _transaction,
    _watchdog,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="a namespace with settings of its own needs root"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: ./dev test installs it"),
]

COLLECTIONS = Path(__file__).parents[2] / "playbooks" / "collections"
IS_SOAK = "AUTOTUNE_SOAK" in os.environ
FIN_TIMEOUT, RMEM, SYN_RETRIES = "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_rmem", "net.ipv4.tcp_syn_retries"
LOW, HIGH = "net.ipv4.ipfrag_low_thresh", "net.ipv4.ipfrag_high_thresh"
FIRST = {FIN_TIMEOUT: "17", RMEM: "4096 200000 7000000", SYN_RETRIES: "3"}
SECOND = {FIN_TIMEOUT: "18", SYN_RETRIES: "4"}
NAME = "90-crash"
EDIT = "kernel.pid_max = 4194304\n"
PARAMETERS = (*FIRST, LOW, HIGH)
STAGE = """
import sys
folder, statement = sys.argv[1:]
sys.path.insert(0, {collections!r})
from ansible_collections.autotune.kernel.plugins.module_utils import _dropin, _journal, _lease, _persist, _watchdog
_journal.RUN_DIRECTORY = _dropin.STATE_DIRECTORY = _dropin.DROPIN_DIRECTORY = folder
_watchdog.ensure = list  # the worst case: nobody watches
exec(statement)
"""
# What is under way when the fault strikes, and what was before it.
STAGES = {
    "the first lease": ("", f"_lease.acquire({FIRST}, 'anna', 60)"),
    "a renewal": ("lease", f"_lease.acquire({SECOND}, 'anna', 60)"),
    "the end of a lease": ("lease", "_lease.release('anna')"),
    "a lease after one that ran out": ("stale", f"_lease.acquire({SECOND}, 'bert', 60)"),
    "the watchdog": ("stale", "_watchdog.main()"),
    "values to stay": ("", f"_persist.apply({FIRST}, None, '{NAME}')"),
    "a confirmation": ("lease", f"_persist.apply({FIRST}, 'anna', '{NAME}')"),
    "a roll-back": ("kept", f"_persist.roll_back('{NAME}')"),
    "other values over an edited file": ("edited", f"_persist.apply({SECOND}, None, '{NAME}')"),
    "a roll-back of an edited file": ("edited", f"_persist.roll_back('{NAME}')"),
}
WRITES = [f"--trace-path={_kernel.path_of(parameter)}" for parameter in FIRST]
POINTS = {call: [f"--trace={call}"] for call in ("fsync", "rename", "unlink", "linkat")}
POINTS["write"] = ["--trace=write", *WRITES]


class Namespace:
    """Runs code in a thread that has a network namespace of its own, and so have the processes it starts."""

    def __init__(self, pool: ThreadPoolExecutor, folder: Path) -> None:
        self._pool, self.folder = pool, folder

    def do(self, work: Callable[[], Any]) -> Any:
        return self._pool.submit(work).result()


def leave_for_a_namespace() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(0x40000000):  # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "unshare")


@pytest.fixture(scope="module")
def namespace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    with ThreadPoolExecutor(1, initializer=leave_for_a_namespace) as pool, ExitStack() as stack:
        memory = Path("/dev/shm")
        folder = tmp_path_factory.mktemp("run")
        if memory.is_dir():  # as /run is
            folder = memory / f"autotune-crash-{os.getpid()}"
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        for target, name, value in (
            (_journal, "RUN_DIRECTORY", str(folder)),
            (_dropin, "STATE_DIRECTORY", str(folder)),
            (_dropin, "DROPIN_DIRECTORY", str(folder)),
            (_dropin, "OTHER_DIRECTORIES", ()),
            (_watchdog, "ensure", list),
        ):
            stack.enter_context(mock.patch.object(target, name, value))
        yield Namespace(pool, folder)


def values() -> dict[str, str]:
    return {parameter: _kernel.read(parameter) for parameter in PARAMETERS}


def run_out() -> None:
    lease = _journal.read()
    if lease:
        _journal.write(replace(lease, deadline=_journal.now() - 1))


def watch() -> None:
    """What the watchdog does at the lease's end."""
    run_out()
    _watchdog.watch(os.open(os.devnull, os.O_RDONLY))


def prepare(folder: Path, before: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if before in ("kept", "edited"):
        _persist.apply(FIRST, None, NAME)
        with open(folder / f"{NAME}.conf", "a") as dropin:
            dropin.write(EDIT if before == "edited" else "")
    elif before:
        _lease.acquire(FIRST, "anna", 60)
    if before == "stale":
        run_out()


def strike(folder: Path, statement: str, call: str, fault: str, when: int) -> bool:
    """Run the statement with a fault at one of its system calls; whether it came to that one at all."""
    log = folder.with_suffix(".strace")
    program = STAGE.format(collections=str(COLLECTIONS))
    traced = ["strace", "-qq", "-o", log, *POINTS[call], f"--inject={call}:{fault}:when={when}"]
    ran = subprocess.run(
        [*traced, sys.executable, "-I", "-c", program, str(folder), statement],
        capture_output=True,
        timeout=60,
        check=False,
    )
    told = log.read_text()
    log.unlink()
    return "(INJECTED)" in told or ran.returncode == -signal.SIGKILL


def crash(folder: Path, stage: str, call: str, fault: str, when: int, then: Callable[[], Any]) -> bool:
    """One fault at one point, the invariant, and the way back; whether there was such a point."""
    own = values()
    before, statement = STAGES[stage]
    try:
        prepare(folder, before)
        struck = strike(folder, statement, call, fault, when)
        for parameter, value in values().items():
            meant = {own[parameter], FIRST.get(parameter), SECOND.get(parameter)}
            assert value in meant, f"{parameter} is {value}"
        if _journal.read() is None and _dropin.read_record(NAME) is None:
            assert values() == own, "values without a journal"
        then()
        _persist.roll_back(NAME)
        assert values() == own, "the way back"
        assert _journal.read() is None
        assert not (folder / f"{NAME}.conf").exists()
        edits = [EDIT in copy.read_text() for copy in folder.glob(f"{NAME}.conf.*")]
        assert edits == [True] * (before == "edited"), "what somebody wrote into the drop-in is kept, once"
    finally:
        _transaction.restore(own)
    return struck


FAULTS = ["signal=KILL", "error=EIO", "error=ENOSPC"]


@pytest.mark.parametrize(
    ("stage", "call"), [(stage, call) for stage in STAGES for call in POINTS if call != "linkat" or "edited" in stage]
)
def test_every_point_leads_back(namespace: Namespace, stage: str, call: str) -> None:
    found = 0
    for fault in FAULTS:
        for when in range(1, 40):
            if fault != "signal=KILL" and not IS_SOAK and (when + len(stage)) % 3 != FAULTS.index(fault):
                continue  # some of the errors, each stage others
            ways = [_lease.release, watch]
            for then in ways if IS_SOAK else [ways[when % 2]]:
                struck = namespace.do(lambda: crash(namespace.folder, stage, call, fault, when, then))  # noqa: B023
            if not struck:
                break
            found += 1
    if call == "fsync":
        assert found > 0, "every stage goes to the disk"


# What a watchdog asks of its folder, and all that it then may be refused: from now on, or once.
OF_ITS_FOLDER = ["", *(f"/{name}" for name in ("lease.json", "verdict.json", ".verdict.json.new", "lock"))]
ALTERING = "write,pwrite64,fsync,fchmod,ftruncate,/^rename,/^unlink"


def refuse(folder: Path, calls: str, error: str, when: str, is_enough: Callable[[], bool]) -> bool:
    """Let a lease run out whose watchdog is refused something; whether it came to that.

    Until the watchdog ends or, where it is refused that from then on, until it is enough.
    """
    log = folder.with_suffix(".strace")
    log.touch()
    paths = [f"--trace-path={folder}{name}" for name in OF_ITS_FOLDER]
    traced = ["strace", "-qq", "-o", log, *paths, f"--trace={calls}", f"--inject={calls}:error={error}:when={when}"]
    program = STAGE.format(collections=str(COLLECTIONS))
    command = [*traced, sys.executable, "-I", "-c", program, str(folder), "_watchdog.main()"]
    with subprocess.Popen(command, start_new_session=True) as watchdog:
        until = time.monotonic() + 60
        while watchdog.poll() is None and not (when.endswith("+") and "(INJECTED)" in log.read_text() and is_enough()):
            assert time.monotonic() < until, f"{error} at {calls} {when}: {log.read_text()}"
            time.sleep(0.02)
        if watchdog.poll() is None:
            os.killpg(watchdog.pid, signal.SIGKILL)
        elif watchdog.returncode:  # before it was on guard: systemd starts it again
            _watchdog.main()
    told = log.read_text()
    log.unlink()
    return "(INJECTED)" in told


def refused(folder: Path, calls: str, error: str, when: str) -> bool:
    own = values()
    try:
        prepare(folder, "stale")
        struck = refuse(folder, calls, error, when, lambda: values() == own)
        assert values() == own, f"{error} at {calls} {when}"
        if not when.endswith("+"):
            assert _journal.read() is None
        _lease.release()
        assert values() == own
    finally:
        _transaction.restore(own)
    return struck


@pytest.mark.parametrize(
    ("calls", "error", "how"),
    [
        (ALTERING, "ENOSPC", "{}+"),
        (ALTERING, "EROFS", "{}+"),
        (ALTERING, "ENOSPC", "{}"),
        (ALTERING, "EROFS", "{}"),
        ("openat", "EMFILE", "{}"),
        ("openat", "EROFS", "{}"),
    ],
)
def test_the_watchdog_restores_whatever_it_is_refused(namespace: Namespace, calls: str, error: str, how: str) -> None:
    for when in range(1, 60):
        if not namespace.do(lambda: refused(namespace.folder, calls, error, how.format(when))):  # noqa: B023
            break
    assert when > 2, "it asks for something"


def test_a_mix_would_be_noticed(namespace: Namespace) -> None:
    """The invariant is no empty one: without a journal, a call that is killed leaves values behind."""
    statement = f"_journal.write = lambda dummy: None; {STAGES['the first lease'][1]}"
    with (
        mock.patch.dict(STAGES, {"unsafe": ("", statement)}),
        pytest.raises(AssertionError, match="values without a journal"),
    ):
        namespace.do(lambda: crash(namespace.folder, "unsafe", "write", "signal=KILL", 2, _lease.release))


some_values = st.dictionaries(
    st.sampled_from(PARAMETERS),
    st.sampled_from(["0", "1", "17", "255", "4000000", "3000000", "5000000", "4096 8192 200000", "9 8 7", "x"]),
    min_size=1,
    max_size=4,
)
holders = st.sampled_from(["anna", "bert"])
steps = st.one_of(
    st.tuples(st.just(lambda values, holder: _lease.acquire(values, holder, 60)), some_values, holders),
    st.tuples(st.just(lambda values, holder: _persist.apply(values, holder, NAME)), some_values, holders),
    st.tuples(st.just(lambda holder: _lease.release(holder)), holders),
    st.tuples(st.just(lambda: _persist.roll_back(NAME))),
    st.tuples(st.just(run_out)),
    st.tuples(st.just(watch)),
    st.tuples(st.just("fail"), st.integers(1, 4), st.sampled_from([errno.EIO, errno.EINVAL, errno.EPERM])),
)


def take(sequence: list[tuple[Any, ...]]) -> None:
    """Any sequence of calls, some of whose writes fail; the end state must be the start state."""
    own, countdown, write = values(), [0, 0], _kernel.write

    def failing(parameter: str, text: str) -> None:
        countdown[0] -= 1
        if countdown[0] == 0:
            raise OSError(countdown[1], os.strerror(countdown[1]))
        write(parameter, text)

    try:
        with mock.patch.object(_kernel, "write", failing):
            for step, *arguments in sequence:
                if step == "fail":
                    countdown[:] = arguments
                    continue
                found, lease = values(), _journal.read()
                refused = None
                try:
                    step(*arguments)
                except _change.Failure as failure:
                    refused = failure
                if refused:
                    assert refused.restored, str(refused)
                if refused and (lease is None or not lease.is_expired):
                    assert values() == found, "all or nothing"
        _lease.release()
        _persist.roll_back(NAME)
        assert values() == own
    finally:
        _transaction.restore(own)


@settings(
    max_examples=3000 if IS_SOAK else 150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(sequence=st.lists(steps, max_size=12))
def test_any_sequence_on_a_real_kernel_ends_in_the_start_state(
    namespace: Namespace, sequence: list[tuple[Any, ...]]
) -> None:
    def work() -> None:
        prepare(namespace.folder, "")
        take(sequence)

    namespace.do(work)
