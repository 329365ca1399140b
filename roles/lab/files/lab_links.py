# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The management links: the machine's ends of the veth pairs that lead to the lab's hosts."""

from __future__ import annotations

import ipaddress
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from lab_processes import wait_until


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout


def links() -> dict[str, dict[str, Any]]:
    """All links of the machine, by name."""
    return {link["ifname"]: link for link in json.loads(run("ip", "-json", "address", "show"))}


def numbers(lab_name: str) -> set[str]:
    """The numbers of the hosts that have a link."""
    return {match[1] for link in links() if (match := re.fullmatch(rf"{lab_name}-(\d+)", link))}


def check(lab_name: str, directory: Path, network: ipaddress.IPv4Network) -> None:
    """End with a message if the lab would take what is somebody else's."""
    for name, link in links().items():
        if re.fullmatch(rf"{lab_name}-\d+", name):
            owner = Path("/sys/class/net", name, "ifalias").read_text(encoding="utf-8").strip()
            if owner not in ("", str(directory)):  # "": a crash came between making and marking it
                sys.exit(f"the link {name} belongs to the lab in {owner}: choose another lab_name")
            continue
        for address in link["addr_info"]:
            if address["family"] == "inet" and ipaddress.ip_address(address["local"]) in network:
                sys.exit(f"{name} has the address {address['local']} in {network}: choose another lab_network")


def is_up(name: str) -> bool:
    link = links().get(name)
    return link is not None and "UP" in link["flags"]


def set_up(name: str) -> None:
    run("ip", "link", "set", name, "up")


def add(name: str, directory: Path, address: str, process: int) -> None:
    """Lay a link from the machine, where it says whose it is, to eth0 in the namespace of the process."""
    run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(process))
    run("ip", "link", "set", name, "alias", str(directory))
    run("ip", "address", "add", f"{address}/30", "dev", name)
    set_up(name)


def remove(name: str) -> bool:
    """Whether there was such a link."""
    if name not in links():
        return False
    # A failure is none when the link went by itself: its other end's namespace may just be ending.
    subprocess.run(["ip", "link", "delete", name], check=False, capture_output=True)
    if not wait_until(lambda: name not in links(), 10):
        sys.exit(f"cannot remove the link {name}")
    return True
