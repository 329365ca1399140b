# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A preset on a real host: the play looks at it first, and tries what is there and safe."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STUDY = """\
workload_name: trial
reward_metric: speed
benchmark_command: python3 bench.py
parameters: preset:network-throughput
training_config: {total_timesteps: 4}
"""

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace takes root"),
    pytest.mark.this_machine,
]


def dry_run(folder: Path, study: str) -> str:
    """What a dry run shows on a host that is a network namespace of its own."""
    (folder / "study.yml").write_text(study)
    (folder / "bench.py").write_text("print('speed: 1')\n")
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "study": folder / "study.yml",
        "output": folder / "learned",
        "dry_run": "true",
    }
    play = [str(Path(sys.executable).with_name("ansible-playbook")), "playbooks/tune.yml", "-i", "localhost,"]
    extra = [word for name, value in variables.items() for word in ("-e", f"{name}={value}")]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "false"}
    return subprocess.run(
        ["unshare", "--net", *play, *extra], cwd=ROOT, env=environment, capture_output=True, text=True
    ).stdout


def test_tries_what_the_host_has_and_no_more_than_is_safe_there(tmp_path: Path) -> None:
    shown = dry_run(tmp_path, STUDY)
    assert "accepts the bounds of the ranges" in shown, shown
    assert "note: net.core.netdev_max_backlog is left out: it cannot be set on localhost" in shown
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    most = min(128 * 2**20, max(memory // 16, 16 * 2**20))
    assert re.search(rf"would tune net.ipv4.tcp_rmem: .* to 4096 131072 {most}$", shown, re.MULTILINE)


def test_what_is_not_safe_on_the_host_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    own = f"action_space: [{{param: vm.dirty_bytes, min: 8388608, max: {most}}}]"
    shown = dry_run(tmp_path, STUDY.replace("parameters: preset:network-throughput", own))
    assert re.search(rf"vm.dirty_bytes: {most} is not within the safe range 1048576 to \d+ of this host; ", shown)
    assert "nothing was written" in shown
    assert "Gather kernel parameters of the hosts" in shown
    assert "skipping: [localhost]" in shown, "only a preset makes the play look at all hosts before"
