# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A virtual machine: Debian with systemd and sshd, its own kernel, its own vm.* and a reset button.

qemu without KVM, which is slow and works everywhere. The image is built once by build_image and kept in the user's
cache; a session works on a copy, with keys of its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
COLLECTIONS = ROOT / "playbooks" / "collections"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "autotune-kernel"
BOOT_SECONDS = 400  # a minute on an idle machine; this one has other work too
ACCOUNTS = {"root": "/root", "tuner": "/home/tuner"}  # tuner may use sudo

# Values, drop-ins and records, what is on loan, and what a run leaves in /tmp; a verdict is there to be read.
STATE = """
sysctl vm.swappiness vm.vfs_cache_pressure vm.dirty_bytes vm.dirty_ratio vm.dirty_background_bytes \\
    vm.dirty_background_ratio net.core.somaxconn net.ipv4.tcp_fin_timeout
cd / && find etc/sysctl.d var/lib/autotune/* run/autotune/lease.json tmp/autotune* 2>/dev/null | sort
sha256sum /etc/sysctl.d/*
"""


class Machine:
    """The virtual machine. Attributes: inventory, to be given to `-i`, with `vm` in it; boot_id, of its last boot."""

    def __init__(self, image: Path, folder: Path) -> None:
        self._image, self._folder = image, folder
        self._process: subprocess.Popen[bytes] | None = None
        self._console, self._monitor = folder / "console", folder / "monitor"
        self.boot_id = ""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]
        subprocess.run(["cp", "--sparse=always", image / "disk", folder / "disk"], check=True)
        self._make_keys()
        # What `run` uses: a handshake takes seconds here, so its sessions share a connection.
        self._shared = ["-o", "ControlMaster=auto", "-o", f"ControlPath={folder}/shared", "-o", "ControlPersist=60"]
        self.ssh_options = [
            *("-F", "none", "-i", str(folder / "key"), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"),
            *("-o", f"UserKnownHostsFile={folder}/known_hosts", "-o", "StrictHostKeyChecking=yes"),
            *("-o", "ConnectTimeout=30"),
        ]
        self.inventory = folder / "inventory.json"
        self.inventory.write_text(json.dumps({"vms": {"hosts": {"vm": self.variables()}}}), encoding="utf-8")

    def variables(self, user: str = "root") -> dict[str, Any]:
        """The machine's variables in an inventory."""
        return {
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port,
            "ansible_user": user,
            "ansible_ssh_private_key_file": str(self._folder / "key"),
            "ansible_ssh_common_args": shlex.join(self.ssh_options),
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_timeout": 60,
        }

    def _make_keys(self) -> None:
        """Keys for the user and the host, and a second initramfs, which brings them: the kernel unpacks both."""
        tree = self._folder / "early" / "session"
        (tree / "etc/ssh").mkdir(parents=True)
        for path in (self._folder / "key", tree / "etc/ssh/ssh_host_ed25519_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", path], check=True)
        for account, home in ACCOUNTS.items():
            keys = tree / home[1:] / ".ssh"
            keys.mkdir(parents=True)
            shutil.copy(self._folder / "key.pub", keys / "authorized_keys")
            for path in (keys.parent, keys, keys / "authorized_keys"):
                os.chown(path, *((0, 0) if account == "root" else (1000, 1000)))
                path.chmod(0o600 if path.is_file() else 0o700)
        host_key = (tree / "etc/ssh/ssh_host_ed25519_key.pub").read_text(encoding="utf-8")
        (self._folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {host_key}", encoding="utf-8")
        names = "\n".join(str(path.relative_to(tree.parent)) for path in [tree, *sorted(tree.rglob("*"))])
        cpio = [self._image / "busybox", "cpio", "-o", "-H", "newc"]
        archive = subprocess.run(cpio, cwd=tree.parent, input=names.encode(), capture_output=True, check=True)
        first = (self._image / "initramfs").read_bytes()
        padding = bytes(-len(first) % 4)  # without which the kernel does not find the second
        (self._folder / "initramfs").write_bytes(first + padding + archive.stdout)

    def boot(self) -> None:
        """Switch the machine on, and return when it is up."""
        command = [
            *(
                "setpriv",
                "--pdeathsig=KILL",
                "qemu-system-x86_64",
                "-accel",
                "tcg,thread=multi",
                "-smp",
                "2",
                "-m",
                "1G",
            ),
            *("-nodefaults", "-no-user-config", "-display", "none", "-serial", f"file:{self._console}"),
            *("-kernel", self._image / "vmlinuz", "-initrd", self._folder / "initramfs"),
            *("-append", "console=ttyS0 quiet net.ifnames=0 mitigations=off panic=1"),
            *("-drive", f"if=virtio,format=raw,file={self._folder}/disk"),
            *("-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:22"),
            *("-device", "virtio-net-pci,netdev=net,romfile="),
            *("-device", "virtio-rng-pci"),
            *("-qmp", f"unix:{self._monitor},server=on,wait=off"),
        ]
        with open(self._folder / "qemu.log", "ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait_until_up()

    def wait_until_up(self) -> None:
        """Until the machine answers over SSH and it is another boot than the last one known."""
        limit = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < limit and self._process is not None and self._process.poll() is None:
            found = self.run("cat /proc/sys/kernel/random/boot_id", check=False)
            if found.returncode == 0 and found.stdout.strip() != self.boot_id:
                self.boot_id = found.stdout.strip()
                return
            time.sleep(1)
        logs = [path.read_text(errors="replace")[-3000:] for path in (self._console, self._folder / "qemu.log")]
        pytest.fail(f"the virtual machine did not come up within {BOOT_SECONDS} s:\n" + "\n".join(logs))

    def reset(self) -> None:
        """Press the reset button: nothing is flushed, nobody is told. `wait_until_up` when you want it back."""
        (self._folder / "shared").unlink(missing_ok=True)  # it would answer no more
        self._qmp("system_reset")

    def power_cut(self) -> None:
        """Pull the plug; the disk keeps what it has been given. `boot` switches it on again."""
        if self._process is not None:
            (self._folder / "shared").unlink(missing_ok=True)
            self._process.kill()
            self._process.wait()

    def _qmp(self, command: str) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(str(self._monitor))
            answers = connection.makefile()
            answers.readline()  # its greeting
            for execute in ("qmp_capabilities", command):
                connection.sendall(json.dumps({"execute": execute}).encode())
                while "return" not in (answer := json.loads(answers.readline())):
                    assert "error" not in answer, answer

    def ssh(self, command: str, user: str = "root") -> list[str]:
        """The command line that runs a shell command on the machine, in an SSH session of its own."""
        return ["ssh", *self.ssh_options, "-p", str(self.port), f"{user}@127.0.0.1", command]

    def run(self, command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a shell command on the machine, as root."""
        first, *rest = self.ssh(command)
        done = subprocess.run(
            [first, *self._shared, *rest],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=300,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    def values(self, *parameters: str) -> dict[str, str]:
        """Values as `sysctl -n` shows them, with single spaces."""
        shown = self.run(f"sysctl -n {shlex.join(parameters)}").stdout.splitlines()
        return {parameter: " ".join(value.split()) for parameter, value in zip(parameters, shown, strict=True)}

    def state(self) -> str:
        """All that a test must leave as it found it."""
        return self.run(STATE).stdout

    def call(
        self, module: str = "sysctl", *, user: str = "root", check: bool = True, **arguments: Any
    ) -> dict[str, Any]:
        """Call a module of the collection as Ansible does, over SSH; returns its result, or fails the test."""
        command = [str(ANSIBLE_PLAYBOOK.with_name("ansible")), "vm", "-i", str(self.inventory)]
        command += ["-m", f"autotune.kernel.{module}", "-a", json.dumps(arguments)]
        command += [] if user == "root" else ["-e", f"ansible_user={user}", "--become"]
        # Without a connection that lasts: the call's session ends with it.
        done = self._ansible(command, ANSIBLE_PIPELINING="true", ANSIBLE_SSH_ARGS="-o ControlMaster=no")
        dummy, found, shown = done.stdout.partition(" => ")
        assert found, done.stdout + done.stderr
        result: dict[str, Any] = json.loads(shown)
        assert not (check and done.returncode), result
        return result

    def play(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """ansible-playbook on the machine."""
        return self._ansible([str(ANSIBLE_PLAYBOOK), "-i", str(self.inventory), *arguments])

    def _ansible(self, command: list[str], **settings: str) -> subprocess.CompletedProcess[str]:
        own = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), **settings}
        return subprocess.run(
            command, cwd=ROOT, env={**os.environ, **own}, capture_output=True, text=True, check=False, timeout=600
        )


def image() -> Path:
    """The folder of the image as the recipe now is; builds it if it is not there."""
    recipe = hashlib.sha256((HERE / "build_image").read_bytes()).hexdigest()[:16]
    folder = CACHE / f"vm-{recipe}"
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(CACHE / "vm.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            for old in CACHE.glob("vm-*"):
                shutil.rmtree(old)
            subprocess.run([HERE / "build_image", folder], check=True)
    return folder


@pytest.fixture(scope="session")
def vm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The machine, up; leave it as you found it."""
    if os.geteuid() != 0:
        pytest.skip("building the virtual machine's image takes root")
    lacking = [name for name in ("qemu-system-x86_64", "debootstrap") if shutil.which(name) is None]
    if lacking:
        pytest.skip(f"a virtual machine takes {' and '.join(lacking)}: ./dev vm installs what is missing")
    folder = tmp_path_factory.mktemp("vm")
    machine = Machine(image(), folder)
    try:
        machine.boot()
        yield machine
    finally:
        machine.power_cut()
        (folder / "disk").unlink(missing_ok=True)  # pytest keeps the folder for a while, and this is large


@pytest.fixture(autouse=True)
def as_found(vm: Machine) -> Iterator[str]:
    """The machine's state, which it must have again after the test."""
    before = vm.state()
    yield before
    assert vm.state() == before


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool], float], None]:
    """Wait for a condition, so many seconds at most."""

    def wait(condition: Callable[[], bool], seconds: float) -> None:
        limit = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < limit, f"not within {seconds} seconds"
            time.sleep(0.5)

    return wait


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(1800))
