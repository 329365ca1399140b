"""README is a door: short, with a study that works and commands that other tests run."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.file import read_study

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
# What runs each command of README and tutorial (the parts of a command that say what it does).
RUN_BY = {
    "./dev tune": "tests/integration/tune/test_tune.py",
    "./dev test": ".ci/run",
    "pip install .": "tests/integration/test_packaging.py",
    "tune -e study -e dry_run": "tests/integration/test_tutorial.py",
    "tune -e study": "tests/integration/tune/test_tune.py",
    "tune -e study -e dashboard": "tests/integration/tune/test_page.py",
    "apply --check --diff": "tests/integration/test_learned_role.py",
    "apply": "tests/integration/test_learned_role.py",
    "rollback": "tests/integration/test_learned_role.py",
    "sysctl_info": "tests/integration/test_tutorial.py",
    "python3 -m http.server 8080 --bind 127.0.0.1": "tests/integration/test_tutorial.py",
}


def commands(page: Path) -> list[str]:
    text = "".join(re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE))
    return [line.partition("  ")[0].rstrip() for line in text.splitlines()]


def what_it_does(command: str) -> str:
    """A command without the names that a reader replaces."""
    if command.startswith("ansible "):
        return re.findall(r"-m autotune\.kernel\.(\w+)", command)[0]
    if command.startswith("ansible-playbook "):
        playbook = re.findall(r"autotune\.kernel\.(\w+)|/(\w+)\.yml", command)[0]
        given = re.findall(r"-e \w+(?==)|--check|--diff", command)
        return " ".join([playbook[0] or playbook[1], *given])
    return command


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 160


def test_its_study_has_ten_lines_and_is_valid(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert len(text.splitlines()) <= 10
    (tmp_path / "my_benchmark.py").touch()
    (tmp_path / "study.yml").write_text(text)
    assert read_study(tmp_path / "study.yml", tmp_path).study.workload_name == yaml.safe_load(text)["workload_name"]


def test_every_command_of_readme_and_tutorial_is_run_by_a_test() -> None:
    found = {what_it_does(line) for page in ("README.md", "docs/tutorial.md") for line in commands(ROOT / page)}
    assert found == RUN_BY.keys()
    assert [file for file in RUN_BY.values() if not (ROOT / file).exists()] == []
