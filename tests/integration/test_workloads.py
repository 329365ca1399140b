# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The workloads of benchmarks/ that need programs of the distribution: each runs, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import ROOT, play

# Shorter than the studies have it, and less data.
SHORT = {
    "WEB_SECONDS": "1",
    "REDIS_REQUESTS": "5000",
    "LATENCY_SECONDS": "1",
    "POSTGRES_SECONDS": "1",
    "POSTGRES_SCALE": "1",
    "POSTGRES_ON_TMPFS": "1",
    "FIO_SECONDS": "1",
}
SERVICES = "nginx: |redis-server |sockperf server"


def dry_runs(folder: Path, workloads: Sequence[str], **settings: Any) -> Path:
    """A playbook that tries these workloads, one after the other, and changes nothing."""
    playbook = folder / "workloads.yml"
    plays = [
        {
            "name": f"Try {workload}",
            "ansible.builtin.import_playbook": str(ROOT / "playbooks/tune.yml"),
            "vars": {"study": str(ROOT / f"benchmarks/{workload}/study.yml"), "dry_run": True, **settings},
        }
        for workload in workloads
    ]
    playbook.write_text(yaml.safe_dump(plays))
    return playbook


def test_services_run_on_the_host_and_their_load_on_another(lab: Any, tmp_path: Path) -> None:
    generator = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (tmp_path / "generator.yml").write_text(yaml.safe_dump({"all": {"hosts": {"generator": generator}}}))
    playbook = dry_runs(tmp_path, ["web", "redis", "latency"], run_on="generator", benchmark_environment=SHORT)
    ran = lab.play("-i", str(tmp_path / "generator.yml"), str(playbook), "--limit", "lab1")
    assert ran.stdout.count("the benchmark works") == 3, ran.stdout
    for found in ("requests_per_second in", "get_requests_per_second in", "latency_p99_us in"):
        assert found in ran.stdout
    for guard in ("latency", "redis-pipelined"):
        assert f"guard benchmark {guard} works on lab1" in ran.stdout
    assert lab.run("lab1", "pgrep", "-fa", SERVICES, check=False).stdout == ""
    assert lab.run("lab1", "sh", "-c", "ls -d /tmp/autotune.*", check=False).stdout == ""


@pytest.mark.this_machine
@pytest.mark.skipif(os.geteuid() != 0, reason="role workload and PostgreSQL's own account take root")
def test_what_is_machine_wide_runs_here(tmp_path: Path) -> None:
    playbook = dry_runs(tmp_path, ["postgres", "fio", "scheduler"])
    environment = json.dumps({"benchmark_environment": {**SHORT, "FIO_FOLDER": str(tmp_path)}})
    ran = play(str(playbook), "-i", str(ROOT / "inventories/local"), "-e", environment)
    assert ran.stdout.count("the benchmark works") == 3, ran.stdout
    for found in ("tps in", "write_iops in", "seconds in"):
        assert found in ran.stdout
    left = subprocess.run(["pgrep", "-fa", "autotune\\.[A-Za-z0-9]{10}/data"], capture_output=True, text=True).stdout
    assert left == ""
    assert not list(tmp_path.glob("autotune-fio.*"))
