# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""playbooks/doctor.yml finds faults that are planted for real, with their remedies, and nothing where nothing is wrong.

A host of the lab stands for several: under each name of the inventory, it is reached in another way. So few plays do.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FIN_TIMEOUT = "net.ipv4.tcp_fin_timeout"
STUDY = {
    "workload_name": "sensor",
    "reward_metric": "throughput",
    "benchmark_command": "python3 sensor.py",
    "action_space": [{"param": FIN_TIMEOUT, "min": 90, "max": 110}],
    "baseline_trials": 2,
    "training_config": {"benchmark_timeout": 20},
}
# What the inventory's benchmark_environment says is wrong with it.
SENSOR = """
import os, sys, time
fault = os.environ.get("FAULT")
if fault == "silent":
    sys.exit()
if fault == "broken":
    sys.exit("no such table")
if fault == "endless":
    time.sleep(600)
if fault == "slow":
    time.sleep(15)  # on a busy machine a little more, but less than the timeout
print("latency: 3" if fault == "other" else "throughput: 100")
"""
# Python as an older release would answer, and with a clock that is an hour behind.
OLD_PYTHON = "import sys\nsys.version_info = (3, 6, 8, 'final', 0)\n"
LATE_CLOCK = "import time\nnow = time.time\ntime.time = lambda: now() - 3600\n"
LEASE = """
import json, os
os.makedirs("/run/autotune", mode=0o700)
lease = {{
    "holder": "somebody@elsewhere, process 1, study web", "nonce": "1", "deadline": 1.0,
    "originals": {{}}, "applied": {{}}, "previous": {{}}, "interference": {{}}, "process_group": None, "format": 2,
    "boot_id": open("/proc/sys/kernel/random/boot_id").read().strip(),
    "network_namespace": os.stat("/proc/self/ns/net").st_ino,
}}
with open("/run/autotune/lease.json", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
    json.dump({{**lease, {changes}}}, file)
"""


@pytest.fixture(scope="module")
def lab(lab_of_its_own: Any) -> Iterator[Any]:
    """Three hosts: lab1 stays sound, lab2 and lab3 are broken by these tests."""
    with lab_of_its_own(lab_hosts=3) as built:
        yield built


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "sensor.py").write_text(SENSOR)
    path = tmp_path / "study.yml"
    path.write_text(yaml.safe_dump(STUDY))
    return path


def without_load(found: dict[str, list[str]], closing: str) -> tuple[dict[str, list[str]], str]:
    """The same without what else keeps this machine's CPUs busy: other tests, or other virtual machines."""
    kept = {place: [line for line in lines if " of the CPU time of " not in line] for place, lines in found.items()}
    busy = sum(map(len, found.values())) - sum(map(len, kept.values()))
    closing = re.sub(r"(\d+) warnings?", lambda count: f"{int(count[1]) - busy} warnings", closing) if busy else closing
    return {place: lines for place, lines in kept.items() if lines}, closing


def doctor(
    inventory: Path, *arguments: str, mounts: str = "true", python_path: str = "", **settings: Any
) -> tuple[int, dict[str, list[str]], str]:
    """The exit code, the findings by place, each with its remedy in the same line, and the closing line.

    mounts: a shell command that runs before, in a mount namespace of the play's own.
    """
    words = [word for name, value in settings.items() for word in ("-e", f"{name}={value}")]
    command = ["ansible-playbook", "playbooks/doctor.yml", "-i", str(inventory), *arguments, *words]
    environment = {
        **os.environ,
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "PYTHONPATH": python_path,
    }
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    ran = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", f'{mounts}; exec "$@"', "sh", *command],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in ran.stdout + ran.stderr, ran.stdout + ran.stderr
    lines = ran.stdout.partition("TASK [Examine the controller, and report]")[2].splitlines()[1:]
    found: dict[str, list[str]] = {}
    place = ""
    for line in lines:
        if line.startswith("next, "):
            assert "autotune.kernel.check" in line
        elif line.startswith("    remedy: "):
            found[place][-1] += line
        elif line.startswith("  "):
            found[place].append(line.strip())
        elif re.search(r"^(nothing found|\d+ (problem|warning))", line):
            return ran.returncode, *without_load(found, line)
        else:
            place = line
            found[place] = []
    pytest.fail(f"there is no closing line:\n{ran.stdout}\n{ran.stderr}")


def test_nothing_is_found_where_nothing_is_wrong(lab: Any, study: Path, tmp_path: Path) -> None:
    settings = {"study": study, "output": tmp_path / "learned", "dashboard_port": free_port()}
    look = ["sh", "-c", "sysctl --all --pattern '^net.ipv4.tcp_'; find /tmp /run /root /var/lib /etc/sysctl.d"]
    before = lab.run("lab1", *look).stdout
    code, found, closing = doctor(lab.inventory, **settings, target="lab1,lab2", benchmark="true")
    assert (code, found) == (0, {})
    assert closing in ("nothing found on 2 hosts and the controller", "0 warnings")
    assert not (tmp_path / "learned").exists()
    assert lab.run("lab1", *look).stdout == before


# By the name in the inventory: what must be said, and a piece of the remedy.
PLANTED = {
    "unknown_key": [("was not found in known_hosts", "ssh-keyscan -p 22 -t ")],
    "wrong_key": [("does not match the one in known_hosts", "ssh-keygen -R ")],
    "no_login": [("the host accepts none of the keys", "ssh-copy-id -i ")],
    "closed_port": [("nothing listens on port 9", "ansible_port")],
    "no_address": [("Name or service not known", "ansible_host: ")],
    "bad_arguments": [("nosuchoption", "ansible_ssh_common_args")],
    "other_connection": [("ansible_connection 'paramiko", "ansible_connection: ssh")],
    "old_python": [("is Python 3.6.8", "ansible_python_interpreter: /usr/bin/python3")],
    "no_python": [("/nowhere/python3, its ansible_python_interpreter, does not run", "/usr/bin/python3")],
    "late_clock": [(" s behind the controller's", "timedatectl set-ntp true")],
    "no_root": [(f"{FIN_TIMEOUT} cannot be set: user id 64999 may not write it", "add --become")],
    "sudo": [("become does not work (Missing sudo password)", "--ask-become-pass")],
    "no_folder": [("cannot create a private folder in /proc/nowhere", "ansible_remote_tmp: ")],
    "silent": [("printed nothing on standard output", "end the benchmark with a line `throughput: NUMBER`")],
    "other": [("printed no line `throughput: NUMBER`", "reward_metric: latency")],
    "broken": [("ended with exit code 1: no such table", "by hand on the host, beside its files: python3 sensor.py")],
    "endless": [("exceeded its time limit of 20 s", "benchmark_timeout: 60")],
    "slow": [("of its timeout of 20 s", "benchmark_timeout: ")],
    "lab2": [
        (f"{FIN_TIMEOUT} cannot be set: /proc/sys is read-only", "mount -o remount,rw /proc/sys"),
        ("tuned is running and would change parameters", "`systemctl stop tuned`"),
        ("the lease of somebody@elsewhere, process 1, study web expired", "autotune.kernel.sysctl -a state=restored"),
    ],
    "lab3": [
        ("/tmp is mounted noexec", "ansible_remote_tmp: "),
        ("/etc/sysctl.d/zz-local.conf sets net.ipv4.tcp_fin_timeout to 30 and prevails over", "sed -i.bak -E "),
        ("somebody@elsewhere, process 1, study web holds a lease for another", "wait for the end of that run"),
        ("no lease can be stored on this host: /run/autotune is not writable", "mount -o remount,rw"),
    ],
    "controller": [
        ("-e storee is not a setting of playbook doctor", "-e store=VALUE"),
        ("only 4 of 20 hosts run at a time", "--forks 20"),
        ("the dashboard cannot listen on 127.0.0.1 port", "-e dashboard_port="),
        ("output: only 1 MiB are free in ", "-e output=~/learned"),
        ("store: ", "-e store=sqlite:///"),
    ],
}


def test_every_planted_fault_is_found_and_one_bad_host_stops_no_other(lab: Any, study: Path, tmp_path: Path) -> None:
    plant(lab)
    inventory = tmp_path / "inventory.json"
    inventory.write_text(json.dumps({"lab": hosts_with_faults(lab, tmp_path)}))
    (tmp_path / "small").mkdir()
    (tmp_path / "fixed").mkdir()
    mounts = f"mount -t tmpfs -o size=1m small {tmp_path}/small; mount -t tmpfs -o ro fixed {tmp_path}/fixed"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = {"output": tmp_path / "small", "store": f"sqlite:///{tmp_path}/fixed/x.sqlite"}
        settings |= {"study": study, "benchmark": "true", "dashboard_port": taken.getsockname()[1]}
        code, found, closing = doctor(inventory, "--forks", "4", mounts=mounts, **settings, storee="x")
    lab.run("lab2", "pkill", "-x", "tuned")  # other tests may look for it on the machine
    assert code != 0
    for place, expected in PLANTED.items():
        lines = found.pop(place, [])
        for what, remedy in expected:
            assert [line for line in lines if what in line and remedy in line.partition("remedy: ")[2]], (what, lines)
        assert len(lines) == len(expected), lines
    assert found == {}
    faults = sum(map(len, PLANTED.values()))
    assert faults >= 20
    counts = [int(number) for number in re.findall(r"(\d+) (?:problem|warning)s?", closing)]
    assert sum(counts) == faults, closing


def test_what_is_wrong_with_the_study_and_the_inventory_is_said_once(lab: Any, study: Path, tmp_path: Path) -> None:
    study.write_text(yaml.safe_dump({**STUDY, "benchmark_comand": "x", "action_space": [{"param": "vm.nonsense"}]}))
    old = tmp_path / "packages/scipy-1.0.dist-info"
    old.mkdir(parents=True)
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: scipy\nVersion: 1.0\n")
    address = f"{lab.variables['lab_network'].rpartition('.')[0]}.1"  # the machine's end of the lab's first link
    with process_named("firewalld", tmp_path):
        settings = {"study": study, "target": "lab22", "output": tmp_path / "learned"}
        settings |= {"dashboard_host": address, "dashboard_port": free_port()}
        code, found, closing = doctor(lab.inventory, python_path=str(old.parent), **settings)
    assert code != 0
    assert closing == "5 problems, 1 warning"
    assert [
        line for line in found["study"] if "benchmark_comand: unknown key    remedy: write benchmark_command" in line
    ]
    assert len(found["study"]) == 3
    (package, target, firewall) = found["controller"]
    assert "scipy 1.0 is installed, scipy>=1.15 is needed" in package
    assert "pip install 'scipy>=1.15'" in package
    assert "no host of the inventory matches lab22" in target
    assert "-e target=lab2" in target
    assert "firewalld is active, and whether it blocks other machines' access to the dashboard" in firewall
    assert "firewall-cmd --query-port=" in firewall


def test_warnings_alone_are_no_failure(lab: Any, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = {"output": tmp_path / "learned", "dashboard_port": taken.getsockname()[1]}
        code, found, closing = doctor(lab.inventory, **settings, target="lab1")
    assert (code, list(found), closing) == (0, ["controller"], "1 warning")


def plant(lab: Any) -> None:
    """Break lab2 and lab3, and give lab1 what the names that stand for it need."""
    lab.run("lab1", "sh", "-ec", """
        for folder in old late; do mkdir /root/$folder; done
        cp /etc/passwd /run/lab/passwd
        echo 'tester:x:64999:65534::/tmp:/bin/sh' >> /run/lab/passwd
        echo 'tester:*:19000:0:99999:7:::' >> /run/lab/shadow
        mount --bind /run/lab/passwd /etc/passwd
        chmod 644 /run/lab/authorized_keys
    """)  # fmt: skip
    for folder, text in (("old", OLD_PYTHON), ("late", LATE_CLOCK)):
        write(lab, "lab1", f"/root/{folder}/usercustomize.py", text)
        shim = f'#!/bin/sh\nPYTHONPATH=/root/{folder}:$PYTHONPATH exec /usr/bin/python3 "$@"\n'
        write(lab, "lab1", f"/root/{folder}/python3", shim)
        lab.run("lab1", "chmod", "755", f"/root/{folder}/python3")
    lab.run("lab2", "python3", "-c", LEASE.format(changes="'deadline': 1.0"))
    lab.run("lab2", "sh", "-ec", """
        cp /bin/sleep /root/tuned
        setsid /root/tuned 600 > /dev/null 2>&1 &
        until pgrep -x tuned; do sleep 0.05; done
        mount --bind /proc/sys /proc/sys
        mount -o remount,bind,ro /proc/sys
    """)  # fmt: skip
    write(lab, "lab3", "/etc/sysctl.d/zz-local.conf", f"{FIN_TIMEOUT} = 30\n")
    lab.run("lab3", "python3", "-c", LEASE.format(changes="'deadline': 1e9"))
    lab.run("lab3", "sh", "-ec", "mount -o remount,noexec /tmp; mount -o remount,ro /run")


def write(lab: Any, host: str, path: str, text: str) -> None:
    lab.run(host, "sh", "-ec", 'printf %s "$2" > "$1"', "sh", path, text)


def hosts_with_faults(lab: Any, folder: Path) -> dict[str, Any]:
    own = json.loads(lab.inventory.read_text())["lab"]
    one, common = own["hosts"]["lab1"], own["vars"]["ansible_ssh_common_args"]
    known = (lab.directory / "known_hosts").read_text().splitlines()
    keys = {line.split()[0]: line for line in known}
    wrong = keys[own["hosts"]["lab2"]["ansible_host"]].split(" ", 1)[1]
    (folder / "no_hosts").touch()
    (folder / "wrong_hosts").write_text(f"{one['ansible_host']} {wrong}\n")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")], check=True)
    know = common.replace(f"UserKnownHostsFile={lab.directory}/known_hosts", "UserKnownHostsFile={}")
    faults: dict[str, dict[str, Any]] = {
        "unknown_key": {"ansible_ssh_common_args": know.format(folder / "no_hosts")},
        "wrong_key": {"ansible_ssh_common_args": know.format(folder / "wrong_hosts")},
        "no_login": {"ansible_ssh_private_key_file": str(folder / "key")},
        "closed_port": {"ansible_port": 9},
        "no_address": {"ansible_host": "no-such-host.invalid"},
        "bad_arguments": {"ansible_ssh_common_args": "-o NoSuchOption=1"},
        "other_connection": {"ansible_connection": "paramiko_ssh"},
        "old_python": {"ansible_python_interpreter": "/root/old/python3"},
        "no_python": {"ansible_python_interpreter": "/nowhere/python3"},
        "late_clock": {"ansible_python_interpreter": "/root/late/python3"},
        "no_root": {"ansible_user": "tester"},
        "sudo": {"ansible_user": "tester", "ansible_become": True},
        "no_folder": {"ansible_remote_tmp": "/proc/nowhere"},
    }
    for fault in ("silent", "other", "broken", "endless", "slow"):
        faults[fault] = {"benchmark_environment": {"FAULT": fault}}
    hosts = {name: {**one, **variables} for name, variables in faults.items()}
    return {"hosts": {**hosts, **{name: own["hosts"][name] for name in ("lab2", "lab3")}}, "vars": own["vars"]}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


@contextmanager
def process_named(name: str, folder: Path) -> Iterator[None]:
    """A process that looks like a daemon, for as long as the test."""
    shutil.copy("/bin/sleep", folder / name)
    process = subprocess.Popen([str(folder / name), "600"])
    try:
        yield
    finally:
        process.kill()
        process.wait()
