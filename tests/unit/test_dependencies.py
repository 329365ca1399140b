# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is written in several places says the same everywhere, and is enough for what the code imports."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import lowest  # noqa: E402

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def lines_of(name: str) -> set[str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith(("#", "-r "))}


def yaml_of(name: str) -> dict[str, object]:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_pyproject_and_the_requirements_files_name_the_same_packages():
    assert set(PROJECT["dependencies"]) == lines_of("requirements.txt") | lines_of("meta/ee-requirements.txt")


def test_extras_are_installed_for_the_tests():
    extras = {text for texts in PROJECT["optional-dependencies"].values() for text in texts}
    assert extras <= lines_of("requirements-test.txt")


def test_the_lowest_versions_that_are_declared_have_been_run():
    recorded = lowest.RECORD.read_text(encoding="utf-8").splitlines()
    assert recorded == lowest.lowest(), (
        "declared versions have changed: run ./dev lowest, which records them if it passes"
    )


@pytest.mark.parametrize(
    ("declared", "pinned"),
    [
        ("plotly>=6,<8", "plotly==6"),
        ("psycopg[binary]>=3.2.1", "psycopg[binary]==3.2.1"),
        ("torch==2.13.0", "torch==2.13.0"),
    ],
)
def test_the_lower_end_of_a_requirement_is_a_version_to_install(declared: str, pinned: str):
    assert lowest._pinned(declared) == pinned


@pytest.mark.parametrize("declared", ["flask", "flask<4", "flask~=3.1", "flask!=3"])
def test_a_requirement_needs_a_lower_end(declared: str):
    with pytest.raises(ValueError, match="has no lower end"):
        lowest._pinned(declared)


def test_an_execution_environment_is_told_where_its_lists_are():
    lists = yaml_of("meta/execution-environment.yml")["dependencies"]
    assert lists == {"python": "meta/ee-requirements.txt", "system": "meta/ee-bindep.txt"}
    assert all(lines_of(name) for name in lists.values())


def test_bindep_repeats_what_an_execution_environment_needs():
    assert lines_of("meta/ee-bindep.txt") <= lines_of("bindep.txt")


def test_versions_agree():
    assert PROJECT["version"] == yaml_of("galaxy.yml")["version"]
    oldest = str(yaml_of("meta/runtime.yml")["requires_ansible"]).removesuffix(".0")
    assert f"ansible-core{oldest}" in PROJECT["dependencies"]


def imported_packages(file: Path) -> set[str]:
    """The top-level names that a Python file imports from elsewhere."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.partition(".")[0])
    return names - {"ansible_collections"} - set(sys.stdlib_module_names)


@pytest.mark.takes_seconds
def test_every_package_that_the_plugins_import_is_a_dependency():
    extras = [text for texts in PROJECT["optional-dependencies"].values() for text in texts]
    declared = {re.split(r"[<>=~!\[]", text)[0].lower() for text in [*PROJECT["dependencies"], *extras]}
    distributions = packages_distributions()
    undeclared = {
        f"{file.relative_to(ROOT)} imports {name}"
        for file in (ROOT / "plugins").rglob("*.py")
        for name in imported_packages(file)
        if not declared & {distribution.lower().replace("_", "-") for distribution in distributions.get(name, [])}
    }
    assert not undeclared


def test_pre_commit_runs_what_dev_installs_and_fetches_nothing():
    hooks = [(repo["repo"], hook) for repo in yaml_of(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert hooks
    for repo, hook in hooks:
        program = hook["entry"].split()[0]
        assert (repo, hook["language"]) == ("local", "system"), hook["id"]
        assert program.startswith(".venv/bin/"), hook["id"]
        assert any(line.startswith(program.removeprefix(".venv/bin/")) for line in lines_of("requirements-test.txt"))
