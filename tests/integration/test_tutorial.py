# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""docs/tutorial.md, followed to the letter up to the dry run, on a host that is a network namespace of its own.

Its further commands are those of tune/test_tune.py and test_learned_role.py.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = (ROOT / "docs/tutorial.md").read_text()
SERVICE = "python3 -m http.server 8080 --bind 127.0.0.1"
SCRIPT = """
ip link set lo up
{service} >service.log 2>&1 &
trap 'kill $!' EXIT
until python3 -c 'import socket; socket.create_connection(("127.0.0.1", 8080))' 2>/dev/null; do
    kill -0 $! || exit 1
    sleep 0.1
done
{commands}
"""

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace takes root"),
    pytest.mark.this_machine,
]


def block(language: str) -> str:
    return re.findall(rf"```{language}\n(.*?)```", TUTORIAL, re.DOTALL)[0]


def command(beginning: str, end: str) -> str:
    return re.findall(rf"^{re.escape(beginning)}.*{re.escape(end)}$", TUTORIAL, re.MULTILINE)[0]


def test_its_files_and_commands_work(tmp_path: Path) -> None:
    assert f"```sh\n{SERVICE}\n```" in TUTORIAL
    (tmp_path / "inventory.ini").write_text(block("ini"))
    (tmp_path / "my_benchmark.py").write_text(block("python").replace("SECONDS = 5", "SECONDS = 0.3"))
    (tmp_path / "study.yml").write_text(block("yaml"))
    commands = [command("ansible web1", "catalogue=true"), command("ansible-playbook", "dry_run=true")]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks/collections"),
        "ANSIBLE_NOCOLOR": "1",
    }
    ran = subprocess.run(
        ["unshare", "--net", "sh", "-ec", SCRIPT.format(service=SERVICE, commands="\n".join(commands))],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert '"net.core.somaxconn"' in ran.stdout
    assert "would try net.core.somaxconn: now " in ran.stdout
    assert "the benchmark works" in ran.stdout
    assert not (tmp_path / "learned").exists()
