# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab, built by its playbook: what is in it, what it leaves behind, what it refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Lab = Any  # conftest.Lab, which pytest keeps to itself
ROOT = Path(__file__).resolve().parents[2]
HOSTS = ["lab1", "lab2"]


def ssh(lab: Lab, address: str, command: str, known_hosts: Path | None = None) -> subprocess.CompletedProcess[str]:
    options = {
        "UserKnownHostsFile": known_hosts or lab.directory / "known_hosts",
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
        "IdentityFile": lab.directory / "key",
        "IdentitiesOnly": "yes",
        "ControlPath": "none",
    }
    arguments = [argument for name, value in options.items() for argument in ("-o", f"{name}={value}")]
    return subprocess.run(["ssh", *arguments, f"root@{address}", command], capture_output=True, text=True, timeout=120)


# What a host is


@pytest.mark.parametrize("host", HOSTS)
def test_answers_over_ssh_with_its_own_name(lab: Lab, host: str) -> None:
    answer = ssh(lab, lab.hosts[host], "hostname")
    assert (answer.stdout.strip(), answer.returncode) == (host, 0), answer.stderr


def test_proves_who_it_is(lab: Lab, tmp_path: Path) -> None:
    """With the other host's key in known_hosts, ssh refuses."""
    keys = (lab.directory / "known_hosts").read_text().splitlines()
    key_of = {line.split()[0]: line.split(maxsplit=1)[1] for line in keys}
    swapped = tmp_path / "known_hosts"
    swapped.write_text(f"{lab.hosts['lab1']} {key_of[lab.hosts['lab2']]}\n")
    answer = ssh(lab, lab.hosts["lab1"], "true", swapped)
    assert answer.returncode == 255
    assert "Host key verification failed" in answer.stderr


def test_lets_nobody_in_without_the_key(lab: Lab, tmp_path: Path) -> None:
    stranger = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(stranger)], check=True)
    known = f"UserKnownHostsFile={lab.directory}/known_hosts"
    command = ["ssh", "-o", known, "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "ControlPath=none"]
    answer = subprocess.run(
        [*command, "-i", str(stranger), f"root@{lab.hosts['lab1']}", "true"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert answer.returncode == 255
    assert "Permission denied (publickey)" in answer.stderr


def test_works_with_ansible_and_its_own_inventory(lab: Lab, tmp_path: Path) -> None:
    playbook = tmp_path / "ping.yml"
    task = {"name": "Ping", "ansible.builtin.ping": None}
    playbook.write_text(json.dumps([{"name": "Ping", "hosts": "all", "gather_facts": False, "tasks": [task]}]))
    ran = lab.play(str(playbook))
    assert [host for host in HOSTS if re.search(rf"{host} .*ok=1 .*unreachable=0", ran.stdout)] == HOSTS


def test_inventory_script_shows_the_lab_that_is_up(lab: Lab) -> None:
    script = ROOT / "inventories" / "lab" / "lab.py"
    environment = {**os.environ, "AUTOTUNE_LAB_DIRECTORY": str(lab.directory)}
    shown = json.loads(subprocess.run([script, "--list"], env=environment, capture_output=True, check=True).stdout)
    assert shown["lab"]["hosts"] == HOSTS
    assert {host: own["ansible_host"] for host, own in shown["_meta"]["hostvars"].items()} == lab.hosts
    assert shown["lab"]["vars"]["benchmark_environment"] == {"WAN_SERVER": "198.18.0.2"}


def test_without_a_lab_the_inventory_says_how_to_get_one(lab: Lab, tmp_path: Path) -> None:
    inventory = ROOT / "inventories" / "lab"
    ansible = [
        str(Path(sys.executable).with_name("ansible")),
        "-i",
        str(inventory),
        "all",
        "-m",
        "ansible.builtin.ping",
    ]
    environment = {**os.environ, "AUTOTUNE_LAB_DIRECTORY": str(tmp_path / "none")}
    ran = subprocess.run(ansible, env=environment, capture_output=True, text=True)
    assert ran.returncode != 0
    assert "playbooks/lab.yml builds one" in ran.stdout


@pytest.mark.parametrize("namespace", ["net", "mnt", "pid", "uts", "ipc"])
def test_has_namespaces_of_its_own(lab: Lab, namespace: str) -> None:
    theirs = {host: os.readlink(f"/proc/{lab.process(host)}/ns/{namespace}") for host in HOSTS}
    assert len({*theirs.values(), os.readlink(f"/proc/self/ns/{namespace}")}) == 3


@pytest.mark.parametrize("place", ["/etc/sysctl.d", "/run", "/var/lib", "/tmp", "/root", "/dev/shm"])
def test_keeps_what_is_written_there_to_itself(lab: Lab, place: str) -> None:
    name = f"{place}/99-autotune-lab-test.conf"
    try:
        lab.run("lab1", "sh", "-c", f"echo net.ipv4.tcp_fin_timeout = 61 > {name}")
        assert "61" in lab.run("lab1", "cat", name).stdout
        assert lab.run("lab2", "cat", name, check=False).returncode != 0
        assert not Path(name).exists()
    finally:
        lab.run("lab1", "rm", "-f", name)


def test_tunes_only_itself(lab: Lab) -> None:
    path = Path("/proc/sys/net/ipv4/tcp_fin_timeout")
    machine, own = path.read_text(), lab.sysctl("lab1", "net.ipv4.tcp_fin_timeout")
    try:
        lab.run("lab1", "sysctl", "-w", "net.ipv4.tcp_fin_timeout=47")
        assert lab.sysctl("lab2", "net.ipv4.tcp_fin_timeout") == own
        assert path.read_text() == machine
    finally:
        lab.run("lab1", "sysctl", "-w", f"net.ipv4.tcp_fin_timeout={own}")


def test_starts_with_what_debian_ships(lab: Lab) -> None:
    assert lab.sysctl("lab1", "net.ipv4.tcp_rmem") == "4096 131072 6291456"
    assert lab.sysctl("lab1", "net.ipv4.tcp_wmem") == "4096 16384 4194304"
    allowed = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control").read_text().split()
    assert lab.sysctl("lab1", "net.ipv4.tcp_congestion_control") == ("cubic" if "cubic" in allowed else "reno")


# Nothing is left, nothing else is touched


def machine() -> dict[str, Any]:
    """What a lab might leave or touch on the machine, as far as the tests' other labs do not."""
    ours = re.compile(r"test\d+n-\d+|autotune-\d+")
    links = [link["ifname"] for link in json.loads(subprocess.check_output(["ip", "-json", "link"]))]
    values = subprocess.run(["sysctl", "-a", "--pattern", "^net"], capture_output=True, text=True).stdout.splitlines()
    per_link = re.compile(r"\.(conf|neigh)\.|\.fastopen_key|tcp_fastopen_key|nf_conntrack_count")
    return {
        "links": sorted(link for link in links if not ours.fullmatch(link)),
        "named namespaces": subprocess.check_output(["ip", "netns"]),
        "/run": sorted(path.name for path in Path("/run").iterdir() if not path.name.startswith("autotune")),
        "/etc/sysctl.d": sorted(path.name for path in Path("/etc/sysctl.d").iterdir()),
        "/var/lib": sorted(path.name for path in Path("/var/lib").iterdir()),
        "known_hosts": [path.read_text() for path in [Path.home() / ".ssh/known_hosts"] if path.exists()],
        "sysctls": [line for line in values if not per_link.search(line)],
        "mounts": sorted(line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()),
    }


def namespaces_of(lab: Lab) -> set[str]:
    programs = [("lab_host.py", kind) for kind in ("net", "mnt", "pid", "uts", "ipc")] + [("lab_wan.py", "net")]
    return {os.readlink(f"/proc/{lab.process('lab1', program)}/ns/{kind}") for program, kind in programs}


def users(namespaces: set[str]) -> list[str]:
    """Processes in these namespaces."""
    found = []
    for link in Path("/proc").glob("[0-9]*/ns/*"):
        try:
            if os.readlink(link) in namespaces:
                found.append((link.parents[1] / "stat").read_text())
        except OSError:
            continue  # the process has just ended
    return found


def changed(ran: subprocess.CompletedProcess[str]) -> int:
    """How many tasks of a play changed something."""
    recap = re.search(r"localhost .*changed=(\d+)", ran.stdout)
    assert recap is not None, ran.stdout
    return int(recap[1])


def test_leaves_the_machine_as_it_was(lab_of_its_own: Callable[..., Any]) -> None:
    before = machine()
    with lab_of_its_own(lab_hosts=1) as built:
        during, namespaces = machine(), namespaces_of(built)
        assert users(namespaces)
        directory, link = built.directory, built.link("lab1")
        assert changed(built.play_role()) == 0
        assert changed(built.play_role(lab_state="absent")) == 1
        assert not directory.exists()
        assert not Path("/sys/class/net", link).exists()
        assert subprocess.run(["pgrep", "--full", f"{directory}[ /]"], check=False).returncode == 1
        deadline = time.monotonic() + 180  # the dead wait for the machine's process 1 to collect them
        while (left := users(namespaces)) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not left
        assert not built.remove()
    assert during == before
    assert machine() == before


def test_check_mode_does_nothing(lab_of_its_own: Callable[..., Any], tmp_path: Path) -> None:
    with lab_of_its_own(lab_hosts=1) as built:
        process = built.process("lab1")
        folder = tmp_path / "lab"
        assert changed(built.play_role("--check", lab_directory=str(folder), lab_hosts=2)) == 0
        assert not folder.exists()
        assert changed(built.play_role("--check", lab_state="absent")) == 0
        assert built.process("lab1") == process


# What it refuses, each in a line

NEVER = Path("/run/autotune-never")


def lab_py(state: str = "present", **changes: Any) -> str:
    """What the role's program, run by itself, says on its way out."""
    wanted = {"directory": str(NEVER), "name": "never", "network": "198.19.255.0/24", "hosts": 1, "seed": 1}
    wan = {"delay_ms": 80, "rate_mbit": 100, "loss_percent": 0.02, "queue_ms": 80}
    text = json.dumps({**wanted, "wan": wan, "baseline": {}, "peer_baseline": {}, **changes})
    program = str(ROOT / "roles/lab/files/lab.py")
    ran = subprocess.run(["/usr/bin/python3", program, state], input=text, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (1, ""), ran.stdout
    assert not NEVER.exists()
    return ran.stderr.strip()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Lab One"}, "lab_name 'Lab One': use a lower-case letter"),
        ({"hosts": 65}, "lab_hosts 65: lab_network 198.19.255.0/24 has addresses for 1 to 64"),
        ({"hosts": 0}, "lab_hosts 0: lab_network 198.19.255.0/24 has addresses for 1 to 64"),
        ({"wan": {"rate_mbit": 0}}, "lab_wan_rate_mbit 0 must be at least 0.001"),
        ({"network": "127.0.0.0/8"}, "lo has the address 127.0.0.1 in 127.0.0.0/8: choose another lab_network"),
        ({"network": "198.19.0.1/24"}, "has host bits set"),
        ({"directory": "here"}, "lab_directory here must be an absolute path"),
        ({"directory": "/run/no/where"}, "No such file or directory: '/run/no/where'"),
        ({"directory": "/etc"}, "/etc contains other files"),
        ({"directory": "/etc", "state": "absent"}, "/etc contains other files"),
    ],
)
def test_refuses(changes: dict[str, Any], message: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("without root, it refuses before that")
    said = lab_py(**changes)
    assert message in said
    assert "\n" not in said


def test_refuses_the_links_and_network_of_another_lab(lab: Lab) -> None:
    assert f"belongs to the lab in {lab.directory}: choose another lab_name" in lab_py(name=lab.variables["lab_name"])
    assert "choose another lab_network" in lab_py(network=lab.variables["lab_network"])


def test_a_refusal_is_one_message_of_the_playbook(lab: Lab) -> None:
    ran = lab.play_role(check=False, lab_hosts=65)
    assert ran.returncode == 2
    assert '"msg": "lab_hosts 65: lab_network' in ran.stdout
    assert ran.stdout.count("fatal:") == 1


def test_without_root_says_so(tmp_path: Path) -> None:
    """In a user namespace without a map, nobody is root, but what was readable still is."""
    nobody = ["unshare", "--user"] if os.geteuid() == 0 else []
    command = [str(Path(sys.executable).with_name("ansible-playbook")), str(ROOT / "playbooks" / "lab.yml")]
    environment = {**os.environ, "HOME": str(tmp_path), "ANSIBLE_NOCOLOR": "1"}
    ran = subprocess.run([*nobody, *command], env=environment, capture_output=True, text=True, cwd="/")
    assert ran.returncode == 2, ran.stderr
    assert (
        '"msg": "Building the lab requires root, for namespaces and network links: run ansible-playbook as'
        in ran.stdout
    )
