from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _process_group


def started(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def _members(group: int) -> list[int]:
    return [process.pid for process in _process_group._processes() if process.group == group]


@pytest.fixture
def benchmark() -> Iterator[subprocess.Popen[bytes]]:
    """A session of its own with a child, as a benchmark is."""
    with subprocess.Popen(["sh", "-c", "sleep 60 & sleep 60; :"], start_new_session=True) as process:
        limit = time.monotonic() + 180
        while len(_members(process.pid)) < 3 and time.monotonic() < limit:
            time.sleep(0.01)
        yield process
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def file(tmp_path: Path, benchmark: subprocess.Popen[bytes]) -> Path:
    path = tmp_path / "group"
    path.write_text(f"{benchmark.pid} {started(benchmark.pid)}\n")
    return path


def test_kills_the_whole_group(file: Path, benchmark: subprocess.Popen[bytes]) -> None:
    assert _process_group.end(str(file)) >= 2
    assert benchmark.wait(180) == -signal.SIGKILL
    limit = time.monotonic() + 180  # a process that has been killed is still there until it gets a CPU to end on
    while _process_group.end(str(file)) > 0:
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_kills_what_is_left_when_the_first_process_has_ended(file: Path, benchmark: subprocess.Popen[bytes]) -> None:
    benchmark.kill()
    benchmark.wait(180)
    assert _process_group.end(str(file)) >= 1


def test_a_number_that_belongs_to_another_process_by_now_is_left_alone(
    file: Path, benchmark: subprocess.Popen[bytes]
) -> None:
    file.write_text(f"{benchmark.pid} {started(benchmark.pid) - 1}\n")
    assert _process_group.end(str(file)) == 0
    assert benchmark.poll() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file away")
def test_whoever_wrote_the_file_cannot_have_others_processes_killed(
    file: Path, benchmark: subprocess.Popen[bytes]
) -> None:
    os.chown(file, 65534, 65534)
    assert _process_group.end(str(file)) == 0
    assert benchmark.poll() is None


def test_a_group_that_is_no_session_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"], process_group=0) as process:
        (tmp_path / "group").write_text(f"{process.pid} {started(process.pid)}")
        assert _process_group.end(str(tmp_path / "group")) == 0
        process.kill()


@pytest.fixture
def new_daemon(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """A session of its own with a mark in its environment."""
    daemons: list[subprocess.Popen[bytes]] = []

    def start(folder: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, _process_group.MARK: folder}
        daemons.append(subprocess.Popen(["sleep", "60"], env=environment, start_new_session=True))
        return daemons[-1]

    yield start
    for daemon in daemons:
        daemon.kill()
        daemon.wait()


def test_kills_what_has_left_the_group_and_nothing_else(
    file: Path, benchmark: subprocess.Popen[bytes], new_daemon: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    own, other = new_daemon(str(file.parent)), new_daemon(f"{file.parent}-of-another")
    assert _process_group.end_strays(str(file)) == 1
    assert own.wait(180) == -signal.SIGKILL
    assert other.poll() is None
    assert benchmark.poll() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file away")
def test_the_mark_on_others_processes_is_none(file: Path, new_daemon: Callable[[str], subprocess.Popen[bytes]]) -> None:
    daemon = new_daemon(str(file.parent))
    os.chown(file, 65534, 65534)
    assert _process_group.end_strays(str(file)) == 0
    assert daemon.poll() is None


def test_the_mark_on_what_is_older_than_the_benchmark_is_none(
    file: Path, new_daemon: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    daemon = new_daemon(str(file.parent))
    file.write_text(f"{daemon.pid} {started(daemon.pid) + 1}\n")
    assert _process_group.end_strays(str(file)) == 0
    assert daemon.poll() is None


@pytest.mark.parametrize("text", ["", "1", "1 x", "-1 5", "1 2 3", "\x00\xff"])
def test_a_file_that_says_nothing_sensible_ends_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "group").write_text(text)
    assert _process_group.end(str(tmp_path / "group")) == 0
    assert _process_group.end_strays(str(tmp_path / "group")) == 0


@pytest.mark.parametrize("path", ["/tmp/x\0y", "/tmp/\ud800", "", "x", "/", "/" + "x" * 100_000], ids=ascii)
def test_what_cannot_be_a_path_keeps_nothing_from_going_on(path: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    assert _process_group.end(path) == 0
    assert _process_group.end_strays(path) == 0
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_process_in_the_middle_of_exec_is_waited_for(
    file: Path, new_daemon: Callable[[str], subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Popen returns before the kernel shows the new program's environment: one time in five on a busy machine."""
    daemon, real, answers = new_daemon(str(file.parent)), _process_group._has_environment, iter([False] * 3)
    monkeypatch.setattr(
        _process_group, "_has_environment", lambda pid: next(answers, True) if pid == daemon.pid else real(pid)
    )
    assert _process_group.end_strays(str(file)) == 1
    assert daemon.wait(180) == -signal.SIGKILL


def test_the_mark_may_hold_any_bytes(file: Path, new_daemon: Callable[[str], subprocess.Popen[bytes]]) -> None:
    folder = Path(os.fsdecode(os.fsencode(file.parent) + b"/\xe9"))
    folder.mkdir()
    (folder / "group").write_text(file.read_text())
    daemon = new_daemon(str(folder))
    assert _process_group.end_strays(str(folder / "group")) == 1
    assert daemon.wait(180) == -signal.SIGKILL


def test_neither_a_link_nor_a_pipe_nor_nothing_is_read(file: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "nothing"):
        assert _process_group.end(str(tmp_path / name)) == 0
