from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.command_line import (
    files_named,
    script_of,
    shell_syntax,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.file import StudyFile

Read = Callable[[str], StudyFile]
Mistakes = Callable[[str], list[str]]
REST = """workload_name: w
reward_metric: m
action_space: [{param: vm.swappiness, min: 0, max: 100}]
"""


@pytest.mark.parametrize(
    ("command", "script"),
    [
        ("python3 bench.py --fast", "bench.py"),
        ("/usr/bin/python3 sub/bench.py", "sub/bench.py"),
        ("python3 -m timeit", None),
        ("python3 /opt/bench.py", None),
        ("python3 -u bench.py", "bench.py"),
        ("python3 -W ignore -Xdev -u -- bench.py", "bench.py"),
        ("python3 -Bc 'print(1)'", None),
        ("python3.12 bench.py", "bench.py"),
        ("pypy3 bench.py", "bench.py"),
        ("python3 -", None),
        ("python3", None),
        ("bash -e run.sh", "run.sh"),
        ("bash -eo pipefail run.sh", "run.sh"),
        ("bash --norc run.sh", "run.sh"),
        ("bash -ec ./run.sh", None),
        ("perl -w -I lib bench.pl", "bench.pl"),
        ("./bench -x", "./bench"),
        ("bench.sh", "bench.sh"),
        ("iperf3 -c peer.sh", None),
        ("sh -c 'echo hello/world'", None),
        ("fio jobs/random.fio", None),
        ("nice -n 5 ./bench.sh", "./bench.sh"),
        ("nice -n5 ./bench.sh", "./bench.sh"),
        ("nice -10 ./bench.sh", "./bench.sh"),
        ("env python3 bench.py", "bench.py"),
        ("env -i -u X A=1 B=c/d.sh python3 -u bench.py", "bench.py"),
        ("taskset -c 0-3 nice ./bench.sh", "./bench.sh"),
        ("timeout -k 5 30 bash -e run.sh", "run.sh"),
        ("stdbuf -oL ./bench.sh", "./bench.sh"),
        ("chrt -f 10 ./bench.sh", "./bench.sh"),
        ("ionice -c 2 -n 7 ./bench.sh", "./bench.sh"),
        ("numactl --cpunodebind=0 --membind=0 ./bench", "./bench"),
        ("nice -n 5", None),
        ("nice -n 5 iperf3 -c peer", None),
    ],
)
def test_knows_which_script_a_command_needs(command: str, script: str | None) -> None:
    assert script_of(shlex.split(command)) == script


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("perf stat -e cycles ./bench.sh lib/more.py other.py", ["./bench.sh", "other.py"]),
        ("python3 bench.py ./bench.sh http://host/x ../other.py /other.py", ["bench.py", "./bench.sh"]),
        ("iperf3 -c bench", []),
    ],
)
def test_what_is_there_and_named_is_shipped_whoever_runs_it(command: str, named: list[str]) -> None:
    there = {"bench", "./bench.sh", "other.py", "../other.py"}
    assert files_named(shlex.split(command), there.__contains__) == named


def test_scripts_behind_other_programs_reach_the_host(tmp_path: Path, read: Read) -> None:
    for name in ("bench.sh", "prepare.py", "traced.sh"):
        (tmp_path / name).write_text("")
    study = read(
        "benchmark_command: nice -n 5 ./bench.sh\nsetup: env python3 -u prepare.py\n"
        f"teardown: strace ./traced.sh\n{REST}"
    )
    assert [name for dummy, name in study.files] == ["./bench.sh", "prepare.py", "./traced.sh"]


def test_a_script_behind_another_program_that_is_missing_is_named(mistakes: Mistakes) -> None:
    (line,) = mistakes(f"benchmark_command: nice -n 5 ./gone.sh\n{REST}")
    assert line.startswith("benchmark_command: ./gone.sh is neither next to the study file nor ")


def test_a_script_outside_the_studys_folder_is_refused(tmp_path: Path, mistakes: Mistakes) -> None:
    """It would be written outside the private folder on the host as well."""
    (line,) = mistakes(f"benchmark_command: python3 ../bench.py\n{REST}")
    assert line.startswith("benchmark_command: ../bench.py is outside the study's folder")


@pytest.mark.parametrize(
    ("command", "syntax"),
    [
        ("cd x && ./bench.sh", "&&"),
        ("./bench.sh | tail -1", "|"),
        ("./bench.sh|tail -1", "|"),
        ("./bench.sh || true", "|"),
        ("./a.sh; ./b.sh", ";"),
        ("./bench.sh 2>&1", ">"),
        ("./bench.sh >/dev/null", ">"),
        ("./bench.sh < input", "<"),
        ("./serve &", "&"),
        ("iperf3 -c $AUTOTUNE_HOST", "$A"),
        ('iperf3 -c "${AUTOTUNE_HOST}"', "${"),
        ("./bench.sh $(nproc)", "$("),
        ("./bench.sh `nproc`", "`"),
        ("cd bench", "cd"),
        ("ulimit -n 65536", "ulimit"),
        ("THREADS=4 ./bench.sh", "THREADS="),
        ("sh -c 'cd x && ./bench.sh | tail -1; echo $HOME'", None),
        ("./bench.sh '$(id); *' a\\|b", None),
        ('sh bench.sh "a; b" --price 5$', None),
        ("curl http://host/?a=1&b=2", None),
        ("env THREADS=4 ./bench.sh a=b", None),
        ("find . -name '*.c'", None),
        ('sh -c "cd x && ./bench.sh $THREADS | tail -1"', None),
        ('nice -n 5 bash -eo pipefail -c "./bench.sh; echo `nproc` \\\n x"', None),
        ('sh -c "./bench.sh $THREADS" | tail -1', "|"),
        ('sh bench.sh -c "$THREADS"', "$T"),
        ('python3 -c "print(1)" "$XY"', "$X"),
        ("./prepare.sh\n./bench.sh\n", "\n"),
        ("./bench.sh \\\n  --fast", "\n"),
        ("./bench.sh --fast\n", None),
        ("sh -c 'cd x\n./bench.sh'", None),
        ("./bench.sh # fast", "#"),
        ("./bench.sh a#b '# c'", None),
    ],
)
def test_knows_what_only_a_shell_understands(command: str, syntax: str | None) -> None:
    assert shell_syntax(command) == syntax


def test_a_command_for_a_shell_is_refused_with_what_to_do(mistakes: Mistakes) -> None:
    for key in ("benchmark_command", "setup", "teardown"):
        rest = REST if key == "benchmark_command" else f"benchmark_command: iperf3\n{REST}"
        (line,) = mistakes(f"{key}: cd x && iperf3\n{rest}")
        assert line.startswith(f"{key}: contains `&&`, but commands run without a shell")
        assert "put it into a script" in line
    (line,) = mistakes(f"benchmark_command: THREADS=4 ./bench\n{REST}")
    assert "contains `THREADS=`" in line
    assert "set variables in `environment`" in line
    (line,) = mistakes(f"benchmark_command: iperf3\nguard: {{health_command: pgrep x | wc -l}}\n{REST}")
    assert line.startswith("guard: health_command: contains `|`")
