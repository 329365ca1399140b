# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Compares one call of autotune.kernel.sysctl with a loop of ansible.posix.sysctl over 20 parameters: `./dev bench`.

Both run on a lab host over its sshd, with the same connection settings. ansible.posix is unpacked from PyPI's package
`ansible` into a temporary folder. The cost of the lease is measured in the module's process, as `leased` minus
`present` for the same values.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from statistics import median
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
LAB = ROOT / "inventories/lab"
PARAMETERS = [
    "net.core.somaxconn",
    "net.ipv4.igmp_max_memberships",
    "net.ipv4.ip_default_ttl",
    "net.ipv4.ipfrag_time",
    *(f"net.ipv4.tcp_{name}" for name in ("fin_timeout", "syn_retries", "synack_retries", "retries1", "retries2")),
    *(f"net.ipv4.tcp_{name}" for name in ("keepalive_intvl", "keepalive_probes", "keepalive_time", "reordering")),
    *(f"net.ipv4.tcp_{name}" for name in ("max_syn_backlog", "limit_output_bytes", "base_mss", "probe_interval")),
    *(f"net.ipv4.tcp_{name}" for name in ("orphan_retries", "pacing_ss_ratio", "probe_threshold")),
]
INSIDE = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from ansible_collections.autotune.kernel.plugins.module_utils import _lease, _persist, _kernel
own = {name: _kernel.read(name) for name in json.loads(sys.argv[2])}
sets = [{name: str(int(value) + step) for name, value in own.items()} for step in (1, 2)]
def timed(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
found = {"present": [], "leased": []}
first = timed(lambda: _lease.acquire(sets[0], "bench", 60))
_lease.release("bench")
for number in range(50):
    found["present"].append(timed(lambda: _persist.apply(sets[number % 2])))
_persist.apply(own)
_lease.acquire(sets[0], "bench", 60)
for number in range(50):
    found["leased"].append(timed(lambda: _lease.acquire(sets[(number + 1) % 2], "bench", 60)))
_lease.release("bench")
assert own == {name: _kernel.read(name) for name in own}
print(json.dumps({**found, "first": first}))
"""


def play(own: dict[str, int], step: int, how: str) -> list[dict[str, Any]]:
    """A play that sets all parameters to their original value plus `step`."""
    values = {name: value + step for name, value in own.items()}
    if how == "one call":
        task = {"autotune.kernel.sysctl": {"values": values}}
    else:
        posix = {"name": "{{ item.key }}", "value": "{{ item.value }}", "sysctl_file": "/run/bench.conf"}
        task = {
            "ansible.posix.sysctl": {**posix, "reload": False, "sysctl_set": True},
            "loop": "{{ all | dict2items }}",
        }
    return [
        {
            "hosts": "lab1",
            "gather_facts": False,
            "vars": {"ansible_pipelining": True, "all": values},
            "tasks": [{"ansible.builtin.raw": "true"}, task],
        }
    ]


def run(folder: Path, collections: Path, content: list[dict[str, Any]]) -> float:
    """Seconds for a play; an empty one measures the start of ansible-playbook and the connection."""
    file = folder / "play.yml"
    file.write_text(yaml.safe_dump(content))
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": f"{ROOT / 'playbooks/collections'}:{collections}"}
    began = time.monotonic()
    done = subprocess.run(
        [BIN / "ansible-playbook", "-i", LAB, file], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return time.monotonic() - began


def other_module(folder: Path) -> Path:
    """Unpack the collection ansible.posix from the package `ansible`."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "-d", folder]
    subprocess.run([*command, "ansible"], check=True)
    (wheel,) = folder.glob("ansible-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith("ansible_collections/ansible/posix/"):
                archive.extract(name, folder)
    wheel.unlink()
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3, help="repetitions of each (%(default)s)")
    parser.add_argument("--lease-only", action="store_true", help="skip the comparison, which needs a large download")
    arguments = parser.parse_args()
    lease_cost()
    if arguments.lease_only:
        return
    subprocess.run(
        [BIN / "ansible-playbook", "-i", "localhost,", ROOT / "playbooks/lab.yml"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        collections = other_module(folder)
        read = [{"hosts": "lab1", "gather_facts": False, "tasks": [{"ansible.builtin.raw": "true"}]}]
        looked = subprocess.run(
            [BIN / "ansible", "-i", LAB, "lab1", "-o", "-m", "raw", "-a", f"sysctl -n {' '.join(PARAMETERS)}"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        numbers = [word for word in looked.replace("\\r", " ").replace("\\n", " ").split() if word.isdigit()]
        own = dict(zip(PARAMETERS, map(int, numbers[-len(PARAMETERS) :]), strict=True))
        run(folder, collections, read)  # opens the connection
        seconds: dict[str, list[float]] = {"nothing": [], "one call": [], "loop": []}
        for number in range(arguments.times):
            seconds["nothing"].append(run(folder, collections, read))
            seconds["one call"].append(run(folder, collections, play(own, 2 * number % 4 + 1, "one call")))
            seconds["loop"].append(run(folder, collections, play(own, 2 * number % 4 + 2, "loop")))
        run(folder, collections, play(own, 0, "one call"))
    nothing = median(seconds["nothing"])
    call, loop = median(seconds["one call"]) - nothing, median(seconds["loop"]) - nothing
    print(f"\n{len(PARAMETERS)} parameters on a lab host over ssh with pipelining, median of {arguments.times}")
    print(f"one call of autotune.kernel.sysctl {call:8.2f} s")
    print(f"a loop of ansible.posix.sysctl     {loop:8.2f} s, {loop / call:.1f} times as long")


def lease_cost() -> None:
    """In its own namespaces, so that the machine's values and /run are untouched."""
    script = 'mount -t tmpfs run /run && exec "$@"'
    command = ["unshare", "--net", "--mount", "sh", "-c", script, "sh", sys.executable, "-c", INSIDE]
    arguments = [str(ROOT / "playbooks/collections"), json.dumps(PARAMETERS)]
    found = json.loads(subprocess.run([*command, *arguments], check=True, capture_output=True, text=True).stdout)
    present, leased = median(found["present"]) * 1000, median(found["leased"]) * 1000
    print(f"\n{len(PARAMETERS)} parameters in the module's process, median of {len(found['leased'])}")
    print(f"state: present     {present:8.2f} ms")
    print(f"state: leased      {leased:8.2f} ms: the lease adds {leased - present:.2f} ms per call")
    print(f"first lease        {found['first'] * 1000:8.2f} ms, including the start of the watchdog")


if __name__ == "__main__":
    main()
