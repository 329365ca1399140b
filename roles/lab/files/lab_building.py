# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host of the lab and its WAN: built, repaired, removed. Each yields what it changed."""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import json
import os
import re
import shutil
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lab_links
from lab_processes import HERE, end, fail, running, start, wait_until

UNSHARE = ["unshare", "--fork", "--kill-child=KILL", "--net", "--mount", "--pid", "--uts", "--ipc", "--mount-proc"]
HOST_ADDRESS, PEER_ADDRESS, PEER_PORT = "198.18.0.1", "198.18.0.2", 5201


@dataclass(frozen=True)
class Lab:
    """What is wanted, as the role's variables say."""

    directory: Path
    name: str
    hosts: int
    network: ipaddress.IPv4Network
    baseline: dict[str, Any]
    peer_baseline: dict[str, Any]
    wan: dict[str, float]
    seed: int

    def host(self, number: int) -> Host:
        first = self.network[4 * (number - 1)]
        return Host(self, f"lab{number}", self.link(number), str(first + 1), str(first + 2))

    def link(self, number: int | str) -> str:
        return f"{self.name}-{number}"


@dataclass(frozen=True)
class Host:
    """One host, with the name of its link and the addresses of both ends."""

    lab: Lab
    name: str
    link: str
    machine_address: str
    address: str

    @property
    def folder(self) -> Path:
        return self.lab.directory / self.name


def write(path: Path, content: str) -> bool:
    """Whether the file had to be written."""
    if path.exists() and path.read_text(encoding="utf-8") == content:
        return False
    path.touch(mode=0o600)
    path.write_text(content, encoding="utf-8")
    return True


def make_key(path: Path, comment: str) -> bool:
    """Whether the key had to be made."""
    if path.exists() and path.with_name(f"{path.name}.pub").exists():
        return False
    path.unlink(missing_ok=True)
    lab_links.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path))
    return True


def specification(values: dict[str, Any], program: str) -> str:
    """What a host or a WAN is built from, its program included: it is built anew when any of this differs."""
    code = b"".join((HERE / file).read_bytes() for file in (program, "lab_sysctls.py"))
    return json.dumps({**values, "program": hashlib.sha256(code).hexdigest()}, indent=1, sort_keys=True) + "\n"


def sshd_answers(host: Host) -> bool:
    try:
        with socket.create_connection((host.address, 22), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def peer_listens(process: int) -> bool:
    """Whether the iperf3 server does, by the kernel's table: to the server, a trial connection is a failed client."""
    listening = re.compile(rf":{PEER_PORT:04X} \S+ 0A ")
    tables = [Path(f"/proc/{process}/net/{table}") for table in ("tcp", "tcp6")]
    return any(listening.search(table.read_text(encoding="ascii")) for table in tables if table.exists())


def present_host(host: Host) -> Iterator[str]:
    lab = host.lab
    host.folder.mkdir(mode=0o700, exist_ok=True)
    new_key = make_key(host.folder / "host_key", host.name)
    values = {"address": host.address, "baseline": lab.baseline}
    changed = write(host.folder / "host.json", specification(values, "lab_host.py"))
    repaired = None if changed or new_key else repair_host(host)
    if repaired is not None:
        yield from repaired
        return
    end(lab.directory, name=host.name)
    lab_links.remove(host.link)
    process = start(lab.directory, "lab_host.py", host.name, UNSHARE)
    lab_links.add(host.link, lab.directory, host.machine_address, process)
    if not wait_until(lambda: sshd_answers(host), 15):
        fail(lab.directory, "lab_host.py", host.name, f"sshd does not answer on {host.address}")
    yield f"{host.name}: built"


def repair_host(host: Host) -> list[str] | None:
    """Bring back a host that lost no more than its sshd or its link, keeping what is on it; None if it lost more."""
    process = running(host.lab.directory, "lab_host.py", host.name)
    if process is None or host.link not in lab_links.links():
        return None
    if lab_links.is_up(host.link) and sshd_answers(host):
        return []
    lab_links.set_up(host.link)
    os.kill(process, signal.SIGHUP)
    return [f"{host.name}: repaired"] if wait_until(lambda: sshd_answers(host), 5) else None


def present_wan(host: Host) -> Iterator[str]:
    lab = host.lab
    addresses = {"host_address": HOST_ADDRESS, "peer_address": PEER_ADDRESS}
    values = {"wan": lab.wan, "seed": lab.seed, "peer_baseline": lab.peer_baseline, **addresses}
    changed = write(host.folder / "wan.json", specification(values, "lab_wan.py"))
    process = running(lab.directory, "lab_wan.py", host.name)
    if process is not None and not changed and wait_until(functools.partial(peer_listens, process), 2):
        return
    end(lab.directory, "lab_wan.py", host.name)
    inside = str(running(lab.directory, "lab_host.py", host.name))
    built = start(lab.directory, "lab_wan.py", host.name, ["unshare", "--net"], inside)
    if not wait_until(lambda: peer_listens(built), 15):
        fail(lab.directory, "lab_wan.py", host.name, "the peer's iperf3 server does not listen")
    yield f"{host.name}: WAN built"


def remove_host(lab: Lab, name: str) -> Iterator[str]:
    """Whatever there is of it."""
    end(lab.directory, name=name)
    lab_links.remove(lab.link(name.removeprefix("lab")))
    shutil.rmtree(lab.directory / name, ignore_errors=True)
    yield f"{name}: removed"
