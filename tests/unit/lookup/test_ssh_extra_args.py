# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A regression: what --ssh-extra-args, the environment or ansible.cfg gave was lost where a play sets its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
WITH_VARIABLES = {
    "tune": "playbooks/tune.yml",
    "doctor": "playbooks/doctor.yml",
    "role": "plugins/plugin_utils/_outcome/templates/connection.yml.j2",
}


def variables_of(file: str) -> dict[str, str]:
    found = yaml.safe_load((ROOT / file).read_text())
    return (found if isinstance(found, dict) else found[0])["vars"]  # type: ignore[no-any-return]


@pytest.mark.takes_seconds
@pytest.mark.parametrize("given", ["nothing", "command line", "environment", "configuration", "inventory"])
def test_a_play_adds_to_the_arguments_that_were_given(tmp_path: Path, given: str) -> None:
    plays = [
        {
            "hosts": "all",
            "gather_facts": False,
            "vars": variables_of(file),
            "tasks": [
                {
                    "delegate_to": "localhost",
                    "ansible.builtin.copy": {
                        "content": "{{ ansible_ssh_extra_args }}",
                        "dest": f"{tmp_path}/{name}.txt",
                        "mode": "0600",
                    },
                }
            ],
        }
        for name, file in WITH_VARIABLES.items()
    ]
    (tmp_path / "plays.yml").write_text(json.dumps(plays))
    if given == "configuration":
        (tmp_path / "ansible.cfg").write_text("[ssh_connection]\nssh_extra_args=-o Tag=x\n")
    host = {"ansible_ssh_extra_args": "-o Tag=x"} if given == "inventory" else {}
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": {"web": host, "localhost": local}}}))
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks/collections")}
    environment |= {"ANSIBLE_SSH_EXTRA_ARGS": "-o Tag=x"} if given == "environment" else {}
    command = ["ansible-playbook", "-i", "hosts.json", "--limit", "web", "plays.yml"]
    command += ["--ssh-extra-args=-o Tag=x"] if given == "command line" else []
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in WITH_VARIABLES:
        arguments = (tmp_path / f"{name}.txt").read_text()
        assert ("-o Tag=x" in arguments) == (given != "nothing"), (name, arguments)
        assert "-o ServerAliveInterval=5" in arguments
