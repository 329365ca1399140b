# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The commands of README and docs/tutorial.md, run literally (documented_commands.py names the tests of the others).

Those before the roll-out run in a network namespace, against the tutorial's own service and inventory; those of the
roll-out on a host of the lab, since they leave files behind.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.learned_role import carry_out, plan
from ansible_collections.autotune.kernel.tests.documented_commands import (
    PAGES,
    README,
    ROOT,
    RUN_BY,
    TUTORIAL,
    block,
    commands,
    edit_as_told,
    run_literally,
)

SERVICE = "python3 -m http.server 8080 --bind 127.0.0.1"
WITH_SERVICE = f"""
ip link set lo up
{SERVICE} >service.log 2>&1 &
trap 'kill $!' EXIT
until python3 -c 'import socket; socket.create_connection(("127.0.0.1", 8080))' 2>/dev/null; do
    kill -0 $! || exit 1
    sleep 0.1
done
"""
LITERALLY = run_literally()
ROLL_OUT = [command for command in LITERALLY if command.startswith("ansible-playbook learned/web/")]

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces require root"),
    pytest.mark.this_machine,
]


def shell(script: str, folder: Path, *prefix: str) -> str:
    """The output of a script that succeeds, run as a reader would run it in their folder."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks/collections"),
        "ANSIBLE_NOCOLOR": "1",
    }
    ran = subprocess.run([*prefix, "sh", "-ec", script], cwd=folder, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_the_commands_before_the_roll_out_work(tmp_path: Path) -> None:
    (tmp_path / "inventory.ini").write_text(block(TUTORIAL, "ini"))
    new, *literally = [command for command in LITERALLY if command not in ROLL_OUT]
    assert " autotune.kernel.new " in new
    shell(new, tmp_path)
    edit_as_told(tmp_path / "web")
    literally.remove(SERVICE)
    printed = shell("\n".join([WITH_SERVICE, *literally]), tmp_path, "unshare", "--net")
    assert '"net.ipv4.tcp_wmem"' in printed
    assert "would tune net.ipv4.tcp_wmem: now " in printed
    assert not (tmp_path / "learned").exists()


def test_the_commands_that_take_minutes_are_accepted(tmp_path: Path) -> None:
    """Their options and settings, that is; the tests in RUN_BY run them."""
    (tmp_path / "study.yml").write_text(block(README, "yaml"))
    for inventory in ("inventory", "inventory.ini"):
        (tmp_path / inventory).write_text(block(TUTORIAL, "ini"))
    tune = [command for command in RUN_BY if re.search(r" autotune\.kernel\.(check|tune) ", command)]
    shell("\n".join(f"{command} --syntax-check" for command in tune if "dry_run" not in command), tmp_path)


def test_the_commands_of_the_roll_out_work(
    tmp_path: Path,
    lab_of_its_own: Callable[..., AbstractContextManager[Any]],
    write_result: Callable[..., Path],
) -> None:
    carry_out(plan(write_result(tmp_path / "learned/web", {"net.ipv4.tcp_fin_timeout": 31})))
    with lab_of_its_own(lab_hosts=1) as lab:
        content = json.loads(lab.inventory.read_text())["lab"]
        variables = {**content.get("vars", {}), **content["hosts"]["lab1"]}
        given = " ".join(f"{name}={json.dumps(str(value))}" for name, value in variables.items())
        (tmp_path / "inventory.ini").write_text(f"web1 {given}\n")
        original = lab.sysctl("lab1", "net.ipv4.tcp_fin_timeout")
        seen = []
        for command in ROLL_OUT:
            shell(command, tmp_path)
            seen.append(lab.sysctl("lab1", "net.ipv4.tcp_fin_timeout"))
        assert seen == [original, "31", original]


def test_every_command_is_run_here_or_by_a_named_test() -> None:
    documented = {command for page in PAGES for command in commands(page)}
    assert documented == set(LITERALLY) | RUN_BY.keys()
    assert len(ROLL_OUT) == 3
