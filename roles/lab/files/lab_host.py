# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Process 1 of a lab host: lab_host.py DIRECTORY NAME, started by lab.py in namespaces of its own.

It makes the host's private mounts, puts its baseline, and runs its sshd. When it ends, the kernel ends all that is in
the host. SIGHUP starts an sshd that has gone; it does not come back by itself, because a lost host is worth testing.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import lab_sysctls

# Everything that tuning or Ansible writes to on a host: without these, it would land on the machine.
PRIVATE = {
    "/run": "0755",
    "/etc/sysctl.d": "0755",
    "/var/lib": "0755",
    "/root": "0700",
    "/tmp": "1777",  # noqa: S108
    "/dev/shm": "1777",  # noqa: S108
}

MS_NOSUID, MS_NODEV, MS_BIND = 2, 4, 4096

SSHD_CONFIG = """\
ListenAddress {address}:22
HostKey /run/lab/host_key
AuthorizedKeysFile /run/lab/authorized_keys
PidFile none
UsePAM no
UseDNS no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 200
MaxSessions 200
Subsystem sftp internal-sftp
# bash reads ~/.bashrc when sshd starts it, unless it believes to be inside another shell.
SetEnv SHLVL=2
"""


class Sshd:
    """The host's sshd: started, and started again when asked to."""

    def __init__(self) -> None:
        self.process: int | None = None

    def start(self, *dummy: object) -> None:
        if self.process is None:
            command = ["/usr/sbin/sshd", "-D", "-e", "-f", "/run/lab/sshd_config"]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL).pid

    def reap(self, *dummy: object) -> None:
        """Collect whatever has ended: as process 1, orphans too."""
        while True:
            try:
                process = os.waitpid(-1, os.WNOHANG)[0]
            except ChildProcessError:
                return
            if not process:
                return
            if process == self.process:
                self.process = None
                print("sshd has ended", file=sys.stderr, flush=True)


def run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def mount(source: str, place: str, kind: str, flags: int = 0, options: str = "") -> None:
    """As mount(2) does it: mount(8) would leave a folder in the machine's /run."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), place.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"cannot mount {kind or source} on {place}")


def make_mounts(files: dict[str, bytes]) -> None:
    """Private tmpfs where hosts differ, /sys of this network namespace, and the files that sshd reads."""
    for place, mode in PRIVATE.items():
        mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, f"mode={mode}")
    mount("sysfs", "/sys", "sysfs")
    for place in ("/run/sshd", "/run/lock", "/run/lab"):
        Path(place).mkdir(mode=0o755)
    for name, content in files.items():
        path = Path("/run/lab") / name
        path.touch(mode=0o600)
        path.write_bytes(content)


def unlock_root() -> None:
    """Without PAM, sshd refuses an account whose password field starts with "!", which is how some images ship root."""
    lines = Path("/etc/shadow").read_text(encoding="utf-8").splitlines()
    unlocked = [":".join(["root", "*", *line.split(":")[2:]]) if line.startswith("root:") else line for line in lines]
    copy = Path("/run/lab/shadow")
    copy.touch(mode=0o600)
    copy.write_text("\n".join(unlocked) + "\n", encoding="utf-8")
    mount(str(copy), "/etc/shadow", "", MS_BIND)


def configure_network(address: str) -> None:
    """Bring up what lab.py moves in here, once it has arrived."""
    deadline = time.monotonic() + 30
    while not Path("/sys/class/net/eth0").exists():
        if time.monotonic() > deadline:
            sys.exit("the management link did not arrive within 30 s")
        time.sleep(0.005)
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", f"{address}/30", "dev", "eth0")
    run("ip", "link", "set", "eth0", "up")


def main(directory: Path, name: str) -> None:
    spec = json.loads((directory / name / "host.json").read_text(encoding="utf-8"))
    files = {
        "host_key": (directory / name / "host_key").read_bytes(),
        "authorized_keys": (directory / "key.pub").read_bytes(),
        "sshd_config": SSHD_CONFIG.format(address=spec["address"]).encode(),
    }
    sshd = Sshd()
    signal.signal(signal.SIGTERM, lambda *dummy: sys.exit(0))
    os.chdir("/")
    socket.sethostname(name)
    make_mounts(files)
    unlock_root()
    lab_sysctls.put(spec["baseline"])
    configure_network(spec["address"])
    sshd.start()
    signal.signal(signal.SIGHUP, sshd.start)
    signal.signal(signal.SIGCHLD, sshd.reap)
    while True:
        signal.pause()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
