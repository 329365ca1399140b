# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An account that is not root, on a host of the lab whose /etc and /usr/local are copies while the tests run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
# Named differently from anything that could be found by accident.
PASSWORD = "Oc7ahPh4-of-the-account"  # noqa: S105 (of an account that lives as long as a test)
COPIES = f"""
set -e
for folder in etc usr/local; do
    mkdir -p /run/copies/$folder/upper /run/copies/$folder/work
done
cat /etc/shadow > /run/copies/etc/upper/shadow
chmod 640 /run/copies/etc/upper/shadow
for folder in etc usr/local; do
    layers=lowerdir=/$folder,upperdir=/run/copies/$folder/upper,workdir=/run/copies/$folder/work
    mount -t overlay overlay -o $layers /$folder
done
echo "127.0.1.1 $(hostname)" >> /etc/hosts
echo 'tester:x:64999:65534::/tmp:/bin/sh' >> /etc/passwd
echo "tester:$(openssl passwd -6 {PASSWORD}):19000:0:99999:7:::" >> /etc/shadow
chmod 644 /run/lab/authorized_keys
"""
AS_THEY_WERE = """
pkill -KILL -u 64999
umount /etc /usr/local
rm -rf /run/copies
chmod 600 /run/lab/authorized_keys
"""
SUDOERS = "/etc/sudoers.d/test"
STUDY = {
    "workload_name": "sensor",
    "reward_metric": "throughput",
    "benchmark_command": "python3 sensor.py",
    "action_space": [{"param": "net.ipv4.tcp_fin_timeout", "min": 90, "max": 110}],
    "algorithm": "random",
    "baseline_trials": 2,
    "training_config": {"total_timesteps": 2, "benchmark_timeout": 5},
    "verification": {"pairs": 4, "candidates": 1},
    "guard": {"oom_kills": 1000},  # not of the lab host alone: the whole machine counts them together
}
SENSOR = """
import os, random, time
{needs}
time.sleep(0.2)
value = int(open("/proc/sys/net/ipv4/tcp_fin_timeout").read())
print(f"throughput: {{random.gauss(100 + value, 1):.3f}}")
"""


@dataclass(frozen=True)
class Account:
    """`tester`, who may log in and nothing else, until the test lets him."""

    lab: Any
    inventory: Path
    host: str = "lab1"
    password: str = PASSWORD

    def root(self, script: str, check: bool = True) -> str:
        """What a shell script prints that runs on the host as root."""
        ran = self.lab.run(self.host, "sh", "-c", script, check=False)
        if check and ran.returncode != 0:
            pytest.fail(f"{script} ended with {ran.returncode}:\n{ran.stdout}\n{ran.stderr}")
        shown: str = ran.stdout
        return shown

    def may(self, line: str) -> None:
        """Let the account do what a line of sudoers says; nothing if it is empty."""
        self.root(f"printf '%s\\n' '{line}' > {SUDOERS}; chmod 440 {SUDOERS}; visudo -cqf {SUDOERS}")

    def run(
        self, *command: str, stdin: bytes = b"", seconds: float = 180, **environment: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command on the host as the account, with nothing in its environment but this."""
        enter = ["nsenter", "--target", str(self.lab.process(self.host)), "--all", "--wd=/tmp"]
        drop = ["setpriv", "--reuid=64999", "--regid=65534", "--clear-groups"]
        cleared = ["env", "-i", "PATH=/usr/bin:/bin", *(f"{name}={value}" for name, value in environment.items())]
        return subprocess.run([*enter, *drop, *cleared, *command], input=stdin, capture_output=True, timeout=seconds)

    def play(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """ansible-playbook, logged in as the account."""
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(self.inventory), *arguments]
        environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_PIPELINING": "1", "COLUMNS": "200"}
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if check and ran.returncode != 0:
            pytest.fail(f"{' '.join(command)} ended with {ran.returncode}:\n{ran.stdout}\n{ran.stderr}")
        return ran


@pytest.fixture(scope="module")
def account(lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """The account on lab1 and an inventory that uses it, for the tests of one file."""
    inventory = tmp_path_factory.mktemp("account") / "inventory.json"
    own = json.loads(lab.inventory.read_text())["lab"]
    hosts = {"lab1": {**own["hosts"]["lab1"], "ansible_user": "tester"}}
    variables = {**own.get("vars", {}), "ansible_user": "tester"}
    inventory.write_text(json.dumps({"lab": {"hosts": hosts, "vars": variables}}))
    made = Account(lab, inventory)
    try:
        made.root(COPIES)
        yield made
    finally:
        made.root(AS_THEY_WERE, check=False)


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[..., Path]:
    """A study that finds an improvement; keywords replace its keys, `needs` is a line of Python for its benchmark."""

    def write(needs: str = "", **changes: Any) -> Path:
        (tmp_path / "sensor.py").write_text(SENSOR.format(needs=needs))
        path = tmp_path / "study.yml"
        path.write_text(yaml.safe_dump({**STUDY, **changes}))
        return path

    return write
