from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.file import StudyError, StudyFile, read_study

HEAD = "workload_name: small\nreward_metric: throughput\nbenchmark_command: python3 bench.py\n"
RIGHT = HEAD + "action_space:\n  - {param: vm.swappiness, min: 0, max: 100}\n"

Read = Callable[[str], StudyFile]
Mistakes = Callable[[str], list[str]]

# As issue 2 has it.
ISSUE = """\
{"workload_name": "my-workload", "reward_metric": "operations_per_second", "benchmark_command": \
"python3 benchmarks/my_benchmark.py",
     "action_space": [{"param": "vm.swappiness", "min": 0, "max": 100, "type": "int", "description": "..."}],
     "state_space": [{"metric": "cpu_usage", "description": "..."}, {"metric": "memory_used_percent", "description": \
"..."}],
     "training_config": {"total_timesteps": 200, "n_steps": 64, "batch_size": 32, "n_epochs": 5, "learning_rate": 0.001,
 "gamma": 0.95,
     "benchmark_timeout": 15, "max_steps_per_episode": 10, "verbose": false}}
"""


@pytest.mark.parametrize("name", ["study.json", "study.yml"])
def test_the_json_form_works_as_it_is(name: str, tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "my_benchmark.py").write_text("")
    (tmp_path / name).write_text(ISSUE)
    read = read_study(tmp_path / name, tmp_path)
    assert read.study.workload_name == "my-workload"
    assert read.study.space.parameters == ["vm.swappiness"]
    assert [state.metric for state in read.study.state_space] == ["cpu_usage", "memory_used_percent"]
    given = json.loads(ISSUE)["training_config"]
    assert {key: getattr(read.study.training_config, key) for key in given} == given
    assert read.files == [(tmp_path / "benchmarks" / "my_benchmark.py", "benchmarks/my_benchmark.py")]


def test_a_study_survives_the_way_to_the_trainer(read: Read) -> None:
    study = read(RIGHT + "constraints: [vm.swappiness <= 50]\nverification: {pairs: 4}\n").study
    sent = json.loads(json.dumps(study.model_dump(mode="json", exclude_none=True)))
    assert type(study).model_validate(sent) == study


@pytest.mark.takes_seconds
@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        pytest.param("", "the file is empty", id="empty"),
        pytest.param("# nothing yet\n", "the file is empty", id="comment"),
        pytest.param("- a\n- b\n", "the top level must be a mapping of keys to values", id="a list"),
        pytest.param("a: [b\n", "line 2, column 1: expected ',' or ']', but got '<stream end>'", id="no YAML"),
        pytest.param("a:\n\t- b\n", "line 2, column 1: YAML does not allow a tab here; indent with spaces", id="tab"),
        pytest.param(RIGHT + "reward_metric: x\n", "line 6, column 1: duplicate key 'reward_metric'", id="twice"),
        pytest.param('{"a": 1, "a": 2}', "duplicate key 'a'", id="twice in JSON"),
        pytest.param('{"a": }', "line 1, column 7: Expecting value", id="no JSON"),
        pytest.param(
            RIGHT + "run_on: !!python/object/apply:os.getcwd []\n",
            "line 6, column 9: could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/object/apply:os.getcwd'",
            id="Python object",
        ),
        pytest.param(
            "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
            "line 2, column 8: aliases (*name) are not allowed in a study",
            id="billion laughs",
        ),
        pytest.param(RIGHT + "? [a, b]\n: c\n", "line 6, column 3: a key must be a single word", id="list as key"),
        pytest.param("[" * 100_000, "nested more than 20 levels deep", id="deep YAML"),
        pytest.param('{"a": ' + "[" * 100_000, "nested more than 20 levels deep", id="deep JSON"),
        pytest.param(RIGHT + "---\na: 1\n", "line 6, column 1: but found another document", id="two documents"),
        pytest.param("a: \0\n", "unacceptable character #x0000: special characters are not allowed", id="NUL"),
        pytest.param("#" * 200_001, "larger than 200000 bytes; shorten the study", id="huge"),
    ],
)
def test_refuses_what_is_no_study(text: str, mistake: str, mistakes: Mistakes) -> None:
    assert mistakes(text) == [mistake]


@pytest.mark.parametrize(
    ("make", "mistake"),
    [
        (lambda path: None, "cannot be read: No such file or directory"),
        (lambda path: path.mkdir(), "not a regular file; give the path of a YAML or JSON file"),
        (lambda path: os.mkfifo(path), "not a regular file; give the path of a YAML or JSON file"),
        (lambda path: path.write_bytes(RIGHT.encode("utf-16")), "not UTF-8 text: invalid start byte at byte 0"),
        (lambda path: path.symlink_to(path), "cannot be read: Too many levels of symbolic links"),
    ],
    ids=["nothing", "folder", "fifo", "UTF-16", "circle"],
)
def test_refuses_what_is_no_text_file(make: Callable[[Path], object], mistake: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yml"
    make(path)
    with pytest.raises(StudyError) as caught:
        read_study(path, tmp_path)
    assert caught.value.errors == [mistake]


@pytest.mark.parametrize("prefix", ["", "\ufeff"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_reads_what_windows_writes(prefix: str, newline: str, read: Read) -> None:
    assert read(prefix + RIGHT.replace("\n", newline)).study.reward_metric == "throughput"


def test_reads_json_of_windows_too(tmp_path: Path) -> None:
    (tmp_path / "bench.py").touch()
    (tmp_path / "study.json").write_text("\ufeff" + json.dumps(yaml.safe_load(RIGHT)))
    assert read_study(tmp_path / "study.json", tmp_path).study.reward_metric == "throughput"


def test_tells_every_mistake_at_once(mistakes: Mistakes) -> None:
    text = """\
workload_name: Big Study
reward_metrc: x
action_space:
  - {param: vm.swappiness, min: 5, max: 1}
  - {param: kernel.core_pattern, min: 0, max: 1}
training_config: {total_timesteps: 0, benchmark_timeout: -1}
"""
    assert [line.partition(": ")[0] for line in mistakes(text)] == [
        "workload_name",
        "reward_metric",
        "action_space[0]",
        "action_space[1].param",
        "benchmark_command",
        "training_config.total_timesteps",
        "training_config.benchmark_timeout",
        "reward_metrc",
    ]


def test_the_message_names_the_file_and_says_that_nothing_was_touched(tmp_path: Path) -> None:
    with pytest.raises(StudyError) as caught:
        read_study(tmp_path / "gone.yml", tmp_path)
    first, *rest = str(caught.value).splitlines()
    assert first == f"{tmp_path / 'gone.yml'}: 1 error in the study; no host was touched:"
    assert rest == ["  - cannot be read: No such file or directory"]


def test_jinja_stays_text(read: Read) -> None:
    text = "{{ lookup('pipe', 'touch /tmp/never') }}"
    study = read(f'{RIGHT}environment: {{A: "{text}"}}\nrun_on: "{text}"\n').study
    assert (study.environment, study.run_on) == ({"A": text}, text)


def test_finds_files_beside_the_study_first_and_then_in_the_current_folder(tmp_path: Path) -> None:
    beside, here = tmp_path / "beside", tmp_path / "here"
    for name in ("beside/bench.py", "beside/both.txt", "here/both.txt", "here/only.txt", "here/sub/setup.sh"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (beside / "study.yml").write_text(RIGHT + "files: [both.txt, only.txt]\nsetup: sh sub/setup.sh\n")
    assert read_study(beside / "study.yml", here).files == [
        (beside / "bench.py", "bench.py"),
        (here / "sub/setup.sh", "sub/setup.sh"),
        (beside / "both.txt", "both.txt"),
        (here / "only.txt", "only.txt"),
    ]


def test_a_study_that_anybody_can_change_is_told(folder: Path) -> None:
    path = folder / "study.yml"
    path.write_text(RIGHT)
    path.chmod(0o664)
    assert read_study(path, folder).notices == []
    path.chmod(0o666)
    assert read_study(path, folder).notices == [
        f"{path} is writable for everyone, and its commands run on the hosts: chmod o-w it"
    ]


def test_a_link_to_a_study_is_as_good_as_the_study(folder: Path) -> None:
    (folder / "study.yml").write_text(RIGHT)
    (folder / "link.yml").symlink_to("study.yml")
    assert read_study(folder / "link.yml", folder).study == read_study(folder / "study.yml", folder).study


@pytest.mark.parametrize(
    "text",
    [
        RIGHT.replace("throughput", "throughput\t"),
        RIGHT.replace("workload_name: ", "workload_name:\t"),
        RIGHT.replace("vm.swappiness,", "\tvm.swappiness\t,\t"),
        RIGHT.replace("{param", "{\n\tparam"),
        RIGHT.replace("- {", "-\t{"),
        RIGHT + "\t\n",
        RIGHT + "\t# note\n",
        RIGHT + "run_on: host\t# note\n",
        RIGHT + "constraints: [vm.swappiness\t<=\t50]\n",
    ],
    ids=repr,
)
def test_tabs_are_taken_where_they_only_separate(text: str, read: Read) -> None:
    assert read(text).study.space.parameters == ["vm.swappiness"]


def test_a_value_pasted_from_sysctl_may_have_tabs(read: Read) -> None:
    study = read(
        HEAD + "action_space: [{param: net.ipv4.tcp_wmem, choices: [4096\t16384\t4194304, '4096\t16384\t99999']}]\n"
    )
    (parameter,) = study.study.action_space
    assert parameter.extremes() == ["4096 16384 4194304", "4096 16384 99999"]
    assert parameter.axes()[0].choices == ("4096 16384 4194304", "4096 16384 99999")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (RIGHT.replace("  - {", "\t- {"), "line 5, column 1"),
        (RIGHT.replace("  - {param: vm.swappiness, min: 0, max: 100}", "  -\tparam: vm.x\n"), "line 5, column 4"),
        ("training_config:\n \ttotal_timesteps: 5\n", "line 2, column 2"),
    ],
    ids=["list", "mapping in a list", "mapping"],
)
def test_a_tab_that_indents_is_named(text: str, place: str, mistakes: Mistakes) -> None:
    assert mistakes(text) == [f"{place}: YAML does not allow a tab here; indent with spaces"]
