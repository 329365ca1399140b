from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.modules.sysctl import main

Call = Callable[..., dict[str, Any]]
RMEM = "net.ipv4.tcp_rmem"


def test_returns_what_the_contract_says(procfs: Path, call: Call) -> None:
    result = call(main, values={"vm.swappiness": 10, RMEM: [4096, 131072, 6291456]})
    assert result["changed"]
    assert result["before"] == {"vm.swappiness": "60", RMEM: "4096 131072 6291456"}
    assert result["applied"] == {"vm.swappiness": "10", RMEM: "4096 131072 6291456"}
    assert result["changed_keys"] == ["vm.swappiness"]
    assert {key: value["status"] for key, value in result["parameters"].items()} == {
        "vm.swappiness": "applied",
        RMEM: "unchanged",
    }
    assert result["diff"][0]["before"].splitlines()[0] == "vm.swappiness = 60"
    assert not call(main, values={"vm.swappiness": 10})["changed"]


def test_a_lease_says_what_it_is(procfs: Path, call: Call) -> None:
    result = call(main, state="leased", holder="anna", lease=60, values={"vm.swappiness": 10})
    assert result["lease"]["holder"] == "anna"
    assert result["originals"] == {"vm.swappiness": "60"}
    assert not call(main, state="leased", holder="anna", lease=60, values={"vm.swappiness": 10})["changed"]
    assert call(main, state="restored")["changed_keys"] == ["vm.swappiness"]
    assert not call(main, state="restored")["changed"]


def test_check_mode_shows_the_difference_of_values_and_file(procfs: Path, call: Call) -> None:
    result = call(main, check=True, values={"vm.swappiness": 10}, persist="90-x")
    assert result["changed"]
    assert [part["after"].splitlines()[-1] for part in result["diff"]] == ["vm.swappiness = 10"] * 2
    assert (procfs / "vm/swappiness").read_text() == "60\n"
    assert not (procfs.parent / "sysctl.d").exists()


def test_only_the_file_differs_and_that_is_a_change(procfs: Path, call: Call) -> None:
    result = call(main, values={"vm.swappiness": 60}, persist="90-x")
    assert result["changed"]
    assert result["changed_keys"] == []
    assert not call(main, values={"vm.swappiness": 60}, persist="90-x")["changed"]
    assert call(main, state="restored", persist="90-x")["changed"]


def test_answers_in_the_users_spelling(procfs: Path, call: Call) -> None:
    result = call(main, values={"net/ipv4/tcp_rmem": "1 2 3"})
    assert result["changed_keys"] == ["net/ipv4/tcp_rmem"]
    result = call(main, values={"vm/swappines": 3})
    assert list(result["parameters"]) == ["vm/swappines"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "state is present but all of the following are missing: values"),
        ({"state": "leased", "values": {"vm.swappiness": 1}}, "missing: holder"),
        ({"state": "leased", "values": {"vm.swappiness": 1}, "holder": " "}, "is not a printable name"),
        ({"state": "leased", "values": {"vm.swappiness": 1}, "holder": "a", "lease": 0}, "must be 1 to 1000000000 s"),
        ({"state": "leased", "values": {"vm.swappiness": 1}, "holder": "a", "lease": 10**400}, "must be 1 to"),
        (
            {"state": "leased", "values": {"vm.swappiness": 1}, "holder": "a", "persist": "x"},
            "persist requires state=present",
        ),
        ({"state": "restored", "values": {"vm.swappiness": 1}}, "takes no values"),
        ({"values": {"vm.swappiness": True, RMEM: 0.5}}, "vm.swappiness: true is a boolean; write 1 or 0"),
        ({"values": {"vm.swappiness": 1, "vm/swappiness": 2}}, "vm/swappiness is the same parameter as vm.swappiness"),
        ({"values": {"../etc/passwd": 1}}, "is not the name of a kernel parameter"),
        ({"values": {"vm.swappiness": 1}, "allow_unsafe": ["panic"]}, "'panic' is not the name"),
        ({"values": {"kernel.core_pattern": "|/bin/x"}}, "it makes the kernel run a program"),
        ({"values": {"vm.swappiness": 1}, "persist": "a/b"}, "is not a valid name"),
        ({"values": {"block.sda": 1}}, "write block.<device>.<setting>"),
        ({"values": {"vm.nothing": 1}}, "vm.nothing does not exist here"),
    ],
)
def test_a_users_mistake_is_one_line_and_nothing_is_written(
    arguments: dict[str, Any], complaint: str, procfs: Path, call: Call
) -> None:
    result = call(main, **arguments)
    assert result["failed"]
    assert complaint in result["msg"]
    assert "\n" not in result["msg"]
    assert (procfs / "vm/swappiness").read_text() == "60\n"
    assert (procfs / "kernel/core_pattern").read_text() == "core\n"


def test_every_bad_value_is_told_at_once(procfs: Path, call: Call) -> None:
    message = call(main, values={"vm.swappiness": True, RMEM: 0.5})["msg"]
    assert "vm.swappiness: true" in message
    assert f"{RMEM}: 0.5" in message


def test_a_failure_says_what_became_of_each(procfs: Path, call: Call) -> None:
    result = call(main, values={"vm.swappiness": 10, "kernel.core_pattern": "x", "vm.nothing": 1})
    assert {key: value["status"] for key, value in result["parameters"].items()} == {
        "vm.swappiness": "unchanged",
        "kernel.core_pattern": "denied",
        "vm.nothing": "missing",
    }
    assert result["restored"] is True


def test_an_unusable_folder_is_one_line(procfs: Path, call: Call) -> None:
    (procfs.parent / "sysctl.d").mkdir()
    (procfs.parent / "sysctl.d/90-x.conf").mkdir()
    result = call(main, values={"vm.swappiness": 10}, persist="90-x")
    assert "90-x.conf is not a regular file" in result["msg"]
    assert (procfs / "vm/swappiness").read_text() == "60\n"
