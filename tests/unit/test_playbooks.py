# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Settings reach the modules as they were given: 0 and false are values, and only an empty text is none.

And what playbook `new` writes works, as it is and as its comments say; tests/integration/test_new.py runs the playbook.
"""

from __future__ import annotations

import importlib
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.file import read_study
from ansible_collections.autotune.kernel.tests.documented_commands import edit_as_told
from jinja2 import Environment, Template

ROOT = Path(__file__).resolve().parents[2]
OURS = "autotune.kernel."
# What can be empty, and means nothing then.
MAY_BE_EMPTY = {"str", "path", "list", "dict"}
TEMPLATES = "plugins/plugin_utils/_outcome/templates"


def options(module: str) -> dict[str, Any]:
    documentation = importlib.import_module(
        f"ansible_collections.autotune.kernel.plugins.modules.{module}"
    ).DOCUMENTATION
    return yaml.safe_load(documentation)["options"]  # type: ignore[no-any-return]


def calls(tasks: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each module of ours with its arguments, wherever it is in a play."""
    if isinstance(tasks, list):
        for task in tasks:
            yield from calls(task)
    elif isinstance(tasks, dict):
        for key, value in tasks.items():
            if str(key).startswith(OURS) and isinstance(value, dict):
                yield key.removeprefix(OURS), value
            else:
                yield from calls(value)


@pytest.mark.parametrize("playbook", ["tune", "review"])
def test_a_setting_that_is_nought_is_not_dropped(playbook: str) -> None:
    dropping = {
        f"{module}.{name}": options(module)[name]["type"]
        for module, arguments in calls(yaml.safe_load((ROOT / f"playbooks/{playbook}.yml").read_text()))
        for name, value in arguments.items()
        if re.search(r"default\(.*,\s*true\s*\)", str(value))
    }
    assert {name: kind for name, kind in dropping.items() if kind not in MAY_BE_EMPTY} == {}
    assert "evaluate.resume" not in dropping, "resume=0 is no ID, which has to be said"


@pytest.mark.parametrize(
    ("checks", "settings", "is_dry"),
    [
        (True, {"dry_run": False}, True),  # as a job of AWX has it, whose survey gives every setting
        (True, {}, True),
        (False, {"dry_run": "true"}, True),
        (False, {"dry_run": "false"}, False),
        (False, {}, False),
    ],
)
def test_check_mode_tunes_nothing_whatever_is_set(checks: bool, settings: dict[str, Any], is_dry: bool) -> None:
    (play,) = yaml.safe_load((ROOT / "playbooks/tune.yml").read_text())
    tasks = {key: task for task in play["tasks"] for key in task if key.startswith(OURS)}
    environment = Environment(autoescape=True)
    environment.filters["bool"] = lambda given: str(given).casefold() == "true"
    known = {"ansible_check_mode": checks, "dashboard": True, **settings}
    mode = environment.from_string(tasks[f"{OURS}evaluate"]["check_mode"]).render(known)
    assert mode == str(is_dry)
    conditions = tasks[f"{OURS}dashboard"]["when"]
    shows = all(environment.from_string("{{ " + each + " }}").render(known) == "True" for each in conditions)
    assert shows == (not is_dry)


@pytest.mark.parametrize(("state", "user"), [("absent", ""), ("present", "mandatory")])
def test_access_is_revoked_whoever_had_it(state: str, user: str) -> None:
    defaults = yaml.safe_load((ROOT / "roles/access/defaults/main.yml").read_text())
    environment = Environment(autoescape=True)
    environment.filters["mandatory"] = lambda given, message: "mandatory"
    assert environment.from_string(defaults["access_user"]).render(access_state=state) == user


def test_no_role_and_no_template_drops_a_number() -> None:
    """The role's holder and nonce are texts; whatever else is defaulted is so only where it is not set at all."""
    files = [*(ROOT / "roles").rglob("*.yml"), *(ROOT / TEMPLATES).rglob("*.j2")]
    found = {
        line.strip().split(":")[0]
        for file in files
        for line in file.read_text().splitlines()
        if re.search(r"default\([^)]*,\s*true\s*\)", line)
    }
    assert found <= {"holder", "nonce"}


def written(name: str, folder: Path, *changes: tuple[str, str]) -> Path:
    """What `new` writes, with these changes."""
    text = Template((ROOT / f"playbooks/templates/new_{name}.j2").read_text(), keep_trailing_newline=True).render(
        new_name="web"
    )
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    (folder / name).write_text(text)
    return folder / name


def measured(folder: Path, port: int) -> subprocess.CompletedProcess[str]:
    """The new benchmark, for a moment."""
    quick = ("SECONDS = 5", "SECONDS = 0.1"), ("WARM_UP = 0.5", "WARM_UP = 0.01")
    program = written("benchmark.py", folder, *quick, ("PORT = 0 ", f"PORT = {port} "))
    return subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)


def test_the_new_benchmark_measures_a_server_of_its_own(tmp_path: Path) -> None:
    ran = measured(tmp_path, 0)
    assert ran.returncode == 0, ran.stderr
    assert re.fullmatch(r"requests_per_second: \d+\.\d\np99_ms: \d+\.\d{3}\n", ran.stdout)


def test_the_new_benchmark_measures_a_service_and_says_what_to_do_when_it_is_down(tmp_path: Path) -> None:
    with socket.socket() as service:
        service.bind(("127.0.0.1", 0))  # nobody else can listen there
        port = service.getsockname()[1]
        ran = measured(tmp_path, port)
    assert (ran.returncode, ran.stdout) == (1, "")
    remedy = "start the service, or have the study start it (`start`)"
    assert ran.stderr == f"no answer from 127.0.0.1:{port}: Connection refused; {remedy}\n"


def test_the_new_study_is_valid_as_it_is_and_with_what_its_comments_propose(tmp_path: Path) -> None:
    (tmp_path / "benchmark.py").touch()
    (tmp_path / "serve.sh").touch()
    study = read_study(written("study.yml", tmp_path), tmp_path).study
    assert (study.workload_name, study.restarting) == ("web", [])
    uncommented = [(f"# {key}", key) for key in ("start: ", "stop: ", "- {param: ")]
    proposed = written("study.yml", tmp_path, *uncommented)
    assert read_study(proposed, tmp_path).study.restarting == ["net.core.somaxconn"]


def test_the_tutorial_tells_how_to_put_a_service_into_what_is_written(tmp_path: Path) -> None:
    written("study.yml", tmp_path)
    program = written("benchmark.py", tmp_path)
    asked: list[str] = []

    class Service(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            asked.append(str(arguments[0]))

    with HTTPServer(("127.0.0.1", 0), Service) as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        edit_as_told(tmp_path, service.server_port)
        ran = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)
        service.shutdown()
    assert ran.returncode == 0, ran.stderr
    assert set(asked) == {"GET / HTTP/1.1"}
    study = read_study(tmp_path / "study.yml", tmp_path).study
    assert "net.ipv4.tcp_wmem" in study.space.parameters
    assert set(re.findall(r"^(\w+): ", ran.stdout, re.MULTILINE)) == {study.reward_metric, "p99_ms"}
