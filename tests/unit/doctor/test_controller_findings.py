# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with the controller and the inventory, and what puts it right."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._doctor import controller_facts, controller_findings
from ansible_collections.autotune.kernel.plugins.plugin_utils._doctor.finding import Severity

PIP = f"{sys.executable} -m pip install"


def test_packages_that_are_missing_are_one_finding_with_one_command() -> None:
    (found,) = controller_findings.packages(["numpy>=1.26", "paramiko>=5", "plotly>=6,<8"], {"numpy": "2.1"})
    assert found.what == "missing Python packages: paramiko>=5, plotly>=6,<8"
    assert found.remedy == f"{PIP} 'paramiko>=5' 'plotly>=6,<8'"
    assert found.severity is Severity.PROBLEM


@pytest.mark.parametrize(
    ("requirement", "version", "suits"),
    [
        ("paramiko>=5", "5", True),
        ("paramiko>=5", "5.0.1", True),
        ("paramiko>=5", "4.9.9", False),
        ("scipy>=1.15", "1.9", False),
        ("plotly>=6,<8", "8.0", False),
        ("plotly>=6,<8", "7.9", True),
        ("torch==2.13.0", "2.13.0+cpu", True),
        ("torch==2.13.0", "2.13", True),
        ("torch==2.13.0", "2.13.1", False),
        ("jinja2>=3.1.2", "3.2.0rc1", True),
        ("jinja2>=3.1.2", "3.1.2.post1", True),
    ],
)
def test_versions_are_compared_as_numbers(requirement: str, version: str, suits: bool) -> None:
    name = requirement.split(">=")[0].split("==")[0]
    assert (not list(controller_findings.packages([requirement], {name: version}))) is suits


def test_this_installation_has_what_it_needs() -> None:
    needed = controller_facts.requirements()
    assert "paramiko>=5" in needed
    assert list(controller_findings.packages(needed, controller_facts.versions(needed))) == []


def test_a_package_that_is_not_installed_has_no_version() -> None:
    assert set(controller_facts.versions(["numpy>=1", "no-such-package>=1"])) == {"numpy"}


@pytest.mark.parametrize(
    ("target", "hosts", "names", "what", "remedy"),
    [
        ("all", [], [], "the inventory has no hosts", "-i INVENTORY"),
        ("wbe", [], ["web1", "db1"], "no host of the inventory matches wbe", "-e target=web"),
        ("zzz", [], ["web1", "db1"], "no host of the inventory matches zzz", "-e target=db1"),
    ],
)
def test_an_inventory_without_hosts_is_a_problem(
    target: str, hosts: list[str], names: list[str], what: str, remedy: str
) -> None:
    known = {*names, "web"} if names else set()
    (found,) = controller_findings.inventory(target, hosts, names, known)
    assert found.what == what
    assert remedy in found.remedy


def test_hosts_that_are_there_are_no_finding() -> None:
    assert list(controller_findings.inventory("all", ["web1"], ["web1"], {"web1", "all"})) == []
    assert list(controller_findings.inventory("localhost", ["localhost"], [], {"all"})) == []
    assert list(controller_findings.load_generators(["web1"], ["web1"])) == []
    assert list(controller_findings.forks(None)) == []
    assert list(controller_findings.page(None, 8470, 1)) == []


def test_a_load_generator_that_resembles_none_is_to_be_added() -> None:
    (found,) = controller_findings.load_generators(["zzz"], ["web1"])
    assert found.remedy == "add zzz to the inventory"


def test_a_folder_is_judged_by_what_exists_of_it(tmp_path: Path) -> None:
    path, free, writable = controller_facts.room(tmp_path / "a/b/c")
    assert (path, writable) == (tmp_path, True)
    assert free > 0
    (tmp_path / "file").touch()
    path, free, writable = controller_facts.room(tmp_path / "file/b")
    (found,) = controller_findings.folder("output", "~/x", path, free, writable)
    assert found.what == f"output: {tmp_path}/file is not a folder"
    assert found.remedy == "-e output=~/x"
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    (found,) = controller_findings.folder("output", "~/x", *controller_facts.room(tmp_path / "link"))
    assert found.what == f"output: {tmp_path}/link is not a folder"


@pytest.mark.parametrize(
    ("output", "is_open"),
    [
        ("Status: active\n8470/tcp    ALLOW   Anywhere\n", True),
        ("Status: active\n8000:9000/tcp    ALLOW   Anywhere\n", True),
        ("Status: active\n8470,443/tcp    LIMIT   10.0.0.0/8\n", True),
        ("Status: active\n8471/tcp    ALLOW   Anywhere\n8470    DENY   Anywhere\n", False),
        ("Status: active\nOpenSSH    ALLOW   Anywhere\n", False),
        ("Status: inactive\n", True),
        ("", None),  # root alone may ask
    ],
)
def test_what_a_firewall_does_is_known_or_not(
    output: str, is_open: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controller_facts, "_output_of", lambda command: output)
    assert controller_facts._through_ufw(8470) == is_open
    found = [each.what for each in controller_findings.firewalls({"ufw": is_open}, "192.0.2.1", 8470)]
    where = "other machines' access to the dashboard at 192.0.2.1 port 8470"
    expected = {
        True: [],
        False: [f"ufw blocks {where}"],
        None: [f"ufw is active, and whether it blocks {where} could not be found out"],
    }
    assert found == expected[is_open]


def test_an_import_that_fails_names_the_package() -> None:
    found = controller_findings.broken_package(ImportError("no symbol", name="paramiko"))
    assert found.remedy == f"{PIP} --force-reinstall paramiko"


def test_a_free_port_can_be_listened_on() -> None:
    assert controller_facts.free_port("127.0.0.1") > 1023
