from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _process_group
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.output_format import Extraction, OutputFormat
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.benchmark import (
    Benchmark,
    BenchmarkFailed,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.failure import failure
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.local import LocalTransport
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.output import BenchmarkOutput
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.transport import Completed, output_of

Script = Callable[[str], str]
PATIENCE = 180.0


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """A shell script as a file to copy."""

    def write(text: str) -> str:
        path = tmp_path / "bench.sh"
        path.write_text(text)
        path.chmod(0o755)
        return "sh bench.sh"

    return write


@pytest.fixture
def new_benchmark(tmp_path: Path) -> Iterator[Callable[..., Benchmark]]:
    """A benchmark on this machine, with what the test wrote copied to its folder."""
    made: list[Benchmark] = []

    def make(timeout: float = 180.0, starts_service: bool = False, **environment: str) -> Benchmark:
        benchmark = Benchmark(LocalTransport(), environment, timeout, starts_service=starts_service)
        made.append(benchmark)
        benchmark.copy([(path, path.name) for path in sorted(tmp_path.glob("*.sh"))])
        return benchmark

    yield make
    for benchmark in made:
        benchmark.remove()


def gone(pid: int, patience: float = PATIENCE) -> bool:
    """Whether the process ends within a while."""
    limit = time.monotonic() + patience
    while time.monotonic() < limit:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def pid_in(path: Path) -> int:
    limit = time.monotonic() + PATIENCE
    while not (path.exists() and path.read_text().strip()):
        assert time.monotonic() < limit
        time.sleep(0.02)
    return int(path.read_text())


def test_the_last_value_is_the_result_and_earlier_ones_are_streamed(
    script: Script, new_benchmark: Callable[..., Benchmark]
) -> None:
    command = script("echo m: 90; echo m: nan; echo m: 95; echo latency: 3; echo m: 100; echo done >&2")
    result = new_benchmark().run(command, "m")
    assert (result.metric, result.streamed, result.metrics) == (100.0, [90.0, 95.0], {"m": 100.0, "latency": 3.0})


def test_runs_in_its_folder_with_its_environment(script: Script, new_benchmark: Callable[..., Benchmark]) -> None:
    command = script('[ -f bench.sh ] && [ "$MODE" = "a b; c" ] && echo "m: 1"')
    assert new_benchmark(MODE="a b; c").run(command, "m").metric == 1.0


def test_no_shell_interprets_the_arguments(script: Script, new_benchmark: Callable[..., Benchmark]) -> None:
    command = script('[ "$1" = "\\$(id); *" ] && echo "m: 1"') + " '$(id); *'"
    assert new_benchmark().run(command, "m").metric == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("echo m: 5; echo no disk left >&2; exit 3", "ended with exit code 3: no disk left"),
        ("echo the server is busy; exit 1", "ended with exit code 1: the server is busy"),
        ("exit 2", "ended with exit code 2: no message"),
        ("kill -SEGV $$", "ended with exit code 139"),
        ("exit 0", "printed nothing on standard output; expected a line `m: NUMBER`"),
        ("echo all is well", "printed no line `m: NUMBER`; its last line was 'all is well'"),
        ("echo m: many", "printed `m: many`, which is not a number"),
        ("echo m: 1.234,5", "printed `m: 1.234,5`, which is not a number"),
        ("echo m: 900; echo m: 1.1 M", "printed `m: 1.1 M`, which is not a number"),
        ("echo m: 5; echo m: nan", "printed `m: nan`, which is not a finite number"),
        ("echo ERROR: no connection", "printed no line `m: NUMBER`; its last line was 'ERROR: no connection'"),
        (
            """echo '{"m": 5}'; echo '{"m": 6}'""",
            """printed no line `m: NUMBER`; its last line was '{"m": 6}'""",
        ),
        ("echo m: 5; echo m: 6 K", "printed `m: 6 K`, which is not a number"),
        ("echo m: inf", "printed `m: inf`, which is not a finite number"),
        ("echo m: 5 >&2; echo done >&2", "printed `m: 5` on standard error; print it on standard output"),
        ("missing-command", "ended with exit code 127: bench.sh: 1: missing-command: not found"),
    ],
)
def test_a_failing_benchmark_is_reported_in_one_line(
    text: str, message: str, script: Script, new_benchmark: Callable[..., Benchmark]
) -> None:
    command = script(text)
    with pytest.raises(BenchmarkFailed) as caught:
        new_benchmark().run(command, "m")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


# What Python, pgbench, wrk and redis-benchmark print without their server, pgbench on several lines.
REFUSED = [
    'python3 -c "import socket; socket.create_connection((\\"127.0.0.1\\", 1))"',
    "printf 'connection to server at ::1 failed: Connection refused\\n\\tIs the server running there?\\n' >&2; exit 2",
    "echo unable to connect to 127.0.0.1:1 Connection refused; exit 1",
    "echo Could not connect to Redis at 127.0.0.1:1: Connection refused >&2; exit 1",
    "echo connect ECONNREFUSED 127.0.0.1:1 >&2; exit 1",
]


@pytest.mark.parametrize("text", REFUSED)
@pytest.mark.parametrize(
    ("starts_service", "remedy"),
    [
        (False, "; start the service, listening on the address that the benchmark connects to, or give the study a"),
        (True, "; the service does not run where the benchmark connects: `start` must return only when it is ready"),
    ],
)
def test_a_service_that_is_down_comes_with_its_remedy(
    text: str, starts_service: bool, remedy: str, script: Script, new_benchmark: Callable[..., Benchmark]
) -> None:
    command = script(text)
    benchmark = new_benchmark(starts_service=starts_service)
    for run in (lambda: benchmark.run(command, "m"), lambda: benchmark.warm_up(command, 100)):
        with pytest.raises(BenchmarkFailed) as caught:
            run()
        assert remedy in str(caught.value)
        assert "\n" not in str(caught.value)


def test_other_commands_and_a_benchmark_that_says_it_itself_get_no_remedy(
    script: Script, new_benchmark: Callable[..., Benchmark]
) -> None:
    own = "no answer from 127.0.0.1:1: Connection refused; start the service, or have the study start it (\\`start\\`)"
    command = script(f'echo "{own}" >&2; exit 1')
    with pytest.raises(BenchmarkFailed, match=r"have the study start it \(`start`\)$"):
        new_benchmark().run(command, "m")
    other = "connect to ::1 failed: Connection refused\\nconnected to 127.0.0.1\\nserver error 500\\n"
    command = script(f"printf '{other}' >&2; exit 1")
    with pytest.raises(BenchmarkFailed, match=r"server error 500$"):
        new_benchmark().run(command, "m")
    command = script("echo Connection refused; exit 1")
    for run in (Benchmark.run_once, Benchmark.start_daemons):
        with pytest.raises(BenchmarkFailed, match=r"exit code 1: Connection refused$"):
            run(new_benchmark(), command)


def test_a_missing_command_is_named(new_benchmark: Callable[..., Benchmark]) -> None:
    with pytest.raises(BenchmarkFailed, match=r"ended with exit code 127: .*no-such-benchmark"):
        new_benchmark().run("no-such-benchmark --fast", "m")


def test_at_the_time_limit_the_whole_group_is_killed(
    tmp_path: Path, script: Script, new_benchmark: Callable[..., Benchmark]
) -> None:
    pids = tmp_path / "child", tmp_path / "grandchild"
    command = script(
        f"""trap '' TERM
sh -c 'trap "" TERM; sh -c "trap \\"\\" TERM; echo \\$\\$ > {pids[1]}; while :; do sleep 60; done" & echo $$ > {pids[0]}
while :; do sleep 60; done' &
echo m: 5
while :; do sleep 60; done"""
    )
    with pytest.raises(BenchmarkFailed, match=r"exceeded its time limit of 0\.5 s"):
        new_benchmark(timeout=0.5).run(command, "m")
    assert all(gone(pid_in(path)) for path in pids)


def test_the_host_enforces_the_time_limit(
    tmp_path: Path, script: Script, new_benchmark: Callable[..., Benchmark]
) -> None:
    """The controller does not check the time here."""
    script(f"echo $$ > {tmp_path / 'pid'}; sleep 300")
    benchmark = new_benchmark(timeout=0.5)
    process = benchmark._transport.start(["sh", "-c", benchmark._script(["sh", "bench.sh"])])
    assert gone(pid_in(tmp_path / "pid"))
    process.close()


def test_processes_left_behind_are_killed(
    tmp_path: Path, script: Script, new_benchmark: Callable[..., Benchmark]
) -> None:
    pid = tmp_path / "child"
    command = script(f"sh -c 'echo $$ > {pid}; sleep 300' & \nwhile ! [ -s {pid} ]; do :; done; echo m: 5")
    assert new_benchmark().run(command, "m").metric == 5.0
    assert gone(pid_in(pid))


DAEMON = "setsid sh -c 'echo $$ > {pid}; exec sleep 300' & while ! [ -s {pid} ]; do sleep 0.01; done"


def test_a_daemon_outside_the_process_group_is_killed(
    tmp_path: Path, script: Script, new_benchmark: Callable[..., Benchmark]
) -> None:
    command = script(f"{DAEMON.format(pid=tmp_path / 'daemon')}; echo m: 5")
    assert new_benchmark().run(command, "m").metric == 5.0
    assert gone(pid_in(tmp_path / "daemon"))


def test_the_watchdog_finds_a_daemon_of_the_benchmark(
    tmp_path: Path, script: Script, new_benchmark: Callable[..., Benchmark]
) -> None:
    """For when neither the controller nor the keeper can kill it."""
    script(f"{DAEMON.format(pid=tmp_path / 'daemon')}; sleep 300")
    benchmark = new_benchmark()
    process = benchmark._transport.start(["sh", "-c", benchmark._script(["sh", "bench.sh"])])
    daemon = pid_in(tmp_path / "daemon")
    assert _process_group.end_strays(benchmark.process_group) >= 1
    assert gone(daemon)
    process.close()


def test_a_daemon_started_by_setup_survives(
    tmp_path: Path, script: Script, new_benchmark: Callable[..., Benchmark]
) -> None:
    command = script(f"({DAEMON.format(pid=tmp_path / 'daemon')}) > /dev/null 2>&1; echo m: 5")
    benchmark = new_benchmark()
    benchmark.run_once(command)
    daemon = pid_in(tmp_path / "daemon")
    try:
        assert benchmark.run("echo m: 5", "m").metric == 5.0
        assert not gone(daemon, patience=0.5)
    finally:
        os.kill(daemon, signal.SIGKILL)


def test_endless_lines_cost_no_memory(script: Script, new_benchmark: Callable[..., Benchmark]) -> None:
    command = script("head -c 200000000 /dev/zero; echo; echo m: 5")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert new_benchmark().run(command, "m").metric == 5.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB


def test_a_long_document_on_one_line_is_read(script: Script, new_benchmark: Callable[..., Benchmark]) -> None:
    command = script("""printf '{"histogram": "'; head -c 1000000 /dev/zero | tr '\\0' x; printf '", "m": 5}'""")
    assert new_benchmark().run(command, "m", output_format=Extraction(paths={"m": "m"})).metric == 5.0


@pytest.mark.takes_seconds
def test_an_endless_line_of_a_document_costs_little_memory(
    script: Script, new_benchmark: Callable[..., Benchmark]
) -> None:
    command = script("head -c 200000000 /dev/zero")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BenchmarkFailed, match="printed more than 16 MiB"):
        new_benchmark().run(command, "m", output_format=Extraction(paths={"m": "m"}))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 80_000  # kB


@pytest.mark.parametrize(
    ("text", "output_format", "message"),
    [
        (
            """printf '{\n"end": {},\n"error": "unable to connect: Connection refused"\n}\n'; exit 1""",
            "iperf3",
            "ended with exit code 1: unable to connect: Connection refused",
        ),
        (
            """echo '{"error": "the server is busy"}'; echo warning >&2; exit 1""",
            "iperf3",
            "ended with exit code 1: the server is busy",
        ),
        ("echo 'parameter error - bad option' >&2; exit 1", "iperf3", "ended with exit code 1: parameter error - bad"),
        ("echo no server; exit 2", "iperf3", "ended with exit code 2: no server"),
        ("echo '{}'; exit 2", "iperf3", "ended with exit code 2: no message"),
        ("""printf '{\n"status": "disk full"\n}\n'; exit 1""", "fio", 'ended with exit code 1: "status": "disk full"'),
    ],
)
def test_a_failing_tool_is_reported_with_its_own_error(
    text: str, output_format: OutputFormat, message: str, script: Script, new_benchmark: Callable[..., Benchmark]
) -> None:
    command = script(text)
    with pytest.raises(BenchmarkFailed) as caught:
        new_benchmark().run(command, "throughput_mbit", output_format=output_format)
    assert str(caught.value).startswith(message)


@pytest.mark.takes_seconds
def test_endless_output_costs_no_memory(script: Script, new_benchmark: Callable[..., Benchmark]) -> None:
    command = script(f"yes {'y' * 2000} | head -n 10000; yes m: 4 | head -n 30000; echo m: 5")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = new_benchmark().run(command, "m")
    assert (result.metric, len(result.streamed)) == (5.0, 9999)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


def test_binary_output_is_tolerated(script: Script, new_benchmark: Callable[..., Benchmark]) -> None:
    command = script(r"""printf '\377\376 \0 \n'; printf 'm: 5\n'; printf '\303' """)
    assert new_benchmark().run(command, "m").metric == 5.0


def test_a_last_line_without_a_newline_counts(script: Script, new_benchmark: Callable[..., Benchmark]) -> None:
    command = script("printf 'm: 5'")
    assert new_benchmark().run(command, "m").metric == 5.0


def test_output_is_streamed(
    tmp_path: Path, script: Script, new_benchmark: Callable[..., Benchmark], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script continues only after its first line was processed."""
    mark = tmp_path / "taken"
    taken = BenchmarkOutput.feed

    def take(output: BenchmarkOutput, line: str) -> None:
        taken(output, line)
        if line == "m: 1":
            mark.touch()

    monkeypatch.setattr(BenchmarkOutput, "feed", take)
    command = script(f"echo m: 1; while ! [ -e {mark} ]; do sleep 0.01; done; echo m: 2")
    assert new_benchmark().run(command, "m").streamed == [1.0]


def test_files_keep_their_folders_and_execute_permission(tmp_path: Path) -> None:
    plain, tool = tmp_path / "plain.txt", tmp_path / "tool"
    plain.write_bytes(os.urandom(300_000))
    tool.write_text("#!/bin/sh\necho m: $(wc -c < 'data/a file')\n")
    tool.chmod(0o755)
    benchmark = Benchmark(LocalTransport(), {}, 30)
    benchmark.copy([(plain, "data/a file"), (tool, "bin/tool")])
    folder = Path(benchmark._folder)
    assert (folder / "data" / "a file").read_bytes() == plain.read_bytes()
    assert {
        path.name: path.stat().st_mode & 0o777 for path in (folder / "data" / "a file", folder / "bin" / "tool")
    } == {
        "a file": 0o600,
        "tool": 0o700,
    }
    assert folder.stat().st_mode & 0o777 == 0o700
    assert benchmark.run("bin/tool", "m").metric == 300_000
    benchmark.remove()
    assert not folder.exists()
    benchmark.remove()  # a second call does nothing


def test_the_parent_of_the_folder_is_configurable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for base in ("~/a b/c", f"{tmp_path}/$x", "$HOME", "~"):
        benchmark = Benchmark(LocalTransport(), {}, 30, base)
        benchmark.copy([])
        folder = Path(benchmark._folder)
        assert str(folder.parent) == base.replace("~", "$HOME").replace("$HOME", str(tmp_path))
        assert folder.stat().st_mode & 0o777 == 0o700
        assert benchmark.run("echo m: 5", "m").metric == 5.0
        benchmark.remove()
        assert not folder.exists()
    assert (tmp_path / "a b").stat().st_mode & 0o777 == 0o700


def test_the_path_of_the_folder_contains_no_symlinks(tmp_path: Path) -> None:
    """Root, which kills what is left of the benchmark, must not follow links of another account."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    benchmark = Benchmark(LocalTransport(), {}, 30, f"{tmp_path}/link/base")
    benchmark.copy([])
    assert Path(benchmark.process_group).parents[1] == tmp_path / "real/base"
    benchmark.remove()


def test_reports_that_the_folder_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        OSError, match=rf"cannot create a private folder in {tmp_path}/file/x on the host: mkdir: .*directory"
    ):
        Benchmark(LocalTransport(), {}, 30, f"{tmp_path}/file/x").copy([])
    with pytest.raises(OSError, match="in ~root/x on the host: not an absolute path"):
        Benchmark(LocalTransport(), {}, 30, "~root/x").copy([])


def test_the_end_of_the_connection_cleans_up(
    tmp_path: Path, script: Script, new_benchmark: Callable[..., Benchmark]
) -> None:
    """Without the controller, the host only notices that the keeper's input has ended."""
    pid, daemon = tmp_path / "pid", tmp_path / "daemon"
    transport = LocalTransport()
    benchmark = Benchmark(transport, {}, 300)
    script(f"{DAEMON.format(pid=daemon)}; echo $$ > {pid}; sleep 300")
    benchmark.copy([(tmp_path / "bench.sh", "bench.sh")])
    process = transport.start(["sh", "-c", benchmark._script(["sh", "bench.sh"])])
    running, folder = pid_in(pid), Path(benchmark._folder)
    benchmark._cleanup.end_input()
    assert gone(running)
    assert gone(pid_in(daemon))
    while folder.exists():
        time.sleep(0.02)
    process.close()


@pytest.mark.parametrize("way", ["stopped", "cut off"])
def test_a_service_that_hides_its_environment_does_not_outlive_the_study(
    way: str, tmp_path: Path, script: Script, new_benchmark: Callable[..., Benchmark]
) -> None:
    """As nginx does, which writes its title over it."""
    pid = tmp_path / "daemon"
    command = script(
        f"setsid env -i sh -c 'echo $$ > {pid}; exec sleep 300' & while ! [ -s {pid} ]; do sleep 0.01; done"
    )
    benchmark = new_benchmark()
    benchmark.start_daemons(command)
    daemon = pid_in(pid)
    with subprocess.Popen(["sleep", "300"], cwd=tmp_path) as other:
        benchmark.kill_leftovers() if way == "stopped" else benchmark.remove()
        assert gone(daemon)
        assert other.poll() is None
        other.kill()


def test_a_reused_process_number_is_not_killed() -> None:
    benchmark = Benchmark(LocalTransport(), {}, 300)
    benchmark.copy([])
    folder = Path(benchmark._folder)
    with subprocess.Popen(["sleep", "300"], start_new_session=True) as other:
        (folder / "autotune-process-group").write_text(f"{other.pid} 1\n")
        benchmark._cleanup.end_input()
        while folder.exists():
            time.sleep(0.02)
        assert other.poll() is None
        other.kill()


def test_a_setup_command_needs_no_metric(script: Script, new_benchmark: Callable[..., Benchmark]) -> None:
    command = script("[ $# = 0 ] || exit 4")
    benchmark = new_benchmark()
    benchmark.run_once(command)
    with pytest.raises(BenchmarkFailed, match="ended with exit code 4"):
        benchmark.run_once(f"{command} fail")


def test_a_failing_short_command_raises_its_message() -> None:
    with pytest.raises(OSError, match=r"sh: disk full$"):
        output_of(LocalTransport(), ["sh", "-c", "echo disk full >&2; exit 1"])
    with pytest.raises(OSError, match=r"false: exit code 1$"):
        output_of(LocalTransport(), ["false"])


def test_an_error_message_is_kept_as_plain_text() -> None:
    """PostgreSQL does not accept NUL, and a terminal obeys escape sequences."""
    completed = Completed(3, "first\n\x1b]0;title\x07bo\0om", 1.0)
    assert failure(completed, BenchmarkOutput("m"), noexec=None) == r"ended with exit code 3: \x1b]0;title\x07bo\x00om"


def test_after_a_warm_up_nothing_of_it_is_left_to_end(
    script: Script, new_benchmark: Callable[..., Benchmark], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that ran it removed the process group's file of the next run otherwise, on a slow host."""
    slow = tmp_path / "bin/grep"  # it looks for what the warm-up has left
    slow.parent.mkdir()
    slow.write_text('#!/bin/sh\nsleep 0.5\nexec /usr/bin/grep "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    command = script("sleep 30")
    benchmark = new_benchmark()
    benchmark.warm_up(command, 0.5)
    assert not Path(benchmark.process_group).exists()
