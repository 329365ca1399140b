# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller as a whole: sound on this machine, and each thing that is wrong by itself."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.autotune.kernel.plugins.action.doctor import ARGUMENTS
from ansible_collections.autotune.kernel.plugins.plugin_utils._doctor.controller_examination import Command, findings

STUDY = {
    "workload_name": "small",
    "reward_metric": "throughput",
    "benchmark_command": "true",
    "action_space": [{"param": "vm.swappiness", "min": 0, "max": 100}],
}
COMMAND = Command({"all": ["web1", "web2"], "web": ["web1", "web2"]}, forks=5, settings=["study"])


@pytest.fixture
def arguments(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "study.yml").write_text(yaml.safe_dump(STUDY))
    defaults = {name: option.get("default") for name, option in ARGUMENTS.items()}
    own = {"study": str(tmp_path / "study.yml"), "hosts": ["web1", "web2"], "output": str(tmp_path / "learned")}
    return {**defaults, **own, "dashboard_port": 0}


def said(arguments: dict[str, Any], command: Command = COMMAND, broken: ImportError | None = None) -> list[str]:
    return [f"{one.where}: {one.severity}: {one.what}; {one.remedy}" for one in findings(arguments, command, broken)]


def test_nothing_is_wrong(arguments: dict[str, Any], tmp_path: Path) -> None:
    assert said({**arguments, "store": f"sqlite:///{tmp_path}/x.sqlite"}) == []
    assert said({**arguments, "study": None}) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["study.yml"]


def test_a_load_generator_must_be_in_the_inventory(arguments: dict[str, Any]) -> None:
    (found,) = said({**arguments, "run_on": "web3"})
    assert found.startswith("controller: problem: run_on names web3, which is not in the inventory; -e run_on=web")


def test_the_folder_of_the_store_is_named_by_its_own_setting(arguments: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (found,) = said({**arguments, "store": f"sqlite:///{tmp_path}/file/x.sqlite"})
    assert found.startswith(f"controller: problem: store: {tmp_path}/file is not a folder; -e store=sqlite:///")


def test_a_database_that_does_not_answer_is_a_problem(arguments: dict[str, Any], postgresql: Any) -> None:
    assert said({**arguments, "store": postgresql.url}) == []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    (found,) = said({**arguments, "store": f"postgresql://tuner:secret@127.0.0.1:{port}/autotune"})
    assert found.startswith(f"controller: problem: the store postgresql://tuner:***@127.0.0.1:{port}/autotune does not")
    assert "start the server" in found
    (found,) = said({**arguments, "store": postgresql.url.replace(postgresql.password, "secret")})
    assert "password authentication failed" in found
    assert "secret" not in found


def test_a_port_that_is_taken_is_a_warning(arguments: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (found,) = said({**arguments, "dashboard_port": taken.getsockname()[1]})
    assert found.startswith("controller: warning: the dashboard cannot listen on 127.0.0.1 port")


def test_a_study_that_is_not_there_is_one_problem(arguments: dict[str, Any], tmp_path: Path) -> None:
    (found,) = said({**arguments, "study": str(tmp_path / "none.yml")})
    assert found.startswith("study: problem: cannot be read: No such file or directory")


def test_a_misspelt_setting_is_not_ignored(arguments: dict[str, Any]) -> None:
    (found,) = said(arguments, Command(COMMAND.groups, 5, ["targt", "ansible_user"]))
    assert found == "controller: problem: -e targt is not a setting of playbook doctor; -e target=VALUE"


def test_too_few_forks_are_a_warning(arguments: dict[str, Any]) -> None:
    (found,) = said(arguments, Command(COMMAND.groups, 1, []))
    assert found.startswith("controller: warning: only 1 of 2 hosts run at a time; use --forks 2")


def test_a_package_that_cannot_be_imported_is_named_and_the_rest_is_examined(arguments: dict[str, Any]) -> None:
    found = said({**arguments, "hosts": []}, broken=ImportError("no symbol x", name="paramiko"))
    assert [line.split(": ")[2].split("; ")[0] for line in found] == [
        "no host of the inventory matches all",
        "a Python package cannot be imported",
    ]
    assert "--force-reinstall paramiko" in found[1]
