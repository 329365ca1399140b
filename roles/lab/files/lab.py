# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Build, repair and remove the lab: lab.py present|absent, with what is wanted as JSON on stdin (../tasks/main.yml).

What runs is not recorded but looked up, in /proc and among the links, so that a crash at any point leaves nothing that
the next call misses. Each namespace lives by its first process alone, and goes with it.
Prints {"changed": true or false, "changes": [what was done]}.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import lab_links
from lab_building import PEER_ADDRESS, Host, Lab, make_key, present_host, present_wan, remove_host, write
from lab_processes import PYTHON, host_names

MARK = "made-by-autotune-lab"


def present(lab: Lab) -> Iterator[str]:
    hosts = [lab.host(number) for number in range(1, lab.hosts + 1)]
    for name in sorted(traces(lab) - {host.name for host in hosts}):
        yield from remove_host(lab, name)
    if make_key(lab.directory / "key", f"{lab.name} lab"):
        yield "key: made"
    for host in hosts:
        yield from present_host(host)
        yield from present_wan(host)
    keys = [f"{host.address} {(host.folder / 'host_key.pub').read_text(encoding='utf-8')}" for host in hosts]
    for file, content in (("known_hosts", "".join(keys)), ("inventory.json", inventory(lab, hosts))):
        if write(lab.directory / file, content):
            yield f"{file}: written"


def absent(lab: Lab) -> Iterator[str]:
    for name in sorted(traces(lab)):
        yield from remove_host(lab, name)
    if lab.directory.exists():
        shutil.rmtree(lab.directory)
        yield f"{lab.directory}: removed"


def traces(lab: Lab) -> set[str]:
    """Every host of which there is a folder, a process or a link."""
    folders = {path.name for path in lab.directory.glob("lab[0-9]*")}
    return folders | host_names(lab.directory) | {f"lab{number}" for number in lab_links.numbers(lab.name)}


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
    group = {"hosts": {host.name: {"ansible_host": host.address} for host in hosts}, "vars": variables}
    return json.dumps({"lab": group}, indent=1) + "\n"


def read_lab(wanted: str) -> Lab:
    values = json.loads(wanted)
    lab = Lab(directory=Path(values.pop("directory")), network=ipaddress.IPv4Network(values.pop("network")), **values)
    if not re.fullmatch("[a-z][a-z0-9]{0,9}", lab.name):
        sys.exit(f"lab_name {lab.name!r}: use a lower-case letter and up to nine more lower-case letters or digits")
    if not lab.directory.is_absolute():
        sys.exit(f"lab_directory {lab.directory} must be an absolute path")
    if lab.hosts < 1 or 4 * lab.hosts > lab.network.num_addresses:
        most = lab.network.num_addresses // 4
        sys.exit(f"lab_hosts {lab.hosts}: lab_network {lab.network} has addresses for 1 to {most}")
    for value, least in (("rate_mbit", 0.001), ("delay_ms", 0), ("loss_percent", 0), ("queue_ms", 0)):
        if lab.wan[value] < least:
            sys.exit(f"lab_wan_{value} {lab.wan[value]} must be at least {least}")
    return lab


def claim(lab: Lab) -> None:
    """Make the folder, or make sure that it is a lab's: `absent` removes all that is in it. One call at a time."""
    if not lab.directory.exists():
        lab.directory.mkdir(mode=0o700)
    elif any(lab.directory.iterdir()) and not (lab.directory / MARK).exists():
        sys.exit(f"{lab.directory} contains other files: choose another lab_directory")
    (lab.directory / MARK).touch()
    fcntl.flock(os.open(lab.directory, os.O_RDONLY), fcntl.LOCK_EX)


def main(state: str) -> None:
    # The hosts inherit this. The user's own PATH may lack /usr/sbin, and nothing else of the user's belongs on a host.
    os.environ.clear()
    os.environ.update(PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LANG="C.UTF-8")
    lab = read_lab(sys.stdin.read())
    lab_links.check(lab.name, lab.directory, lab.network)
    if state == "present" or lab.directory.exists():
        claim(lab)
    changes = list(present(lab) if state == "present" else absent(lab))
    print(json.dumps({"changed": bool(changes), "changes": changes}))


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(error.cmd)}: {error.stderr.strip()}")
    except (OSError, ValueError) as error:
        sys.exit(f"lab: {error}")
