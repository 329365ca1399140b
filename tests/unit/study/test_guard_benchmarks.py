"""Guard benchmarks in a study file: what they take from another study, and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.compatibility import differences
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.file import StudyFile

Read = Callable[[str], StudyFile]
Mistakes = Callable[[str], list[str]]

OTHER = """\
workload_name: receive
reward_metric: seconds
direction: minimise
objectives: [{metric: p99, direction: minimise}]
benchmark_command: python3 receive.py
environment: {THREADS: "4"}
files: [corpus.txt]
run_on: generator
between: python3 receive.py --empty
guard: {io_pressure: off}
parameters: [preset:that-does-not-matter-here]
training_config: {benchmark_timeout: 9, total_timesteps: 5}
guard_benchmarks: [{study: ../small/study.yml, may_worsen: 3}]
"""


@pytest.fixture
def other(folder: Path) -> Path:
    """The folder of another study, below that of the small one, which has only its own files."""
    path = folder / "receive"
    path.mkdir()
    (path / "study.yml").write_text(OTHER)
    (path / "receive.py").write_text("print('seconds: 1')\n")
    (path / "corpus.txt").write_text("words\n")
    return path


def test_a_guard_study_says_how_its_benchmark_runs(study_with: Read, other: Path) -> None:
    read = study_with("guard_benchmarks: [{study: receive/study.yml, may_worsen: 3}]")
    (guard,) = read.study.guard_benchmarks
    assert (guard.name, guard.metric, guard.direction, guard.may_worsen) == ("receive", "seconds", "minimise", 3)
    assert (guard.benchmark_command, guard.benchmark_timeout) == ("python3 receive.py", 9)
    assert (guard.environment, guard.run_on, guard.pairs) == ({"THREADS": "4"}, "generator", None)
    assert guard.between == "python3 receive.py --empty"
    assert [objective.metric for objective in guard.objectives] == ["p99"]
    assert guard.guard is not None
    assert guard.guard.io_pressure is None
    assert read.guard_files == {
        "receive": [(other / "receive.py", "receive.py"), (other / "corpus.txt", "corpus.txt")],
    }
    assert [name for dummy, name in read.files] == ["bench.py"]
    assert read.study.longest_timeout == 60


def test_keys_beside_the_guard_study_take_precedence(study_with: Read, other: Path) -> None:
    read = study_with(
        "guard_benchmarks: [{study: receive/study.yml, may_worsen: 3, name: short, pairs: 8, benchmark_timeout: 99,"
        " benchmark_command: python3 receive.py --seconds 3}]"
    )
    (guard,) = read.study.guard_benchmarks
    assert (guard.name, guard.benchmark_command) == ("short", "python3 receive.py --seconds 3")
    assert (read.study.guard_rounds(guard, 2), read.study.longest_timeout) == (4, 99)
    assert read.study.trials_by_phase(2)["guard"] == 2 * 4 * 2


def test_a_command_and_its_metric_need_no_study_of_their_own(study_with: Read) -> None:
    read = study_with("guard_benchmarks: [{benchmark_command: python3 bench.py, metric: p99_ms, may_worsen: 5}]")
    (guard,) = read.study.guard_benchmarks
    assert (guard.name, guard.direction, guard.guard) == ("p99_ms", "maximise", None)
    assert read.guard_files["p99_ms"] == [(path, name) for path, name in read.files if name == "bench.py"]
    assert read.study.workload("p99_ms") is guard
    assert read.study.workload(None) is read.study


def test_guard_benchmarks_survive_the_way_to_the_trainer(study_with: Read, other: Path) -> None:
    study = study_with("guard_benchmarks: [{study: receive/study.yml, may_worsen: 3}]").study
    sent = json.loads(json.dumps(study.model_dump(mode="json", exclude_none=True)))
    assert type(study).model_validate(sent) == study


def test_a_changed_guard_benchmark_cannot_be_resumed(study_with: Read, other: Path) -> None:
    then = study_with("guard_benchmarks: [{study: receive/study.yml, may_worsen: 3}]").study
    (other / "study.yml").write_text(OTHER.replace("THREADS", "WORKERS"))
    assert differences(then, study_with("guard_benchmarks: [{study: receive/study.yml, may_worsen: 3}]").study) == []
    now = study_with("guard_benchmarks: [{study: receive/study.yml, may_worsen: 9}]").study
    assert differences(then, now) == ["guard_benchmarks of receive may_worsen was 3.0 and is 9.0"]


@pytest.mark.parametrize(
    ("entry", "mistake"),
    [
        pytest.param(
            "{study: elsewhere/study.yml, may_worsen: 3}",
            "guard_benchmarks[0]: elsewhere/study.yml: cannot be read: No such file or directory",
            id="no file",
        ),
        pytest.param(
            "{study: study.yml, may_worsen: 3}",
            "guard_benchmarks[0]: study.yml is this study itself; name another workload's",
            id="itself",
        ),
        pytest.param(
            "{study: receive/corpus.txt, may_worsen: 3}",
            "guard_benchmarks[0]: receive/corpus.txt: the top level must be a mapping of keys to values",
            id="no study",
        ),
        pytest.param(
            "{study: receive/study.yml}", "guard_benchmarks[0].may_worsen: required, but missing", id="no limit"
        ),
        pytest.param(
            "{benchmark_command: python3 receive.py, metric: x, may_worsen: 3}",
            "guard_benchmarks[0].benchmark_command: receive.py is neither next to the study file nor in the current "
            "folder",
            id="no script",
        ),
        pytest.param(
            "{benchmark_command: python3 bench.py | tail, metric: x, may_worsen: 3}",
            "guard_benchmarks[0].benchmark_command: contains `|`, but commands run without a shell: put it into a "
            "script, or quote what is literal",
            id="shell",
        ),
        pytest.param(
            "{benchmark_command: python3 bench.py, metric: small, may_worsen: 3}",
            "guard_benchmarks: small names two workloads, this study's included; give the guard benchmark a `name`",
            id="name",
        ),
        pytest.param(
            "{study: receive/study.yml, may_worsens: 3}",
            "guard_benchmarks[0].may_worsens: unknown key; did you mean may_worsen?",
            id="misspelt",
        ),
        pytest.param(
            "{benchmark_command: python3 bench.py, metric: x, may_worsen: 3, stop: 'true'}",
            "guard_benchmarks[0].stop: stops what a command `start` has started, and there is none; give `start` too, "
            "or stop in `teardown` what `setup` started",
            id="stop alone",
        ),
        pytest.param(
            "{benchmark_command: python3 bench.py, metric: x, may_worsen: 3, output: {paths: {y: a}}}",
            "guard_benchmarks[0].output: does not say where x is, only y",
            id="no path",
        ),
    ],
)
def test_a_mistake_is_one_line(entry: str, mistake: str, mistakes_with: Mistakes, other: Path) -> None:
    assert mistake in mistakes_with(f"guard_benchmarks: [{entry}]")


def test_a_guard_study_that_is_a_loop_of_links_is_one_line(mistakes_with: Mistakes, folder: Path) -> None:
    (folder / "loop.yml").symlink_to("loop.yml")
    assert mistakes_with("guard_benchmarks: [{study: loop.yml, may_worsen: 3}]") == [
        "guard_benchmarks[0]: loop.yml: cannot be read: Too many levels of symbolic links"
    ]


def test_a_link_to_this_study_is_this_study(mistakes_with: Mistakes, folder: Path) -> None:
    (folder / "link.yml").symlink_to("study.yml")
    assert mistakes_with("guard_benchmarks: [{study: link.yml, may_worsen: 3}]") == [
        "guard_benchmarks[0]: link.yml is this study itself; name another workload's"
    ]


def test_a_guard_study_that_anyone_may_write_is_reported(study_with: Read, other: Path) -> None:
    (other / "study.yml").chmod(0o666)
    (notice,) = study_with("guard_benchmarks: [{study: receive/study.yml, may_worsen: 3}]").notices
    assert notice.startswith(f"{other / 'study.yml'} is writable for everyone")
