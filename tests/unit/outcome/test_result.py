"""result.json: what is accepted, and the errors for what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.result import Result, ResultError, read, write


def _put(folder: Path, raw: object) -> Path:
    (folder / "result.json").write_text(raw if isinstance(raw, str) else json.dumps(raw), encoding="utf-8")
    return folder


def test_reads_what_was_written(tmp_path: Path, improved: dict[str, Any]) -> None:
    result = Result.model_validate(improved)
    path = write(tmp_path / "learned" / "wan", result)
    assert read(path.parent) == result
    written = json.loads(path.read_text())
    assert {name: written[name] for name in improved if name != "per_host"} == {
        name: value for name, value in improved.items() if name != "per_host"
    }
    assert [p.name for p in path.parent.iterdir()] == ["result.json"]


def test_preserves_the_types_of_values(tmp_path: Path, improved: dict[str, Any]) -> None:
    improved["best_config"] = {"vm.a": 1, "vm.b": "1", "vm.c": 1.5}
    values = read(_put(tmp_path, improved)).best_config
    assert values == {"vm.a": 1, "vm.b": "1", "vm.c": 1.5}
    assert [type(value) for value in (values or {}).values()] == [int, str, float]


def test_a_failed_study_needs_no_numbers(tmp_path: Path) -> None:
    result = read(_put(tmp_path, {"format": 2, "workload_name": "wan", "verdict": "failed", "metric": "ops"}))
    assert not result.improved
    assert result.changes == ()


def test_a_failed_write_keeps_the_old_result(
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


def test_derives_the_names_of_role_and_drop_in(improved: dict[str, Any]) -> None:
    result = Result.model_validate(improved)
    assert (result.role, result.persist) == ("wan_transfer", "autotune-wan-transfer")


def test_allows_only_learned_parameters_of_the_denylist(improved: dict[str, Any]) -> None:
    improved["study"] = {"allow_unsafe": ["vm.swappiness", "kernel.sysrq", 5]}
    assert Result.model_validate(improved).allow_unsafe == ["vm.swappiness"]


@pytest.mark.parametrize(
    ("bend", "says"),
    [
        ({"format": 1}, "format"),
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
        ({"best_config": {"net/../../etc/passwd": 1}}, "is not the name of a kernel parameter"),
        ({"best_config": {"swappiness": 1}}, "is not the name of a kernel parameter"),
        ({"best_config": {"vm.a: 1 #": 1}}, "is not the name of a kernel parameter"),
        ({"best_config": {"{{ vm.a }}": 1}}, "is not the name of a kernel parameter"),
        ({"evidence": [{"host": "h1"}]}, "evidence.0.pair"),
    ],
)
def test_explains_in_one_line_what_is_wrong(
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
def test_refuses_anything_but_a_result(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ResultError, match=says):
        read(_put(tmp_path, text))


def test_refuses_nan(tmp_path: Path, improved: dict[str, Any]) -> None:
    with pytest.raises(ResultError, match="improvement"):
        read(_put(tmp_path, json.dumps(improved | {"improvement": float("nan")})))


def test_names_the_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"result\.json does not exist: name the folder"):
        read(tmp_path)
