"""A kernel of files that couples, clamps and refuses like the real one."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import (
    _boot_files,
    _dropin,
    _journal,
    _kernel,
    _kind,
    _ufw,
    _watchdog,
)

FIRST_VALUES = {
    "kernel.random.boot_id": "6ef18fc1-23fd-4f4a-8560-a7958ad3bc5b",
    "net.core.netdev_max_backlog": "1000",
    "net.core.rmem_max": "212992",
    "net.core.somaxconn": "4096",
    "net.ipv4.ip_local_reserved_ports": "",
    "net.ipv4.ipfrag_high_thresh": "4194304",
    "net.ipv4.ipfrag_low_thresh": "3145728",
    "net.ipv4.tcp_allowed_congestion_control": "reno bbr",
    "net.ipv4.tcp_available_congestion_control": "reno bbr cubic",
    "net.ipv4.tcp_congestion_control": "reno",
    "net.ipv4.tcp_rmem": "4096 131072 6291456",
    "net/ipv4/neigh/eth0.1/gc_stale_time": "60",
    "vm.dirty_background_bytes": "0",
    "vm.dirty_background_ratio": "10",
    "vm.dirty_bytes": "0",
    "vm.dirty_ratio": "20",
    "vm.swappiness": "60",
}
PAIRS = {
    "vm.dirty_bytes": "vm.dirty_ratio",
    "vm.dirty_background_bytes": "vm.dirty_background_ratio",
}
RATIOS = {ratio: amount for amount, ratio in PAIRS.items()}


class FakeKernel:
    """Files below `root` behind the functions of _kernel. `refuse` may raise for a write, as a faulty kernel would."""

    def __init__(self, base: Path) -> None:
        self.base, self.root = base, base / "proc"
        self.written: list[tuple[str, str]] = []
        self.read_only: set[str] = set()
        self.write_only: set[str] = set()
        self.read_real, self.write_real = _kernel.read, _kernel.write
        self.refuse: Callable[[str, str], None] = lambda parameter, text: None
        for parameter, value in FIRST_VALUES.items():
            self.put(parameter, value)

    def put(self, parameter: str, value: str) -> None:
        path = self.root.joinpath(*_kernel.components(parameter))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value.replace(" ", "\t") + "\n")

    def get(self, parameter: str) -> str:
        return " ".join(self.root.joinpath(*_kernel.components(parameter)).read_text().split())

    def remove(self, parameter: str) -> None:
        self.root.joinpath(*_kernel.components(parameter)).unlink()

    def values(self) -> dict[str, str]:
        return {parameter: self.get(parameter) for parameter in FIRST_VALUES}

    def read(self, parameter: str) -> str:
        if parameter in self.write_only:
            raise OSError(errno.EACCES, "Permission denied")
        return self.get(parameter)

    def write(self, parameter: str, text: str) -> None:
        self.refuse(parameter, text)
        self.written.append((parameter, text))
        if parameter in self.read_only:
            raise OSError(errno.EACCES, "Permission denied")
        invalid = OSError(errno.EINVAL, "Invalid argument")
        if parameter == "vm.swappiness" and not 0 <= int(text) <= 200:
            raise invalid
        if parameter == "net.core.somaxconn":
            text = str(min(int(text), 65535))
        if parameter == "net.ipv4.tcp_congestion_control" and text not in self.get(
            "net.ipv4.tcp_allowed_congestion_control"
        ):
            raise OSError(errno.EPERM, "Operation not permitted")
        if parameter == "net.ipv4.ipfrag_low_thresh" and int(text) > int(self.get("net.ipv4.ipfrag_high_thresh")):
            raise invalid
        if parameter == "net.ipv4.ipfrag_high_thresh" and int(text) < int(self.get("net.ipv4.ipfrag_low_thresh")):
            raise invalid
        if parameter in PAIRS:
            if int(text) == 0:
                raise invalid
            self.put(PAIRS[parameter], "0")
        if parameter in RATIOS and text != self.get(parameter):  # as the kernel: only a change ends the other one
            self.put(RATIOS[parameter], "0")
        self.put(parameter, text)

    def why_not_writable(self, parameter: str) -> str | None:
        return "the kernel does not let it be written here" if parameter in self.read_only else None


@contextmanager
def running_kernel() -> Iterator[FakeKernel]:
    """A fake kernel in place of the real one, with folders of its own and without a watchdog."""
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None  # these tests call fsync a few thousand times
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=memory)))
        kernel = FakeKernel(base)
        for target, name, value in (
            (_kind, "PROC_SYS", str(kernel.root)),
            (_kernel, "read", kernel.read),
            (_kernel, "write", kernel.write),
            (_kernel, "why_not_writable", kernel.why_not_writable),
            (_journal, "RUN_DIRECTORY", str(base / "run")),
            (_dropin, "STATE_DIRECTORY", str(base / "state")),
            (_dropin, "DROPIN_DIRECTORY", str(base / "sysctl.d")),
            (_dropin, "OTHER_DIRECTORIES", (str(base / "lib/sysctl.d"),)),
            (_boot_files, "SYSCTL_CONF", str(base / "sysctl.conf")),
            (_ufw, "STATE", str(base / "ufw.conf")),
            (_ufw, "DEFAULTS", str(base / "default-ufw")),
            (_watchdog, "ensure", list),
            (os, "geteuid", lambda: 0),  # whoever runs the tests
        ):
            stack.enter_context(mock.patch.object(target, name, value))
        yield kernel


@pytest.fixture
def kernel() -> Iterator[FakeKernel]:
    with running_kernel() as fake:
        yield fake


@pytest.fixture(scope="session")
def new_kernel() -> Callable[[], object]:
    """For tests by hypothesis, which need a fresh kernel for every example."""
    return running_kernel


@pytest.fixture
def expire() -> Callable[[], None]:
    """Let the lease in force run out."""

    def run_out() -> None:
        lease = _journal.read()
        assert lease is not None
        _journal.write(_journal.replace(lease, deadline=_journal.now() - 1))

    return run_out
