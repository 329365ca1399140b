"""No study file, whatever is in it, ends in a traceback, takes long or reaches the terminal as more than plain text."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.file import StudyError, StudyFile, read_study
from hypothesis import given, settings
from hypothesis import strategies as st

HEAD = "workload_name: small\nreward_metric: throughput\nbenchmark_command: python3 bench.py\n"
RIGHT = HEAD + "action_space:\n  - {param: vm.swappiness, min: 0, max: 100}\n"
FULL: dict[str, Any] = {
    "workload_name": "small",
    "reward_metric": "throughput",
    "benchmark_command": "python3 bench.py",
    "parameters": ["preset:memory"],
    "action_space": [
        {"param": "vm.swappiness", "min": 0, "max": 100, "log": False, "step": 10, "optional": True},
        {"param": "net.ipv4.tcp_congestion_control", "choices": ["cubic", "bbr"]},
        {
            "param": "net.ipv4.tcp_rmem",
            "elements": [{"value": 4096}, {"value": 131072}, {"min": 131072, "max": 1048576}],
        },
        {"param": "net.ipv4.tcp_sack", "type": "bool", "description": "selective acknowledgements"},
    ],
    "constraints": ["vm.swappiness <= 50"],
    "allow_unsafe": ["vm.overcommit_memory"],
    "state_space": [{"metric": "cpu_usage"}],
    "files": ["bench.py"],
    "environment": {"A": "b"},
    "objectives": [{"metric": "p99", "direction": "minimise", "weight": 0.5}],
    "guard": {"oom_kills": False, "health_command": "true"},
    "training_config": {"total_timesteps": 10, "seed": 1},
    "verification": {"pairs": 10},
    "guard_metrics": [{"metric": "p99", "direction": "minimise", "may_worsen": 2}],
    "early_stopping": True,
    "warm_start": ["wan", 12],
}
MOST_CALLS = 3_000_000  # of a study of 200 kB, a second or two
LONGEST_MESSAGE = 30_000

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**30, 10**60)
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.sampled_from(
        ["vm.swappiness", "preset:memory", "vm.x < vm.y", "\x1b]0;title\x07", "\ud800", "a" * 300, "\0", "'"]
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*FULL, "param", "min", "max", "type"]) | st.text(), inner, max_size=4)
    ),
    max_leaves=10,
)


def tried(folder: Path, content: bytes, name: str) -> tuple[StudyFile | str, int]:
    """What came of a file, the study or the message, and how many calls of functions that took."""
    (folder / "bench.py").touch()
    path = folder / name
    path.write_bytes(content)
    calls = 0

    def count(dummy_frame: object, event: str, dummy_argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        return read_study(path, folder), calls
    except StudyError as error:
        return str(error), calls
    finally:
        sys.setprofile(before)


def check(folder: Path, content: bytes, name: str = "study.yml") -> str:
    """Reads it as a hostile file; returns the message, empty where it is a right study."""
    outcome, calls = tried(folder, content, name)
    assert calls < MOST_CALLS
    shown = "\n".join(outcome.notices) if isinstance(outcome, StudyFile) else outcome
    assert len(shown) < LONGEST_MESSAGE
    assert all(line.isprintable() for line in shown.split("\n"))
    if isinstance(outcome, StudyFile):
        json.dumps(outcome.study.model_dump(mode="json")).encode()
        return ""
    return outcome


def many(count: int, text: str, between: str = ", ") -> str:
    return between.join(text.replace("#", str(number)) for number in range(count))


@pytest.mark.takes_seconds
@pytest.mark.parametrize(
    "more",
    [
        r'constraints: ["\ud800"]',
        r'files: ["\ud800"]',
        r'run_on: "\ud800"',
        r'environment: {"A\ud800": "\udc80"}',
        r'"\ud800": 1',
        r'"\e]0;title\a": 1',
        r'constraints: ["\e]0;title\a"]',
        r'environment: {"\e]0;title\a": 1}',
        r'setup: "sh a\0.sh"',
        f"files: [{'a' * 100_000}]",
        f"files: [{'a' * 5_000}]",
        f"setup: sh {'a' * 5_000}.sh",
        many(4_990, "k#: 1", "\n"),
        many(60_000, "k#", ":\n"),
        many(90_000, "#", "- "),
        "a: '" + "x\n " * 10_000 + "'",
        "run_on: " + "{a: " * 200 + "1" + "}" * 200,
        "run_on: " + many(60_000, "a:", " "),
        "baseline_trials: " + "9" * 5_000,
        "baseline_trials: 0x" + "9" * 100_000,
        "baseline_trials: !!int {a: 1}",
        "baseline_trials: !!int ''",
        "baseline_trials: !!float ''",
        "baseline_trials: !!bool zzz",
        "run_on: !!timestamp x",
        "run_on: !!binary x",
        "run_on: !!set {a}",
        "run_on: 2001-99-99",
        "run_on: {2001-01-01: 5}",
        "2001-01-01: 5",
        "<<: 5",
        "constraints: ['vm.swappiness[" + "9" * 5_000 + "] <= 5']",
        "constraints: ['vm.swappiness <= " + "9" * 5_000 + "']",
    ],
    ids=lambda more: more[:25],
)
def test_hostile_keys_are_refused_in_few_words(more: str, tmp_path: Path) -> None:
    assert check(tmp_path, f"{RIGHT}{more}\n".encode())


@pytest.mark.takes_seconds
@pytest.mark.parametrize("more", ["#\n" * 95_000, "\n" * 190_000, " " * 190_000], ids=["comments", "lines", "blanks"])
def test_much_nothing_is_no_mistake(more: str, tmp_path: Path) -> None:
    assert check(tmp_path, f"{RIGHT}{more}".encode()) == ""


@pytest.mark.takes_seconds
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("files", [f"{'a' * 200}{number}" for number in range(900)]),
        ("files", ["bench.py"] * 9_900),
        ("constraints", [f"c{number}" for number in range(9_900)]),
        ("constraints", [f"vm.swappiness <= {number}" for number in range(-100, 100)]),
        ("environment", dict.fromkeys(map(str, range(9_900)), 1)),
        ("allow_unsafe", [f"vm.f{number}" for number in range(9_900)]),
        ("parameters", ["preset:memory"] * 9_900),
        ("parameters", [f"preset:nope{number}" for number in range(9_900)]),
        ("objectives", [{"metric": f"m{number}"} for number in range(4_900)]),
        ("guard_metrics", [{"metric": "m", "direction": "minimise", "may_worsen": 5}] * 2_400),
        ("state_space", [{"metric": f"m{number}"} for number in range(4_900)]),
        ("warm_start", [f"m{number}" for number in range(9_900)]),
        ("action_space", [{"param": f"vm.x{number}"} for number in range(4_900)]),
        ("action_space", [{"param": f"vm.x{number}", "min": 0, "max": 9} for number in range(2_400)]),
        ("action_space", [{"param": "vm.swappiness", "min": 0, "max": 9}] * 200),
        ("action_space", [{"param": "vm.swappiness", "choices": list(range(9_900))}]),
        ("action_space", [{"param": "kernel.sem", "elements": [{"min": 0, "max": 9}] * 3_000}]),
        ("action_space", [{"param": "vm.x", "min": 0, "max": 9, **dict.fromkeys(map(str, range(9_900)))}]),
        ("action_space", [{"param": "vm." * 3_000 + "x", "min": 0, "max": 1}]),
        ("action_space", [{"param": "vm.x", "min": 0, "max": 1, "type": ["a"]}]),
        ("action_space", [{"param": "vm.x", "type": "\x1b]0;title\x07"}]),
        ("reward_metric", "m" * 9_000),
        ("workload_name", "m" * 9_000),
        ("k" * 9_000, 1),
    ],
    ids=lambda value: str(value)[:30],
)
def test_hostile_values_are_refused_in_few_words(key: str, value: object, tmp_path: Path) -> None:
    simple = {name: FULL[name] for name in ("workload_name", "reward_metric", "benchmark_command", "action_space")}
    assert check(tmp_path, json.dumps({**simple, key: value}).encode(), "study.json")


def test_of_long_keys_that_begin_alike_each_is_looked_at(tmp_path: Path) -> None:
    simple = {name: FULL[name] for name in ("workload_name", "reward_metric", "benchmark_command", "action_space")}
    environment = {f"{'A' * 300}{end}": value for end, value in (("1", "\x07"), ("2", "fine"))}
    found = check(tmp_path, json.dumps({**simple, "environment": environment}).encode(), "study.json")
    assert "contains the control character" in found


@pytest.mark.takes_seconds
def test_a_circle_of_constraints_is_given_up_on(tmp_path: Path) -> None:
    element = {"min": 0, "max": 2**64 - 1}
    space = [{"param": f"vm.x{number}", "elements": [element] * 32} for number in range(90)]
    study = {**FULL, "parameters": [], "action_space": space, "constraints": ["vm.x0 < vm.x1", "vm.x1 < vm.x0"]}
    assert "contradict each other" in check(tmp_path, json.dumps(study).encode(), "study.json")


@pytest.mark.parametrize(
    "text",
    [
        "{" + many(14_000, '"k#": 1') + "}",
        '{"a": ' + "9" * 5_000 + "}",
        '{"a": ' + "9" * 60 + "}",
        '{"a": "\\ud800"}',
        '{"a": ' + "[" * 900 + "]" * 900 + "}",
        '{"a": [' + many(60_000, "1", ",") + "]}",
        '{"a": NaN, "b": Infinity}',
    ],
    ids=lambda text: text[:25],
)
def test_hostile_json_is_refused_in_few_words(text: str, tmp_path: Path) -> None:
    assert check(tmp_path, text.encode(), "study.json")


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "a" * 300, "\x1b]0;title\x07"])
def test_a_study_with_a_hostile_name_is_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError) as caught:
        read_study(tmp_path / name, tmp_path)
    assert str(caught.value).replace("\n", "").isprintable()


def test_a_message_names_the_first_mistakes_and_counts_the_others(mistakes: Callable[[str], list[str]]) -> None:
    found = mistakes(RIGHT + many(1_000, "k#: 1", "\n"))
    assert found[0] == "k0: unknown key"
    assert found[50:] == ["... and 950 more"]


@settings(max_examples=40)
@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: f"{RIGHT}{text}".encode()))
def test_no_bytes_whatever_end_in_a_traceback(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check(Path(folder), content)


@st.composite
def bent(draw: st.DrawFn) -> Any:
    """A right study with something else in one or two places of it."""
    study = json.loads(json.dumps(FULL))
    for dummy in range(draw(st.integers(1, 2))):
        place: Any = study
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys)) if keys else None
            if key is None or not isinstance(place[key], dict | list) or draw(st.booleans()):
                break
            place = place[key]
        if isinstance(place, dict):
            place[draw(st.text(max_size=5)) if key is None else key] = draw(JSON)
        elif key is not None:
            place[key] = draw(JSON)
    return study


@pytest.mark.takes_seconds
@settings(max_examples=100)
@given(bent() | JSON)
def test_no_content_whatever_ends_in_a_traceback(content: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check(Path(folder), json.dumps(content).encode(), "study.json")


def test_a_right_study_is_taken(tmp_path: Path) -> None:
    assert check(tmp_path, json.dumps(FULL).encode(), "study.json") == ""
