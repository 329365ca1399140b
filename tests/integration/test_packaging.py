# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The collection works wherever it comes from: wheel, archive for Galaxy, bare checkout; and ./dev explains itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from http.client import HTTPConnection
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.store import open_store

ROOT = Path(__file__).resolve().parents[2]
INSIDE = "ansible_collections/autotune/kernel/"
SHIPPED = ("benchmarks", "client", "dashboard", "docs", "meta", "plugins", "roles")
LISTED = ("-i", "localhost,", "--list-tasks", "-e", "study=any")
LEFT_BEHIND = (".*", "build", "dist", "learned", "__pycache__", "*.egg-info", "*.sqlite*")


def run(*words: str | Path, **variables: str) -> str:
    """What a program of this environment prints on stdout, run in a folder of its own without Ansible's settings."""
    program, *arguments = map(str, words)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
    ran = subprocess.run(
        [str(Path(sys.executable).with_name(program)), *arguments],
        env={**kept, "ANSIBLE_LOCALHOST_WARNING": "false", **variables},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, f"{words} ended with {ran.returncode}:\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of the checkout as a clone would be, link included: building leaves its traces there and not here."""
    copy = tmp_path_factory.mktemp("packaging") / "checkout"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_BEHIND))
    return copy


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run("pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, checkout)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def archive(checkout, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    run("ansible-galaxy", "collection", "build", "--output-path", folder, checkout)
    return next(folder.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def from_wheel(wheel, tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("site-packages")
    run("pip", "install", "--quiet", "--no-deps", "--target", folder, wheel)
    return {"PYTHONPATH": str(folder), "ANSIBLE_COLLECTIONS_PATH": "/nowhere"}


@pytest.fixture(scope="module")
def from_archive(archive, tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("collections")
    run("ansible-galaxy", "collection", "install", "--no-deps", "--collections-path", folder, archive)
    return {"ANSIBLE_COLLECTIONS_PATH": str(folder)}


@pytest.fixture(params=["from_wheel", pytest.param("from_archive", marks=pytest.mark.slow)])
def installed(request) -> dict[str, str]:
    """The variables with which Ansible finds the installed collection."""
    return request.getfixturevalue(request.param)


def content_of_wheel(wheel: Path) -> set[str]:
    names = zipfile.ZipFile(wheel).namelist()
    return {name.removeprefix(INSIDE) for name in names if name.startswith(INSIDE)}


def content_of_archive(archive: Path) -> set[str]:
    with tarfile.open(archive) as opened:
        return {member.name for member in opened if member.isfile()}


def test_the_wheel_holds_all_that_works_and_nothing_else(checkout, wheel):
    expected = {
        str(PurePosixPath(path.relative_to(checkout)))
        for folder in SHIPPED
        for path in (checkout / folder).rglob("*")
        if path.is_file()
    }
    held = content_of_wheel(wheel)
    assert {name for name in held if name.startswith(SHIPPED)} == expected
    allowed = {"CHANGELOG.rst", "LICENSE", "README.md", "galaxy.yml", "__init__.py", "autotune_kernel.py"}
    others = {name for name in held - expected - allowed if not name.startswith("changelogs/")}
    playbooks = checkout / "playbooks"
    assert others == {
        str(path.relative_to(checkout)) for path in (*playbooks.glob("*.yml"), *playbooks.glob("templates/*"))
    }
    assert all(
        name.startswith((INSIDE, "autotune_kernel-", "autotune_kernel.py"))
        for name in zipfile.ZipFile(wheel).namelist()
    )


def test_the_archive_for_galaxy_holds_the_same(wheel, archive):
    own = {"MANIFEST.json", "FILES.json"}
    assert content_of_archive(archive) - own == content_of_wheel(wheel) - {"galaxy.yml"}


def test_plugins_are_documented(installed):
    shown = json.loads(run("ansible-doc", "--json", "autotune.kernel.sysctl", "autotune.kernel.evaluate", **installed))
    assert "values" in shown["autotune.kernel.sysctl"]["doc"]["options"]
    assert "study" in shown["autotune.kernel.evaluate"]["doc"]["options"]


@pytest.mark.this_machine
def test_a_module_runs_with_all_that_it_imports(installed):
    shown = run(
        "ansible", "localhost", "-m", "autotune.kernel.sysctl_info", "-a", "parameters=vm.swappiness", **installed
    )
    assert '"vm.swappiness"' in shown


def test_playbooks_run_by_name(installed):
    assert "Run the study" in run("ansible-playbook", "autotune.kernel.tune", *LISTED, **installed)
    assert "lab" in run("ansible-playbook", "autotune.kernel.lab", "--list-tasks", **installed)


@pytest.mark.this_machine
def test_the_action_finds_what_it_imports(installed, tmp_path):
    """A rehearsal goes through the study, the host and the way to the trainer."""
    study = ROOT / "benchmarks/network/study.yml"
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    settings = json.dumps({**host, "study": str(study), "output": str(tmp_path), "dry_run": True})
    shown = run("ansible-playbook", "autotune.kernel.tune", "-i", "localhost,", "-e", settings, **installed)
    assert "net.ipv4.tcp_rmem" in shown


def test_the_page_comes_with_it(installed, tmp_path):
    open_store(f"sqlite:///{tmp_path / 'autotune.sqlite'}").dispose()
    settings = ("-e", f"output={tmp_path}", "-e", "dashboard_port=0")
    run("ansible-playbook", "autotune.kernel.review", *settings, **installed)
    try:
        page = urlsplit((tmp_path / "dashboard.pid").read_text().splitlines()[1])
        for path in ("/", "/static/base.css", "/static/plotly.min.js", "/api/openapi.json"):
            connection = HTTPConnection(page.netloc, timeout=180)
            connection.request("GET", path)
            assert connection.getresponse().status == 200, path
    finally:
        run("ansible-playbook", "autotune.kernel.review", *settings, "-e", "dashboard_state=stopped", **installed)
    assert not (tmp_path / "dashboard.pid").exists()


def test_the_page_has_a_command_of_its_own(from_wheel):
    shown = run("python", Path(from_wheel["PYTHONPATH"], "bin/autotune-dashboard"), "--help", **from_wheel)
    assert "--store" in shown


def test_the_ways_in_come_with_it(from_wheel):
    assert (
        run("python", Path(from_wheel["PYTHONPATH"], "bin/autotune"), "--version", **from_wheel) == "autotune 0.1.0\n"
    )
    assert "memory " in run("python", Path(from_wheel["PYTHONPATH"], "bin/autotune"), "list", **from_wheel)
    code = "import autotune_kernel, gymnasium; print(gymnasium.spec('autotune/OSTuning-v0').entry_point)"
    assert run("python", "-c", code, **from_wheel).strip().endswith("client.environment:OSTuningEnv")
    code = "from ansible_collections.autotune.kernel import optimize_os_parameters as tune; print(tune.__name__)"
    assert run("python", "-c", code, **from_wheel) == "optimize_os_parameters\n"


def test_a_bare_checkout_needs_no_installation(checkout):
    shown = run("ansible-playbook", checkout / "playbooks/tune.yml", *LISTED)
    assert "Run the study" in shown


def dev(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run([ROOT / "dev", *arguments], env=environment, capture_output=True, text=True, check=False)


def test_dev_alone_says_what_it_can_do():
    shown = dev()
    assert shown.returncode == 0
    for command in ("tune", "unit", "test", "check", "lab", "bench", "sanity"):
        assert f"\n  {command} " in shown.stdout


def test_dev_refuses_what_it_does_not_know():
    shown = dev("tuen")
    assert shown.returncode == 1
    assert "unknown command: tuen" in shown.stderr


@pytest.mark.parametrize("command", ["tune", "test", "lab", "bench"])
def test_dev_says_in_one_line_that_it_needs_root(command, tmp_path):
    somebody = tmp_path / "id"
    somebody.write_text("#!/bin/sh\necho 1000\n")
    somebody.chmod(0o755)
    shown = dev(command, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert shown.returncode == 1
    assert len(shown.stderr.splitlines()) == 1
    assert f"'{command}' needs root" in shown.stderr


def test_ci_runs_the_test_command_and_nothing_else():
    lines = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == ["exec ./dev test"]
