from __future__ import annotations

import errno
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _kernel, _kind, _kind_scheduler


@pytest.mark.parametrize(
    ("parameter", "path", "name"),
    [
        ("vm.swappiness", "vm/swappiness", "vm.swappiness"),
        ("vm/swappiness", "vm/swappiness", "vm.swappiness"),
        ("net/ipv4/conf/eth0.1/tag", "net/ipv4/conf/eth0.1/tag", "net/ipv4/conf/eth0.1/tag"),
        ("net.ipv4.conf.eth0/1.tag", "net/ipv4/conf/eth0.1/tag", "net/ipv4/conf/eth0.1/tag"),
        ("kernel.ns-last_pid", "kernel/ns-last_pid", "kernel.ns-last_pid"),
    ],
)
def test_spellings_of_a_name(parameter: str, path: str, name: str) -> None:
    assert _kernel.path_of(parameter) == f"/proc/sys/{path}"
    assert _kernel.canonical_name(parameter) == name
    assert _kernel.canonical_name(name) == name


@pytest.mark.parametrize(
    "parameter",
    [
        "",
        "vm",
        ".",
        "..",
        "../vm",
        "vm/../../etc/passwd",
        "net/../../etc",
        "net.ipv4.//.tcp_rmem",
        "/proc/sys/vm/swappiness",
        "vm..swappiness",
        "vm.swap*",
        "vm.swappiness\n",
        "vm.swappiness\0",
        "vm.swap piness",
        "vm.ѕwappiness",
        "vm.swappiness;reboot",
    ],
)
def test_refuses_what_is_no_name(parameter: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a kernel parameter"):
        _kernel.path_of(parameter)


@pytest.mark.parametrize(
    "value", [["net/ipv4/tcp_sack"], {"net/ipv4/tcp_sack": 1}, [["vm.swappiness"]], {}, [], None, 5, True]
)
def test_what_is_no_text_is_no_name(value: Any) -> None:
    with pytest.raises(ValueError, match="is not the name of a kernel parameter"):
        _kernel.canonical_name(value)


@pytest.mark.parametrize("interface", ["lan#20", "wg~0", "süd0", "x(1)", "a!b", "50%", "br^1"])
@pytest.mark.parametrize("place", ["ipv4.conf", "ipv6.neigh"])
def test_an_interface_may_have_nearly_any_name(place: str, interface: str) -> None:
    name = f"net.{place}.{interface}.mtu"
    assert _kernel.canonical_name(name) == name
    assert _kernel.path_of(name).endswith(f"/{interface}/mtu")


@pytest.mark.parametrize(
    "interface", ["a*b", "a?", "[x]", "a b", "$(id)", "`id`", "a;b", "{{x}}", "\udcff", "a\x7f", "'", '"']
)
def test_what_shells_or_sysctl_d_would_read_is_no_interface_here(interface: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a kernel parameter"):
        _kernel.path_of(f"net/ipv4/conf/{interface}/mtu")


def test_elsewhere_look_alikes_are_no_names() -> None:
    with pytest.raises(ValueError, match="is not the name"):
        _kernel.path_of("net.ipv4.tсp_rmem")


@pytest.mark.parametrize(
    ("parameter", "hint"),
    [
        ("-net.ipv4.conf.all.rp_filter", "leave out the leading -"),
        ("net.ipv4.conf.*.rp_filter", "name each parameter, as patterns"),
        ("vm.swap piness", "write vm.swappiness, or net/ipv4/conf/eth0.1/mtu"),
    ],
)
def test_says_how_a_name_is_written(parameter: str, hint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(hint)):
        _kernel.path_of(parameter)


def test_reads_with_single_spaces_and_writes_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kind, "PROC_SYS", str(tmp_path))
    (tmp_path / "vm").mkdir()
    (tmp_path / "vm/vector").write_text("4096\t131072\t6291456\n")
    assert _kernel.read("vm.vector") == "4096 131072 6291456"
    _kernel.write("vm.vector", "1 2")
    assert (tmp_path / "vm/vector").read_text() == "1 2\n"
    assert _kernel.exists("vm.vector")
    assert not _kernel.exists("vm.other")
    assert not _kernel.exists("vm.vector.deeper")


@pytest.mark.parametrize(
    ("error", "uid", "complaint"),
    [
        (errno.EROFS, 0, "read-only here, as in a container"),
        (errno.EACCES, 1000, "user id 1000 may not write it: use become"),
        (errno.EACCES, 0, "the kernel does not permit writing it here"),
    ],
)
def test_says_why_it_cannot_be_written(
    error: int,
    uid: int,
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    replace_for: Callable[..., None],
) -> None:
    def fail(*dummy: object) -> int:
        raise OSError(error, "no")

    monkeypatch.setattr(_kind, "PROC_SYS", str(tmp_path))
    replace_for(_kind, "os", open=fail, geteuid=lambda: uid)
    assert complaint in (_kernel.why_not_writable("vm.swappiness") or "")


@pytest.mark.parametrize(
    ("parameter", "path"),
    [
        ("transparent_hugepage.enabled", "/sys/kernel/mm/transparent_hugepage/enabled"),
        ("transparent_hugepage.khugepaged.defrag", "/sys/kernel/mm/transparent_hugepage/khugepaged/defrag"),
        ("block.nvme0n1.scheduler", "/sys/block/nvme0n1/queue/scheduler"),
        ("block.sda.iosched.read_expire", "/sys/block/sda/queue/iosched/read_expire"),
        ("sched.base_slice_ns", "/sys/kernel/debug/sched/base_slice_ns"),
        ("sched.numa_balancing.scan_size_mb", "/sys/kernel/debug/sched/numa_balancing/scan_size_mb"),
    ],
)
def test_settings_that_are_not_sysctls_have_names_too(parameter: str, path: str) -> None:
    assert _kernel.path_of(parameter) == path
    assert not _kernel.is_sysctl(parameter)


@pytest.mark.parametrize(
    "parameter", ["block", "block.sda", "block.sda/../../x", "block.../..", "transparent_hugepage.."]
)
def test_refuses_what_is_no_name_of_these_either(parameter: str) -> None:
    with pytest.raises(ValueError, match="is not the name"):
        _kernel.canonical_name(parameter)


@pytest.fixture
def sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_kind, "SYSFS", str(tmp_path))
    (tmp_path / "block/sda/queue/iosched").mkdir(parents=True)
    (tmp_path / "block/sda/queue/iosched/read_expire").write_text("500\n")
    return tmp_path


@pytest.mark.parametrize(
    ("content", "value", "choices"),
    [
        ("always [madvise] never\n", "madvise", ["always", "madvise", "never"]),
        ("[none] mq-deadline kyber bfq \n", "none", ["none", "mq-deadline", "kyber", "bfq"]),
        ("none voluntary (full) lazy \n", "full", ["none", "voluntary", "full", "lazy"]),
        ("always defer [defer+madvise] madvise never\n", "defer+madvise", None),
        ("[none]\n", "none", ["none"]),
        ("none\n", "none", None),
        ("128\n", "128", None),
    ],
)
def test_of_several_choices_it_reads_the_one_in_force(
    content: str, value: str, choices: list[str] | None, sysfs: Path
) -> None:
    (sysfs / "block/sda/queue/scheduler").write_text(content)
    assert _kernel.read("block.sda.scheduler") == value
    if choices or "[" not in content:
        assert _kernel.choices("block.sda.scheduler") == choices


def test_brackets_in_a_sysctl_are_its_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kind, "PROC_SYS", str(tmp_path))
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel/domainname").write_text("(none)\n")
    assert _kernel.read("kernel.domainname") == "(none)"


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ("sched.base_slice_ns", "this kernel has no debugfs"),
        ("block.sdb.scheduler", "there is no block device sdb; there are sda"),
        ("block.sda.iosched.low_latency", "it belongs to a scheduler that the device does not use"),
        ("vm.swappiness", None),
    ],
)
def test_says_why_it_is_missing(parameter: str, said: str | None, sysfs: Path) -> None:
    reason = _kernel.why_missing(parameter)
    assert said in reason if said and reason else reason is said


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "debugfs is not mounted: mount -t debugfs debugfs"),
        (["bdi/x"], "has no scheduler settings: the kernel is older than 5.13"),
        (["sched/nr_migrate"], None),
    ],
)
def test_says_why_the_scheduler_has_no_settings(files: list[str], said: str | None, sysfs: Path) -> None:
    debugfs = sysfs / "kernel/debug"
    debugfs.mkdir(parents=True)
    for file in files:
        (debugfs / file).parent.mkdir()
        (debugfs / file).touch()
    reason = _kernel.why_missing("sched.base_slice_ns")
    assert said in reason if said and reason else reason is said


def test_says_that_debugfs_is_closed(sysfs: Path, replace_for: Callable[..., None]) -> None:
    (sysfs / "kernel/debug").mkdir(parents=True)

    def refuse(dummy: str) -> list[str]:
        raise PermissionError(errno.EACCES, "Permission denied")

    replace_for(_kind_scheduler, "os", listdir=refuse)
    assert "debugfs is not readable for user id" in (_kernel.why_missing("sched.base_slice_ns") or "")


def test_says_that_a_locked_kernel_closes_debugfs(sysfs: Path, replace_for: Callable[..., None]) -> None:
    def refuse(*dummy: object) -> int:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    replace_for(_kind, "os", open=refuse, geteuid=lambda: 0)
    assert "debugfs is closed because this kernel is locked down" in (
        _kernel.why_not_writable("sched.base_slice_ns") or ""
    )
