# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A lease that runs out on a host whose /run takes nothing more: full, read-only, or its watchdog out of descriptors.

In namespaces of its own, with a /run of 20 KiB and the watchdog as the module starts it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces with settings of their own need root")

COLLECTIONS = Path(__file__).parents[2] / "playbooks" / "collections"
HOST = """
import json, os, resource, signal, subprocess, sys, time
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from ansible_collections.autotune.kernel.plugins.module_utils import _journal, _lease, _kernel, _verdict

LENT = {"net.ipv4.tcp_fin_timeout": "17", "net.ipv4.tcp_rmem": "4096 200000 7000000"}


def watchdog():
    lock = os.stat("/run/autotune/watchdog.lock")
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(os.path.samestat(file.stat(), lock) for file in folder.iterdir()):
                return int(folder.parent.name)
        except OSError:
            continue


def stop():
    # So that it does not come first; not while it writes below /run, which could not become read-only then.
    while True:
        os.kill(guard, signal.SIGSTOP)
        until(lambda: Path(f"/proc/{guard}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        files = list(Path(f"/proc/{guard}/fd").iterdir())
        if not any(os.readlink(file).startswith("/run/") and file.lstat().st_mode & 0o200 for file in files):
            return
        os.kill(guard, signal.SIGCONT)
        time.sleep(0.01)


def full():
    with open("/run/filling", "wb", buffering=0) as file:
        while True:
            try:
                file.write(b"x" * 4096)
            except OSError:
                return


def read_only():
    subprocess.run(["mount", "-o", "remount,ro", "/run"], check=True)


def no_descriptors():
    resource.prlimit(guard, resource.RLIMIT_NOFILE, (0, 1024))


def values():
    return {parameter: _kernel.read(parameter) for parameter in LENT}


def until(condition):
    limit = time.monotonic() + 180
    while not condition() and time.monotonic() < limit:
        time.sleep(0.05)
    return condition()


subprocess.run("mount --make-rprivate / && mount -t tmpfs -o size=20k,mode=755 run /run", shell=True, check=True)
own = values()
_lease.acquire(LENT, "anna", 60)
lease = _journal.read()
guard = watchdog()
assert values() == LENT
stop()
_journal.write(_journal.replace(lease, deadline=_journal.now() - 1))
{"full": full, "read-only": read_only, "no descriptors": no_descriptors}[sys.argv[2]]()
os.kill(guard, signal.SIGCONT)
if sys.argv[2] == "no descriptors":
    time.sleep(1)  # for some attempts; that it makes them is not needed for what follows
    assert values() == LENT
    resource.prlimit(guard, resource.RLIMIT_NOFILE, (1024, 1024))
told = {"back": until(lambda: values() == own)}
if sys.argv[2] == "read-only":
    subprocess.run(["sysctl", "-qw", "net.ipv4.tcp_fin_timeout=77"], check=True)
    try:
        _lease.release("bert")
    except _journal.Failure as failure:
        told["said"] = str(failure)
    told["given back"] = values() == own
    subprocess.run(["mount", "-o", "remount,rw", "/run"], check=True)
told["ended"] = until(lambda: _journal.read() is None)
told["gone"] = until(lambda: watchdog() is None)
told["verdict"] = _verdict.read()  # on a full disk it is written after the lease has ended, which makes the room
told["guard"] = [guard, watchdog(), os.path.exists(f"/proc/{guard}")]
told["values"] = values()
print(json.dumps(told))
"""


@pytest.mark.parametrize("how", ["full", "read-only", "no descriptors"])
def test_the_values_are_back_and_the_lease_ends_as_soon_as_it_can(how: str) -> None:
    command = ["unshare", "--net", "--mount", sys.executable, "-I", "-c", HOST, str(COLLECTIONS), how]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=800, check=False)
    assert ran.returncode == 0, ran.stderr
    told: dict[str, Any] = json.loads(ran.stdout)
    assert [told["back"], told["ended"], told["gone"]] == [True, True, True], told
    assert told["verdict"]["verified"]
    if how == "read-only":
        assert "original values were restored and verified, but the lease journal" in told["said"]
        assert told["given back"]
