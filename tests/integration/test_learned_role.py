# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The learned role on real hosts: applied in batches, restored when a host is unhealthy, rolled back exactly."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _dropin
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.learned_role import carry_out, plan

ROOT = Path(__file__).resolve().parents[2]
VALUES = {"net.core.somaxconn": 3333, "net.ipv4.tcp_fin_timeout": 31, "net.ipv4.tcp_rmem": "4096 131072 33554432"}
LEASE = "/run/autotune/lease.json"
DROP_IN = "/etc/sysctl.d/autotune-wan.conf"
# Values, files with content, owner and mode, leases and records; not the locks, nor the verdict, which is for reading.
STATE = f"""
sysctl {" ".join(VALUES)}
find /etc/sysctl.d /var/lib/autotune /run/autotune -type f ! -name '*lock' ! -name verdict.json \\
    -exec stat -c '%n %U:%G %a' {{}} + -exec sha256sum {{}} + 2>/dev/null | sort
"""


# A cut link is noticed sooner than by the playbooks' own settings.
IMPATIENT = "ansible_ssh_extra_args='-o ServerAliveInterval=1 -o ServerAliveCountMax=2 -o ConnectTimeout=3'"


# What a description may bring with it.
PARAMETERS = [
    {
        "param": "net.core.somaxconn",
        "description": "{{ lookup('pipe', 'touch pwned') }}\n- \"listen\": 'queue' \x85 # [[ x ]]",
        "original": {"lab1": "4096"},
        "learned": 3333,
    }
]


@pytest.fixture(scope="module")
def hosts(lab_of_its_own: Callable[..., AbstractContextManager[Any]]) -> Iterator[Any]:
    """Three hosts, of which the second has a drop-in of the same name already, from an earlier installation."""
    text = _dropin.text_for("autotune-wan", {"net.core.somaxconn": "4096"})
    with lab_of_its_own(lab_hosts=3) as lab:
        write = f"printf %s '{text}' > {DROP_IN}; chmod 640 {DROP_IN}; chown daemon {DROP_IN}"
        lab.run("lab2", "sh", "-c", write)
        yield lab


@pytest.fixture
def wan(hosts: Any, write_result: Callable[..., Path], tmp_path: Path) -> Iterator[Path]:
    """learned/wan, and afterwards hosts as they were found."""
    before = states(hosts)
    folder = write_result(tmp_path / "learned/wan", VALUES, parameters=PARAMETERS)
    carry_out(plan(folder))
    yield folder
    for host in hosts.hosts:
        hosts.run(host, "rm", "-f", "/run/unwell", "/run/asked", "/run/go")
    hosts.play(str(folder / "rollback.yml"))
    assert states(hosts) == before


def states(lab: Any) -> dict[str, str]:
    return {host: lab.run(host, "sh", "-c", STATE).stdout for host in lab.hosts}


def has_the_values(lab: Any, host: str) -> bool:
    return all(lab.sysctl(host, parameter) == str(value) for parameter, value in VALUES.items())


def changed(output: str) -> dict[str, int]:
    """Host -> number of changed tasks, from the recap."""
    return {host: int(number) for host, number in re.findall(r"^(\S+) +: ok=\d+ +changed=(\d+)", output, re.MULTILINE)}


def test_applies_once_and_goes_back_to_exactly_what_was_there(hosts: Any, wan: Path) -> None:
    before = states(hosts)
    foreseen = hosts.play(str(wan / "apply.yml"), "--check", "--diff")
    assert changed(foreseen.stdout) == {"lab1": 1, "lab2": 1, "lab3": 1}
    assert "+net.core.somaxconn = 3333" in foreseen.stdout
    assert states(hosts) == before

    applied = hosts.play(str(wan / "apply.yml"))
    assert set(changed(applied.stdout)) == set(hosts.hosts)
    assert all(changed(applied.stdout).values())
    for host in hosts.hosts:
        assert has_the_values(hosts, host)
        assert "net.core.somaxconn = 3333" in hosts.run(host, "cat", DROP_IN).stdout
        assert hosts.run(host, "test", "-e", LEASE, check=False).returncode != 0
    after = states(hosts)

    nothing = {"lab1": 0, "lab2": 0, "lab3": 0}
    assert changed(hosts.play(str(wan / "apply.yml")).stdout) == nothing
    assert changed(hosts.play(str(wan / "apply.yml"), "--check").stdout) == nothing
    assert states(hosts) == after

    assert changed(hosts.play(str(wan / "rollback.yml"), "--check").stdout) == {"lab1": 1, "lab2": 1, "lab3": 1}
    assert states(hosts) == after
    assert changed(hosts.play(str(wan / "rollback.yml")).stdout) == {"lab1": 1, "lab2": 1, "lab3": 1}
    assert states(hosts) == before
    assert changed(hosts.play(str(wan / "rollback.yml")).stdout) == nothing


def test_a_host_that_is_not_well_takes_its_batch_back_and_spares_the_next(hosts: Any, wan: Path) -> None:
    before = states(hosts)
    hosts.run("lab2", "touch", "/run/unwell")
    # Well is only who has the new values, so that this cannot pass by looking too early.
    well = "test ! -e /run/unwell && test $(cat /proc/sys/net/core/somaxconn) = 3333"
    variables = {"batches": [2, "100%"], "health_command": ["sh", "-c", well]}
    run = hosts.play(str(wan / "apply.yml"), "-e", json.dumps(variables), check=False)
    assert run.returncode == 2
    assert "unhealthy or unreachable hosts in this batch: lab2" in run.stdout
    assert set(changed(run.stdout)) == {"lab1", "lab2"}
    assert states(hosts) == before

    hosts.run("lab2", "rm", "/run/unwell")
    hosts.play(str(wan / "apply.yml"), "-e", json.dumps(variables))
    assert all(has_the_values(hosts, host) for host in hosts.hosts)


def test_a_failed_batch_of_a_second_role_leaves_the_first_one(
    hosts: Any, wan: Path, write_result: Callable[..., Path]
) -> None:
    hosts.play(str(wan / "apply.yml"), "-e", '{"batches": ["100%"]}')
    files = {host: hosts.run(host, "cat", DROP_IN).stdout for host in hosts.hosts}
    carry_out(plan(write_result(wan, {"net.core.somaxconn": 4444})))
    unwritable = "mount --bind /etc/sysctl.d /etc/sysctl.d && mount -o remount,bind,ro /etc/sysctl.d"
    hosts.run("lab2", "sh", "-c", unwritable)
    try:
        run = hosts.play(str(wan / "apply.yml"), "-e", '{"batches": ["100%"]}', check=False)
    finally:
        hosts.run("lab2", "umount", "/etc/sysctl.d")
    assert run.returncode == 2
    assert changed(run.stdout)["lab1"] == 3, "leased, confirmed and undone"
    assert all(has_the_values(hosts, host) for host in hosts.hosts)
    assert {host: hosts.run(host, "cat", DROP_IN).stdout for host in hosts.hosts} == files


def test_two_runs_at_once_leave_each_others_leases_alone(hosts: Any, wan: Path) -> None:
    hosts.play(str(wan / "rollback.yml"))
    before = states(hosts)
    waits = "touch /run/asked; for try in $(seq 600); do test ! -e /run/go || exit 0; sleep .1; done; exit 1"
    variables = {"batches": ["100%"], "lease_seconds": 600, "health_seconds": 60, "health_command": ["sh", "-c", waits]}
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(hosts.play, str(wan / "apply.yml"), "-e", json.dumps(variables), check=False)
        try:
            for host in hosts.hosts:
                hosts.run(host, "sh", "-c", "for try in $(seq 600); do test ! -e /run/asked || exit 0; sleep .1; done")
            leases = {host: hosts.run(host, "cat", LEASE).stdout for host in hosts.hosts}
            second = hosts.play(str(wan / "apply.yml"), "-e", '{"batches": ["100%"]}', check=False)
            assert second.returncode == 2
            assert re.search("apply-wan:.* holds a lease on this host for another", second.stdout)
            assert "Nothing was changed on this host." in second.stdout
            assert changed(second.stdout) == dict.fromkeys(hosts.hosts, 0)
            assert {host: hosts.run(host, "cat", LEASE).stdout for host in hosts.hosts} == leases
            # A roll-back ends it, and says so before.
            assert changed(hosts.play(str(wan / "rollback.yml"), "--check").stdout) == dict.fromkeys(hosts.hosts, 1)
            hosts.play(str(wan / "rollback.yml"))
        finally:
            for host in hosts.hosts:
                hosts.run(host, "touch", "/run/go")
    assert first.result().returncode == 2
    assert "has ended" in first.result().stdout
    assert states(hosts) == before


@pytest.mark.slow
def test_a_confirmation_that_comes_after_the_lease_sets_nothing(hosts: Any, wan: Path) -> None:
    hosts.play(str(wan / "rollback.yml"))
    before = states(hosts)
    variables = {"batches": ["100%"], "lease_seconds": 2, "health_command": ["sleep", "5"]}
    run = hosts.play(str(wan / "apply.yml"), "-e", json.dumps(variables), check=False)
    assert run.returncode == 2
    assert "has ended (the host restored and verified its original values at" in " ".join(run.stdout.split())
    assert states(hosts) == before


def test_a_host_that_is_cut_off_puts_itself_back(hosts: Any, wan: Path) -> None:
    before = states(hosts)
    variables = {
        "batches": ["100%"],
        "lease_seconds": 10,
        "health_seconds": 3,
        "health_command": ["sh", "-c", "test ! -e /run/unwell || ip link set eth0 down"],
    }
    hosts.run("lab2", "touch", "/run/unwell")
    run = hosts.play(str(wan / "apply.yml"), "-e", json.dumps(variables), "-e", IMPATIENT, check=False)
    assert run.returncode == 2
    assert "This host is unreachable and will restore its previous values when its lease expires." in run.stdout
    assert changed(run.stdout)["lab2"] == 1, "nothing was lent to it"
    until = time.monotonic() + 180
    while states(hosts) != before and time.monotonic() < until:
        time.sleep(1)
    assert states(hosts) == before
    assert hosts.run("lab2", "cat", "/sys/class/net/eth0/operstate").stdout == "down\n"
    hosts.run("lab2", "ip", "link", "set", "eth0", "up")


@pytest.mark.slow
def test_a_host_that_cannot_be_reached_does_not_stop_the_way_back(hosts: Any, wan: Path) -> None:
    before = states(hosts)
    hosts.play(str(wan / "apply.yml"), "-e", '{"batches": ["100%"]}')
    subprocess.run(["ip", "link", "set", hosts.link("lab2"), "down"], check=True)
    try:
        run = hosts.play(str(wan / "rollback.yml"), "-e", IMPATIENT, check=False)
    finally:
        subprocess.run(["ip", "link", "set", hosts.link("lab2"), "up"], check=True)
    assert run.returncode == 4
    now = states(hosts)
    assert now["lab2"] != before["lab2"]
    assert {host: now[host] for host in ("lab1", "lab3")} == {host: before[host] for host in ("lab1", "lab3")}
    assert changed(hosts.play(str(wan / "rollback.yml")).stdout) == {"lab1": 0, "lab2": 1, "lab3": 0}


def test_the_role_alone_works_in_any_playbook(hosts: Any, wan: Path) -> None:
    (wan / "own.yml").write_text("- hosts: lab1\n  gather_facts: false\n  roles: [wan]\n")
    assert changed(hosts.play(str(wan / "own.yml")).stdout) == {"lab1": 1}
    assert has_the_values(hosts, "lab1")
    assert changed(hosts.play(str(wan / "own.yml")).stdout) == {"lab1": 0}


def write_by_action(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    playbook = folder.parent / "write.yml"
    task = {"autotune.kernel.learned_role": {"path": str(folder)}, "register": "written"}
    shown = {"ansible.builtin.debug": {"msg": "role={{ written.role }} files={{ written.files | length }}"}}
    # No host is contacted: this one does not exist.
    play = {"hosts": "all", "gather_facts": False, "tasks": [task, shown]}
    playbook.write_text(json.dumps([play]))
    command = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        "-i",
        "nowhere.invalid,",
        str(playbook),
        *arguments,
    ]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_the_action_writes_what_the_result_says(tmp_path: Path, write_result: Callable[..., Path]) -> None:
    folder = write_result(tmp_path / "wan", VALUES)
    foreseen = write_by_action(folder, "--check", "--diff")
    assert changed(foreseen.stdout) == {"nowhere.invalid": 1}
    assert "+  net.core.somaxconn: 3333" in foreseen.stdout
    assert [path.name for path in folder.iterdir()] == ["result.json"]
    written = write_by_action(folder)
    assert changed(written.stdout) == {"nowhere.invalid": 1}
    assert "role=wan files=9" in written.stdout
    assert changed(write_by_action(folder).stdout) == {"nowhere.invalid": 0}

    write_result(folder, VALUES, verdict="no_improvement")
    removed = write_by_action(folder)
    assert changed(removed.stdout) == {"nowhere.invalid": 1}
    assert "role= files=1" in removed.stdout or "role=None files=1" in removed.stdout
    assert not (folder / "apply.yml").exists()
    assert (folder / "rollback.yml").exists()


@pytest.mark.parametrize("damage", ["missing", "foreign"])
def test_the_action_refuses_in_one_line(tmp_path: Path, write_result: Callable[..., Path], damage: str) -> None:
    folder = tmp_path / "wan"
    folder.mkdir()
    if damage == "foreign":
        write_result(folder, VALUES)
        (folder / "apply.yml").write_text("mine")
    run = write_by_action(folder)
    assert run.returncode == 2
    said = {"missing": f"{folder}/result.json does not exist", "foreign": f"{folder}/apply.yml has no line"}[damage]
    assert said in run.stdout + run.stderr
    assert "Traceback" not in run.stdout + run.stderr


@pytest.mark.parametrize("workload", ["wan", pytest.param("a-" + "long-" * 12, marks=pytest.mark.slow)])
def test_what_is_written_passes_the_production_profile(
    tmp_path: Path, write_result: Callable[..., Path], workload: str
) -> None:
    own = {"workload_name": workload.rstrip("-"), "study": {"allow_unsafe": ["net.core.somaxconn"]}}
    folder = write_result(tmp_path / "learned", VALUES, parameters=PARAMETERS, **own)
    carry_out(plan(folder))
    command = [
        str(Path(sys.executable).with_name("ansible-lint")),
        "--offline",
        "--profile",
        "production",
        "--strict",
        ".",
    ]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks/collections"), "NO_COLOR": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    lint = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert lint.returncode == 0, lint.stdout + lint.stderr
    assert re.search(r"in [78] files processed", lint.stdout + lint.stderr), "nothing was looked at"
    assert not list(tmp_path.rglob("pwned"))


def test_ansible_doc_shows_the_action() -> None:
    command = [str(Path(sys.executable).with_name("ansible-doc")), "autotune.kernel.learned_role"]
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks/collections"),
        "ANSIBLE_NOCOLOR": "1",
    }
    shown = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "`result.json'" in shown.stdout
    assert "path" in shown.stdout
