# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What apply.yml says that a host has when it was not applied: no more than the host has said (played here)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.learned_role import carry_out, plan

# In the place of autotune.kernel.sysctl: for each state that it is asked for, the answer that the test wants.
PLAYED = """
import json
from ansible.module_utils.basic import AnsibleModule

names = ("state", "values", "lease", "holder", "nonce", "persist", "allow_unsafe")
module = AnsibleModule(argument_spec={name: {"type": "raw"} for name in names}, supports_check_mode=True)
kind = module.params["state"] + ("_persisted" if module.params["persist"] else "")
module.exit_json(**{"changed": True, "lease": {"nonce": "1"}, **json.load(open("ANSWERS")).get(kind, {})})
"""
REFUSED = {"failed": True, "changed": False, "msg": "the kernel refused 3333", "restored": True}
NOT_BACK = {"failed": True, "changed": False, "msg": "net.core.somaxconn is 1 and should be 4096", "restored": False}
KILLED = {"failed": True, "changed": False, "msg": "MODULE FAILURE: Killed"}
GONE = {"unreachable": True, "changed": False, "msg": "no route to host"}
UNCHANGED = "Nothing was changed on this host."
FINE = "This host has its previous values."
MAYBE = "This host may have kept the values, because it was lost before it answered; run rollback.yml when it is back."
NOT_ALL = "NEEDS ATTENTION: this host does not have all of its previous values: net.core.somaxconn is 1"


@pytest.fixture
def apply(tmp_path: Path, write_result: Callable[..., Path]) -> Callable[..., str]:
    """Run apply.yml with these answers of the module, by state; returns what it said in the end."""
    folder = write_result(tmp_path / "learned/wan", {"net.core.somaxconn": 3333})
    carry_out(plan(folder))
    for file in [folder / "apply.yml", *folder.rglob("tasks/main.yml")]:
        file.write_text(file.read_text().replace("autotune.kernel.sysctl:", "played:"))
    library = tmp_path / "library"
    library.mkdir()
    (library / "played.py").write_text(PLAYED.replace("ANSWERS", str(tmp_path / "answers.json")))

    def run(health: str = "true", **answers: dict[str, Any]) -> str:
        (tmp_path / "answers.json").write_text(json.dumps(answers))
        variables = {"ansible_become": False, "health_command": [health], "ansible_connection": "local"}
        variables["ansible_python_interpreter"] = sys.executable
        command = ["ansible-playbook", str(folder / "apply.yml"), "-i", "lab1,", "-e", json.dumps(variables)]
        environment = {**os.environ, "ANSIBLE_LIBRARY": str(library), "ANSIBLE_NOCOLOR": "1"}
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert done.returncode != 0, done.stdout
        assert "failed=1" in done.stdout
        found = re.findall(r"wan was not applied \((.*?)\)\. ([^\"]*)", done.stdout)
        assert found, done.stdout + done.stderr
        return found[-1][1].strip()

    return run


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        pytest.param({"leased": REFUSED}, UNCHANGED, id="refused, and left as it was"),
        pytest.param({"leased": NOT_BACK, "restored": NOT_BACK}, NOT_ALL, id="refused, and not put back"),
        pytest.param({"leased": NOT_BACK}, FINE, id="refused, and put back at the second try"),
        pytest.param({"health": "false", "restored": NOT_BACK}, NOT_ALL, id="not well, and not put back"),
        pytest.param({"present_persisted": GONE}, MAYBE, id="gone while it confirmed"),
        pytest.param(
            {"present_persisted": KILLED, "restored_persisted": NOT_BACK}, NOT_ALL, id="killed while it confirmed"
        ),
    ],
)
def test_says_what_the_host_has_and_no_more(apply: Callable[..., str], answers: dict[str, Any], says: str) -> None:
    assert apply(**answers).startswith(says)
