# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Build, repair and remove the lab: lab.py present|absent, with what is wanted as JSON on stdin (see roles/lab/tasks/main.yml).

Nothing is recorded about what runs: /proc and the links say it, so a crash at any point leaves nothing that the next call misses.
Each namespace lives by its process 1 alone (lab_host.py, lab_wan.py), and goes with it. Prints {"changed": …, "changes": […]}.
"""

from __future__ import annotations

import fcntl
import hashlib
import ipaddress
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"
UNSHARE = ["unshare", "--fork", "--kill-child=KILL", "--net", "--mount", "--pid", "--uts", "--ipc", "--mount-proc"]
MARK = "made-by-autotune-lab"
HOST_ADDRESS, PEER_ADDRESS = "198.18.0.1", "198.18.0.2"
PEER_PORT = 5201


@dataclass(frozen=True)
class Lab:
    """What is wanted: as the role's variables say."""

    directory: Path
    name: str
    hosts: int
    network: ipaddress.IPv4Network
    baseline: dict[str, Any]
    peer_baseline: dict[str, Any]
    wan: dict[str, float]
    seed: int

    def host(self, number: int) -> Host:
        first = int(self.network.network_address) + 4 * (number - 1)
        addresses = [str(ipaddress.IPv4Address(first + offset)) for offset in (1, 2)]
        return Host(self, f"lab{number}", f"{self.name}-{number}", *addresses)


@dataclass(frozen=True)
class Host:
    """One host: its link is the machine's end of the management link."""

    lab: Lab
    name: str
    link: str
    machine_address: str
    address: str

    @property
    def folder(self) -> Path:
        return self.lab.directory / self.name


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout


def wait_until(happened: Callable[[], Any], seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while not (result := happened()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return result


def write(path: Path, content: str, mode: int = 0o600) -> bool:
    """Whether the file had to be written."""
    if path.exists() and path.read_text(encoding="utf-8") == content:
        return False
    path.touch(mode=mode)
    path.write_text(content, encoding="utf-8")
    return True


# What runs


def processes(directory: Path, program: str = "", name: str = "") -> Iterator[tuple[int, list[str]]]:
    """The lab's processes: the number and, from the interpreter or `unshare` on, the arguments."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        except OSError:
            continue
        for place, argument in enumerate(arguments[:-2]):
            if Path(argument).name in (program or "lab_host.py", program or "lab_wan.py"):
                if arguments[place + 1] == str(directory) and name in ("", arguments[place + 2]):
                    yield int(entry.name), arguments


def running(host: Host, program: str) -> int | None:
    """The number of the program's own process, not of the `unshare` that started it."""
    found = processes(host.lab.directory, program, host.name)
    return next((process for process, arguments in found if arguments[0] == PYTHON), None)


def end(directory: Path, program: str = "", name: str = "") -> bool:
    """Whether there was something to end. SIGKILL: what is inside has nothing to save, and may be stopped."""
    found = [process for process, dummy in processes(directory, program, name)]
    for process in found:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            pass
    if not wait_until(lambda: not any(processes(directory, program, name)), 10):
        sys.exit(f"cannot end the lab's processes {found}")
    return bool(found)


def start(host: Host, program: str, wrapper: list[str], *arguments: str) -> int:
    command = [*wrapper, PYTHON, str(HERE / program), str(host.lab.directory), host.name, *arguments]
    with open(host.folder / f"{program[:-3]}.log", "w", encoding="utf-8") as log:
        child = subprocess.Popen(
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    process: int | None = wait_until(lambda: running(host, program) or child.poll() is not None and -1, 10)
    if process is None or process < 0:
        fail(host, program, f"{program} did not start")
    return process


def fail(host: Host, program: str, what: str) -> None:
    log = host.folder / f"{program[:-3]}.log"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    sys.exit(f"{host.name}: {what}; {log} ends with: {lines[-1] if lines else 'nothing'}")


# The management link


def links() -> dict[str, dict[str, Any]]:
    return {link["ifname"]: link for link in json.loads(run("ip", "-json", "address", "show"))}


def owner(link: dict[str, Any]) -> str:
    return str(link.get("ifalias", ""))


def check_links(lab: Lab) -> None:
    """End with a message if the lab would take what is somebody else's."""
    for name, link in links().items():
        if re.fullmatch(rf"{lab.name}-\d+", name):
            if owner(link) not in ("", str(lab.directory)):
                sys.exit(f"the link {name} belongs to the lab in {owner(link)}: choose another lab_name")
            continue
        for address in link["addr_info"]:
            if address["family"] == "inet" and ipaddress.ip_address(address["local"]) in lab.network:
                sys.exit(f"{name} has {address['local']}, which lies in {lab.network}: choose another lab_network")


def remove_link(name: str) -> bool:
    if name not in links():
        return False
    subprocess.run(["ip", "link", "delete", name], check=False, capture_output=True)  # it may just be going by itself
    if not wait_until(lambda: name not in links(), 10):
        sys.exit(f"cannot remove the link {name}")
    return True


def add_link(host: Host, process: int) -> None:
    run("ip", "link", "add", host.link, "type", "veth", "peer", "name", "eth0", "netns", str(process))
    run("ip", "link", "set", host.link, "alias", str(host.lab.directory))
    run("ip", "address", "add", f"{host.machine_address}/30", "dev", host.link)
    run("ip", "link", "set", host.link, "up")


# Hosts and WANs


def sshd_answers(host: Host) -> bool:
    try:
        with socket.create_connection((host.address, 22), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def peer_listens(process: int) -> bool:
    listening = re.compile(rf":{PEER_PORT:04X} \S+ 0A ")
    tables = [Path(f"/proc/{process}/net/{table}") for table in ("tcp", "tcp6")]
    return any(listening.search(table.read_text(encoding="ascii")) for table in tables if table.exists())


def specification(values: dict[str, Any], *programs: str) -> str:
    """What a host or WAN is built from, its programs included: built anew when any of it differs."""
    code = b"".join((HERE / program).read_bytes() for program in ("lab_sysctls.py", *programs))
    return json.dumps({**values, "programs": hashlib.sha256(code).hexdigest()}, indent=1, sort_keys=True)


def repair_host(host: Host) -> str | None:
    """Bring back a host that only lost its sshd or its link, keeping what is on it; None if that is not enough."""
    process, link = running(host, "lab_host.py"), links().get(host.link)
    if process is None or link is None:
        return None
    up = "UP" in link["flags"]
    if up and sshd_answers(host):
        return ""
    run("ip", "link", "set", host.link, "up")
    os.kill(process, signal.SIGHUP)
    return f"{host.name}: repaired" if wait_until(lambda: sshd_answers(host), 5) else None


def present_host(host: Host) -> Iterator[str]:
    host.folder.mkdir(mode=0o700, exist_ok=True)
    if not (host.folder / "host_key").exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", host.name, "-f", str(host.folder / "host_key"))
    spec = specification({"address": host.address, "baseline": host.lab.baseline}, "lab_host.py")
    record = host.folder / "host.json"
    as_recorded = record.exists() and record.read_text(encoding="utf-8") == spec
    repaired = repair_host(host) if as_recorded else None
    if repaired is not None:
        yield from [repaired] if repaired else []
        return
    end(host.lab.directory, name=host.name)
    remove_link(host.link)
    write(record, spec)
    add_link(host, start(host, "lab_host.py", UNSHARE))
    if not wait_until(lambda: sshd_answers(host), 15):
        fail(host, "lab_host.py", f"sshd does not answer on {host.address}")
    yield f"{host.name}: built"


def present_wan(host: Host) -> Iterator[str]:
    lab = host.lab
    addresses = {"host_address": HOST_ADDRESS, "peer_address": PEER_ADDRESS}
    values = {"wan": lab.wan, "seed": lab.seed, "peer_baseline": lab.peer_baseline, **addresses}
    changed = write(host.folder / "wan.json", specification(values, "lab_wan.py"))
    process = running(host, "lab_wan.py")
    if process and not changed and wait_until(lambda: peer_listens(process), 2):
        return
    end(lab.directory, "lab_wan.py", host.name)
    process = start(host, "lab_wan.py", ["unshare", "--net"], str(running(host, "lab_host.py")))
    if not wait_until(lambda: peer_listens(process), 15):
        fail(host, "lab_wan.py", "the peer's iperf3 server does not listen")
    yield f"{host.name}: WAN built"


def remove_host(lab: Lab, name: str) -> Iterator[str]:
    ended = end(lab.directory, name=name)
    removed = remove_link(f"{lab.name}-{name.removeprefix('lab')}")
    folder = lab.directory / name
    if folder.exists():
        shutil.rmtree(folder)
    elif not ended and not removed:
        return
    yield f"{name}: removed"


# The lab


def inventory(lab: Lab, hosts: list[Host]) -> str:
    """In the form of Ansible's YAML inventories, of which JSON is a part."""
    ssh = f"-o UserKnownHostsFile={lab.directory}/known_hosts -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes"
    variables = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(lab.directory / "key"),
        "ansible_ssh_common_args": ssh,
        "ansible_python_interpreter": PYTHON,
        "benchmark_environment": {"WAN_SERVER": PEER_ADDRESS},
    }
    return json.dumps({"lab": {"hosts": {host.name: {"ansible_host": host.address} for host in hosts}, "vars": variables}}, indent=1)


def known_names(lab: Lab) -> set[str]:
    """Every host there is a trace of: a folder, a process or a link."""
    folders = {path.name for path in lab.directory.glob("lab[0-9]*")}
    hosts = {arguments[-1] for dummy, arguments in processes(lab.directory, "lab_host.py")}
    numbers = {match[1] for link in links() if (match := re.fullmatch(rf"{lab.name}-(\d+)", link))}
    return folders | hosts | {f"lab{number}" for number in numbers}


def present(lab: Lab) -> Iterator[str]:
    hosts = [lab.host(number) for number in range(1, lab.hosts + 1)]
    for name in sorted(known_names(lab) - {host.name for host in hosts}):
        yield from remove_host(lab, name)
    if not (lab.directory / "key").exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{lab.name} lab", "-f", str(lab.directory / "key"))
        yield "key: made"
    for host in hosts:
        yield from present_host(host)
        yield from present_wan(host)
    keys = [f"{host.address} {(host.folder / 'host_key.pub').read_text(encoding='utf-8')}" for host in hosts]
    for file, content in (("known_hosts", "".join(keys)), ("inventory.json", inventory(lab, hosts) + "\n")):
        if write(lab.directory / file, content):
            yield f"{file}: written"


def absent(lab: Lab) -> Iterator[str]:
    for name in sorted(known_names(lab)):
        yield from remove_host(lab, name)
    if end(lab.directory):
        yield "stray processes: ended"
    if lab.directory.exists():
        shutil.rmtree(lab.directory)
        yield f"{lab.directory}: removed"


def claim(lab: Lab) -> None:
    """Make the folder, or make sure that it is a lab's: it is removed with all that is in it."""
    if not lab.directory.exists():
        lab.directory.mkdir(mode=0o700)
    elif any(lab.directory.iterdir()) and not (lab.directory / MARK).exists():
        sys.exit(f"{lab.directory} holds something that is not a lab: choose another lab_directory")
    (lab.directory / MARK).touch()


def main() -> None:
    if os.geteuid() != 0:
        sys.exit("the lab makes namespaces and links, which takes root: run it as root, or with --become")
    wanted = json.load(sys.stdin)
    state = sys.argv[1]
    network = ipaddress.IPv4Network(wanted.pop("network"))
    lab = Lab(directory=Path(wanted.pop("directory")), network=network, **wanted)
    if not re.fullmatch("[a-z][a-z0-9]{0,9}", lab.name):
        sys.exit(f"lab_name {lab.name!r}: up to ten lower-case letters and digits, a letter first")
    if 4 * lab.hosts > network.num_addresses:
        sys.exit(f"lab_network {network} has room for {network.num_addresses // 4} hosts, not for {lab.hosts}")
    check_links(lab)
    if state == "absent" and not lab.directory.exists():
        changes = list(absent(lab))
    else:
        claim(lab)
        folder = os.open(lab.directory, os.O_RDONLY)
        fcntl.flock(folder, fcntl.LOCK_EX)
        changes = list(present(lab) if state == "present" else absent(lab))
    print(json.dumps({"changed": bool(changes), "changes": changes}))


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(error.cmd)}: {error.stderr.strip()}")
