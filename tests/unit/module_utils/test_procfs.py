from __future__ import annotations

import errno
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _procfs


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
    assert _procfs.path_of(parameter) == f"/proc/sys/{path}"
    assert _procfs.canonical_name(parameter) == name
    assert _procfs.canonical_name(name) == name


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
        _procfs.path_of(parameter)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (10, "10"),
        (-1, "-1"),
        (10.0, "10"),
        (1e6, "1000000"),
        (" 10\n", "10"),
        ("4096\t131072  6291456", "4096 131072 6291456"),
        ([4096, "131072", 6291456.0], "4096 131072 6291456"),
        ("", ""),
    ],
)
def test_values_as_the_kernel_writes_them(value: object, text: str) -> None:
    assert _procfs.text_of("a.b", value) == text


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (True, "true is not a value, write 1 or 0"),
        ([1, False], "false is not a value"),
        (0.5, "is not a whole number"),
        (float("nan"), "is not a whole number"),
        (float("inf"), "is not a whole number"),
        (None, "is not a number, a string or a list"),
        ({"a": 1}, "is not a number, a string or a list"),
        ([], "an empty list"),
        ("1\n2", "not printable ASCII"),
        ("1\0", "not printable ASCII"),
        ("٣", "not printable ASCII"),
        ("1" * 5000, "longer than"),
    ],
)
def test_refuses_what_is_no_value(value: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=r"^a\.b: ") as error:
        _procfs.text_of("a.b", value)
    assert complaint in str(error.value)


def test_reads_with_single_spaces_and_writes_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_procfs, "ROOT", str(tmp_path))
    (tmp_path / "vm").mkdir()
    (tmp_path / "vm/vector").write_text("4096\t131072\t6291456\n")
    assert _procfs.read("vm.vector") == "4096 131072 6291456"
    _procfs.write("vm.vector", "1 2")
    assert (tmp_path / "vm/vector").read_text() == "1 2\n"
    assert _procfs.exists("vm.vector")
    assert not _procfs.exists("vm.other")
    assert not _procfs.exists("vm.vector.deeper")


@pytest.mark.parametrize(
    ("error", "uid", "complaint"),
    [
        (errno.EROFS, 0, "read-only here, as in a container"),
        (errno.EACCES, 1000, "user id 1000 may not write it: use become"),
        (errno.EACCES, 0, "the kernel does not let it be written here"),
    ],
)
def test_says_why_it_cannot_be_written(
    error: int, uid: int, complaint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*dummy: object) -> int:
        raise OSError(error, "no")

    monkeypatch.setattr(_procfs, "ROOT", str(tmp_path))
    monkeypatch.setattr(_procfs.os, "open", fail)
    monkeypatch.setattr(_procfs.os, "geteuid", lambda: uid)
    assert complaint in (_procfs.why_not_writable("vm.swappiness") or "")
