# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A lab of the tests' own, beside any lab that the user has up: own folder, own link names, own network."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.preflight import holder_is_gone

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
LAB_ROLE = ROOT / "roles/lab"
LABS = Path("/run/autotune-test-labs")

ROUND_TRIPS = """
import socket, time
for number in range(15):
    began = time.monotonic()
    try:
        socket.create_connection(("198.18.0.2", 9), timeout=5)
    except ConnectionRefusedError:  # nobody listens there: the refusal is the echo
        print(1000 * (time.monotonic() - began))
    time.sleep(0.03)
"""


@dataclass(frozen=True)
class Lab:
    """A lab that is up.

    Attributes: directory, its folder; inventory, to be given to `-i`; hosts, their names, each with its address;
    variables, what playbooks/lab.yml was given; known, processes that were looked up before.
    """

    directory: Path
    hosts: dict[str, str]
    variables: dict[str, Any]
    known: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def inventory(self) -> Path:
        return self.directory / "inventory.json"

    def process(self, host: str, program: str = "lab_host.py") -> int:
        """The host's process 1 (or its WAN, lab_wan.py), as the machine numbers it."""
        pattern = rf"/usr/bin/python3 [^ ]*/{program} {self.directory} {host}( |$)"
        if (known := self.known.get((host, program))) and re.match(pattern, command_line(known)):
            return known
        found = subprocess.run(["pgrep", "--full", f"^{pattern}"], capture_output=True, text=True, check=True)
        self.known[host, program] = int(found.stdout)
        return self.known[host, program]

    def run(self, host: str, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command inside the host, past its sshd and its network."""
        enter = ["nsenter", "--target", str(self.process(host)), "--all", "--wd=/"]
        return subprocess.run([*enter, *command], capture_output=True, text=True, check=check)

    def sysctl(self, host: str, parameter: str) -> str:
        """A value as `sysctl -n` shows it, with single spaces."""
        return " ".join(self.run(host, "sysctl", "-n", parameter).stdout.split())

    def link(self, host: str) -> str:
        """The machine's end of the host's management link: `ip link set … down` cuts the host off."""
        return f"{self.variables['lab_name']}-{host.removeprefix('lab')}"

    def play(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """ansible-playbook on this lab."""
        return play("-i", str(self.inventory), *arguments, check=check)

    def build(self, **changes: Any) -> bool:
        """Build it again with some variables changed, which repairs what a test broke; whether anything was done."""
        return run_program("present", {**self.variables, **changes})

    def remove(self) -> bool:
        """Whether there was anything to remove."""
        return run_program("absent", self.variables)

    def play_role(self, *arguments: str, check: bool = True, **changes: Any) -> subprocess.CompletedProcess[str]:
        """playbooks/lab.yml with some variables changed."""
        variables = json.dumps({**self.variables, **changes})
        return play("playbooks/lab.yml", "-e", variables, *arguments, check=check)

    def round_trip(self, host: str = "lab1") -> float:
        """Of the WAN: the median, in milliseconds. The link is a process: on a busy machine it is early or late."""
        times = sorted(float(line) for line in self.run(host, "python3", "-c", ROUND_TRIPS).stdout.split())
        return times[len(times) // 2]


@pytest.fixture(autouse=True)
def _this_machine_has_its_own_values(request: pytest.FixtureRequest, _beside_others: None) -> None:
    """A test run that was killed with everything it started, watchdog and all, left its lease on this machine."""
    lease = Path("/run/autotune/lease.json")
    if not request.node.get_closest_marker("this_machine") or not lease.exists():
        return
    holder = json.loads(lease.read_text(encoding="utf-8"))["holder"]
    if holder_is_gone(holder, f"{getpass.getuser()}@{socket.gethostname()}"):
        ansible = [str(ANSIBLE_PLAYBOOK.with_name("ansible")), "localhost", "-i", "localhost,", "-c", "local"]
        ansible += ["-e", f"ansible_python_interpreter={sys.executable}"]
        environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks/collections")}
        restored = [*ansible, "-m", "autotune.kernel.sysctl", "-a", "state=restored"]
        subprocess.run(restored, env=environment, check=True)


def command_line(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""


def play(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "false"}
    ran = subprocess.run(
        [str(ANSIBLE_PLAYBOOK), *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if check and ran.returncode != 0:
        pytest.fail(f"ansible-playbook {' '.join(arguments)} ended with {ran.returncode}:\n{ran.stdout}\n{ran.stderr}")
    return ran


def run_program(state: str, variables: dict[str, Any]) -> bool:
    """What roles/lab does, without the seconds that a playbook takes; test_lab.py has the role itself."""
    lab = {**yaml.safe_load((LAB_ROLE / "defaults/main.yml").read_text()), **variables}
    specification = {
        "directory": lab["lab_directory"],
        "name": lab["lab_name"],
        "hosts": lab["lab_hosts"],
        "network": lab["lab_network"],
        "wan": {
            "delay_ms": float(lab["lab_wan_delay_ms"]),
            "rate_mbit": float(lab["lab_wan_rate_mbit"]),
            "loss_percent": float(lab["lab_wan_loss_percent"]),
            "queue_ms": float(variables.get("lab_wan_queue_ms", 2 * lab["lab_wan_delay_ms"])),
        },
        "seed": lab["lab_seed"],
        "baseline": lab["lab_baseline"],
        "peer_baseline": lab["lab_peer_baseline"],
    }
    program = ["/usr/bin/python3", str(LAB_ROLE / "files/lab.py"), state]
    ran = subprocess.run(program, input=json.dumps(specification), capture_output=True, text=True)
    if ran.returncode != 0:
        pytest.fail(f"lab.py {state} ended with {ran.returncode}: {ran.stderr}")
    changed: bool = json.loads(ran.stdout)["changed"]
    return changed


@contextmanager
def locked(file: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def remove_orphans() -> None:
    """Remove the labs of test runs that were killed: their records are there, but nobody holds them."""
    for record in LABS.glob("*.json"):
        try:
            with locked(record, fcntl.LOCK_EX | fcntl.LOCK_NB):
                run_program("absent", json.loads(record.read_text(encoding="utf-8")))
                record.unlink()
        except BlockingIOError:
            continue


def free_number() -> int:
    """A number N such that the machine has no address in 198.19.N.0/24."""
    shown = json.loads(subprocess.run(["ip", "-json", "address"], capture_output=True, check=True).stdout)
    taken = {address["local"].rpartition(".")[0] for link in shown for address in link["addr_info"]}
    recorded = {record.stem for record in LABS.glob("*.json")}
    return next(n for n in range(100, 256) if f"198.19.{n}" not in taken and str(n) not in recorded)


@contextmanager
def lab_for_a_while(**variables: Any) -> Iterator[Lab]:
    if os.geteuid() != 0:
        pytest.skip("a lab takes root")
    if shutil.which("sshd", path="/usr/sbin") is None or shutil.which("iperf3") is None:
        pytest.skip("a lab takes openssh-server and iperf3: ./dev test installs them")
    with ExitStack() as stack:
        with locked(LABS.parent):  # one run at a time looks for a number
            LABS.mkdir(mode=0o700, exist_ok=True)
            remove_orphans()
            number = free_number()
            directory, record = LABS / str(number), LABS / f"{number}.json"
            own = {
                "lab_directory": str(directory),
                "lab_name": f"test{number}n",
                "lab_network": f"198.19.{number}.0/24",
            }
            record.write_text(json.dumps({**own, **variables}), encoding="utf-8")
            stack.enter_context(locked(record))
        try:
            run_program("present", {**own, **variables})
            shown = json.loads((directory / "inventory.json").read_text(encoding="utf-8"))
            hosts = {name: own_variables["ansible_host"] for name, own_variables in shown["lab"]["hosts"].items()}
            yield Lab(directory, hosts, {**own, **variables})
        finally:
            run_program("absent", own)
            with locked(LABS.parent):
                record.unlink()
                if not any(LABS.iterdir()):
                    LABS.rmdir()


@pytest.fixture(scope="session")
def lab_of_its_own() -> Callable[..., AbstractContextManager[Lab]]:
    """`with lab_of_its_own(lab_hosts=1) as lab:` for a test that breaks its lab, or wants another than the default."""
    return lab_for_a_while


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The lab as the role's defaults make it, of two hosts, for the whole session: leave it as you found it."""
    with lab_for_a_while() as built:
        yield built


def write_a_result(folder: Path, best_config: dict[str, Any], **changes: Any) -> Path:
    result = {
        "workload_name": "wan",
        "verdict": "improved",
        "metric": "throughput_mbit",
        "best_config": best_config,
        "improvement": 130.0,
        "interval": [118.0, 142.0],
        "p_value": 0.008,
        "pairs": 8,
        "baseline": {"metric": 153.0, "original_values": {}},
        "best": {"metric": 352.0},
        "parameters": [],
        "versions": {"autotune.kernel": "0.1.0"},
        **changes,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def write_result() -> Callable[..., Path]:
    """Write a folder's result.json with a best_config, as a run would have left it; keywords are more of its keys."""
    return write_a_result
