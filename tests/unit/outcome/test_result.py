"""result.json: what is accepted, what is refused and in which words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.result import Result, ResultError, read, write


def _put(folder: Path, raw: object) -> Path:
    (folder / "result.json").write_text(raw if isinstance(raw, str) else json.dumps(raw), encoding="utf-8")
    return folder


def test_what_is_written_is_read_again(tmp_path: Path, improved: dict[str, Any]) -> None:
    result = Result.model_validate(improved)
    path = write(tmp_path / "learned" / "wan", result)
    assert read(path.parent) == result
    written = json.loads(path.read_text())
    assert {name: written[name] for name in improved if name != "per_host"} == {
        name: value for name, value in improved.items() if name != "per_host"
    }
    assert [p.name for p in path.parent.iterdir()] == ["result.json"]


def test_keeps_the_kinds_of_values(tmp_path: Path, improved: dict[str, Any]) -> None:
    improved["best_config"] = {"vm.a": 1, "vm.b": "1", "vm.c": 1.5}
    values = read(_put(tmp_path, improved)).best_config
    assert values == {"vm.a": 1, "vm.b": "1", "vm.c": 1.5}
    assert [type(value) for value in (values or {}).values()] == [int, str, float]


def test_a_study_that_failed_needs_no_figures(tmp_path: Path) -> None:
    result = read(_put(tmp_path, {"format": 1, "workload_name": "wan", "verdict": "failed", "metric": "ops"}))
    assert not result.improved
    assert result.changes == ()


def test_takes_nothing_away_when_writing_fails(
    tmp_path: Path, improved: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, Result.model_validate(improved))
    before = (tmp_path / "result.json").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path, Result.model_validate({**improved, "seed": 8}))
    assert (tmp_path / "result.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_names_the_role_and_the_drop_in(improved: dict[str, Any]) -> None:
    result = Result.model_validate(improved)
    assert (result.role, result.persist) == ("wan_transfer", "autotune-wan-transfer")


def test_allows_only_the_denied_parameters_that_were_learned(improved: dict[str, Any]) -> None:
    improved["study"] = {"allow_unsafe": ["vm.swappiness", "kernel.sysrq", 5]}
    assert Result.model_validate(improved).allow_unsafe == ["vm.swappiness"]


@pytest.mark.parametrize(
    ("bend", "says"),
    [
        ({"format": 2}, "format"),
        ({"verdict": "splendid"}, "verdict"),
        ({"workload_name": "../etc"}, "workload_name"),
        ({"workload_name": "wan\nhosts: all"}, "workload_name"),
        ({"improvement": None}, "'improved', but improvement is missing"),
        ({"best_config": {}}, "'improved', but best_config is missing"),
        ({"best_config": {"vm.swappiness": True}}, "best_config.vm.swappiness"),
        (
            {"best_config": {"vm.swappiness": "{{ lookup('pipe', 'id') }}"}},
            "is not a valid value",
        ),
        ({"best_config": {"vm.swappiness": "{% raw %}"}}, "is not a valid value"),
        ({"best_config": {"vm.swappiness": "1\n2"}}, "is not a valid value"),
        ({"best_config": {"vm.swappiness": "1\u20282"}}, "is not a valid value"),
        ({"best_config": {"net/../../etc/passwd": 1}}, "is not a kernel parameter"),
        ({"best_config": {"swappiness": 1}}, "is not a kernel parameter"),
        ({"best_config": {"vm.a: 1 #": 1}}, "is not a kernel parameter"),
        ({"best_config": {"{{ vm.a }}": 1}}, "is not a kernel parameter"),
        ({"evidence": [{"host": "h1"}]}, "evidence.0.pair"),
    ],
)
def test_says_in_one_line_what_is_wrong(
    tmp_path: Path, improved: dict[str, Any], bend: dict[str, Any], says: str
) -> None:
    with pytest.raises(ResultError) as caught:
        read(_put(tmp_path, improved | bend))
    message = str(caught.value)
    assert says in message
    assert str(tmp_path / "result.json") in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[]", "is not a valid result"),
        ("[" * 100_000, "is not JSON"),
        ('{"pairs": NaN}', "is not a valid result"),
    ],
)
def test_refuses_what_is_no_result(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ResultError, match=says):
        read(_put(tmp_path, text))


def test_refuses_not_a_number(tmp_path: Path, improved: dict[str, Any]) -> None:
    with pytest.raises(ResultError, match="improvement"):
        read(_put(tmp_path, json.dumps(improved | {"improvement": float("nan")})))


def test_says_where_a_result_should_have_been(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"result\.json does not exist: name the folder"):
        read(tmp_path)
