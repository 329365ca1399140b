# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The main job, end to end: tune, apply the role, roll it back."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.autotune.kernel.plugins.plugin_utils._store import store

INVENTORIES = Path(__file__).resolve().parents[3] / "inventories"
# So little noise that chance never makes a parameter look as if it were worth keeping.
QUIET = """
import random
read = lambda name: open("/proc/sys/net/ipv4/" + name).read().split()
worth = 100 + int(read("tcp_fin_timeout")[0]) / 2 + (10 if read("tcp_congestion_control") == ["bbr"] else 0)
print(f"throughput: {random.gauss(worth, worth / 1000):.3f}")
"""
pytestmark = pytest.mark.usefixtures("untouched")


def test_learns_proves_applies_and_rolls_back(
    lab: Any, tune: Callable[..., Any], write_study: Callable[..., Path]
) -> None:
    before = {host: lab.sysctl(host, "net.ipv4.tcp_fin_timeout") for host in lab.hosts}

    training = {"total_timesteps": 8, "benchmark_timeout": 5}
    proof = {"pairs": 4, "candidates": 2}
    run = tune(write_study(QUIET, algorithm="ppo", training_config=training, verification=proof), hosts="lab")

    assert run.process.returncode == 0, run.text
    result = run.result
    assert result["verdict"] == "improved", run.text
    assert result["interval"][0] > 0
    assert result["p_value"] < 0.05
    assert result["trials"]["train"] == 8
    assert result["pairs"] == 4
    assert set(result["per_host"]) == set(lab.hosts)
    assert len(run.trials) == result["trials"]["total"]
    # There is nothing to ablate where the surrogate has already put back all but one of the values.
    phases = {row.phase for row in run.trials}
    assert phases - {"ablate"} == {"baseline", "train", "race", "verify", "recovery"}
    # What the sensor does not feel is not in the role.
    decisions = {each["param"]: each["decision"] for each in result["ablation"]["contributions"]}
    assert decisions["net.ipv4.tcp_rmem"] in ("dropped", "reset"), result["ablation"]
    assert set(result["best_config"]) == {name for name, decision in decisions.items() if decision == "kept"}
    assert "dropped, not shown to contribute: " in run.text or "reset before the race" in run.text
    assert f"{result['trials']['total']}/" in run.text
    trained = [row for row in run.trials if row.phase == "train"]
    assert all(row.observations.keys() == {"cpu_usage", "memory_used_percent"} for row in trained)
    assert all(
        row.applied["net.ipv4.tcp_fin_timeout"] == str(row.requested["net.ipv4.tcp_fin_timeout"]) for row in trained
    )

    learned = run.output / "sensor"
    applied = lab.play(str(learned / "apply.yml"))
    assert "changed=0" not in applied.stdout
    wanted = str(result["best_config"]["net.ipv4.tcp_fin_timeout"])
    assert {lab.sysctl(host, "net.ipv4.tcp_fin_timeout") for host in lab.hosts} == {wanted}
    again = lab.play(str(learned / "apply.yml"))
    assert again.stdout.count("changed=0") == len(lab.hosts), again.stdout

    lab.play(str(learned / "rollback.yml"))
    assert {host: lab.sysctl(host, "net.ipv4.tcp_fin_timeout") for host in lab.hosts} == before


def test_where_nothing_is_better_there_is_no_role_and_hosts_beyond_the_forks_come_too_late(
    tune: Callable[..., Any], write_study: Callable[..., Path]
) -> None:
    noise = "import random\nprint(f'throughput: {random.gauss(100, 1):.3f}')"

    # With 1 % noise a gain of 5 % cannot be luck, so this cannot fail by chance.
    run = tune(
        write_study(noise, verification={"pairs": 4, "candidates": 1, "min_improvement": 5.0}),
        "--forks",
        "1",
        "-e",
        "debug=true",
        hosts="lab",
    )

    assert run.process.returncode == 0, run.text
    assert run.result["verdict"] == "no_improvement"
    assert not (run.output / "sensor/roles").exists()
    assert not (run.output / "sensor/apply.yml").exists()
    assert "use --forks 2 to run all of them" in run.text
    assert "joined after the study had finished; raise --forks" in run.text
    assert list(run.result["per_host"]) == ["lab1"]
    log = run.output / "sensor" / "debug.log"
    assert log.stat().st_mode & 0o777 == 0o600
    lines = log.read_text().splitlines()
    assert all(re.match(r"\S+Z (worker\[\d+\] lab\d|trainer\[\d+\] (lab\d|-)) \S+: ", line) for line in lines)
    assert {line.split()[2] for line in lines} == {"lab1", "lab2", "-"}
    assert any('calls sysctl with {"holder": ' in line and '"nonce": "***"' in line for line in lines)


def test_a_dry_run_changes_nothing_and_says_what_would_be_tried(
    tune: Callable[..., Any], write_study: Callable[..., Path]
) -> None:
    run = tune(write_study(), "-e", "dry_run=true")

    assert run.process.returncode == 0, run.text
    assert "would tune net.ipv4.tcp_fin_timeout: now 60, from 10 to 300" in run.text
    assert "the benchmark works" in run.text
    assert not run.output.exists()


def test_a_dry_run_shows_what_a_host_would_refuse(tune: Callable[..., Any], write_study: Callable[..., Path]) -> None:
    # It wants three numbers.
    short = {"param": "net.ipv4.tcp_rmem", "elements": [{"value": 4096}, {"min": 8192, "max": 131072}]}

    run = tune(write_study(action_space=[short]), "--check")

    assert run.process.returncode != 0
    assert "net.ipv4.tcp_rmem" in run.text
    assert "the benchmark works" not in run.text


@pytest.mark.slow
@pytest.mark.this_machine
def test_runs_on_this_machine_without_sshd(tune: Callable[..., Any], write_study: Callable[..., Path]) -> None:
    # Nobody here runs out of terminals.
    own = Path("/proc/sys/kernel/pty/reserve")
    before = own.read_text()
    space = [{"param": "kernel.pty.reserve", "min": int(before), "max": int(before) * 2}]
    script = f"print('throughput:', open({str(own)!r}).read().strip())"

    run = tune(write_study(script, action_space=space), inventory=INVENTORIES / "local")

    assert run.process.returncode == 0, run.text
    assert run.result["verdict"] == "improved"
    assert run.result["trials"]["train"] == 5
    assert own.read_text() == before


@pytest.mark.slow
@pytest.mark.this_machine
def test_hosts_beyond_the_forks_stay_in_one_study_when_others_fail_early(
    tune: Callable[..., Any], write_study: Callable[..., Path], tmp_path: Path
) -> None:
    """Eight names of this machine and five forks: all but one are refused, and make room for those that still wait."""
    own = Path("/proc/sys/kernel/pty/reserve")
    before = own.read_text()
    space = [{"param": "kernel.pty.reserve", "min": int(before), "max": int(before) * 2}]
    script = f"import time\ntime.sleep(0.5)\nprint('throughput:', open({str(own)!r}).read().strip())"
    inventory = tmp_path / "inventory.yml"
    local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {f"h{at}": local for at in range(1, 9)}}}))

    run = tune(write_study(script, action_space=space), "--forks", "5", inventory=inventory)

    engine = store.open_store(f"sqlite:///{run.output}/autotune.sqlite")
    assert len(store.studies(engine)) == 1, run.text
    assert run.result["verdict"] == "improved", run.text
    assert len(run.result["per_host"]) == 1
    assert run.text.count("[autotune] study sensor: ") == 1
    assert own.read_text() == before
