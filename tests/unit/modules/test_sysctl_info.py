from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _facts, _kind, _machine, _validation
from ansible_collections.autotune.kernel.plugins.modules import sysctl
from ansible_collections.autotune.kernel.plugins.modules.sysctl_info import main

Call = Callable[..., dict[str, Any]]


def test_reads_the_default_size_of_huge_pages() -> None:
    meminfo = Path("/proc/meminfo").read_text(encoding="ascii")
    found = re.search(r"^Hugepagesize: +(\d+) kB", meminfo, re.MULTILINE)
    assert _machine.read().huge_page_bytes == (int(found[1]) * 1024 if found else 2**21)


def test_tells_of_the_host_and_its_parameters(procfs: Path, call: Call) -> None:
    result = call(main, parameters=["vm.swappiness", "vm.nothing", "kernel.core_pattern", "net.ipv4.tcp_rmem"])
    assert result["boot_id"] == "6ef18fc1"
    assert result["kernel"] == os.uname().release
    assert result["network_namespace"] == os.stat("/proc/self/ns/net").st_ino
    assert result["memory_bytes"] > 2**20
    assert result["effective_uid"] == os.geteuid()
    assert result["lease"] is None
    assert result["verdict"] is None
    assert result["parameters"]["vm.swappiness"] == {
        "exists": True,
        "readable": True,
        "writable": True,
        "why_not_writable": None,
        "value": "60",
        "original": "60",
        "denied": False,
        "namespaced": False,
        "kind": "int",
        "unit": "relative cost",
        "default": "60",
        "impairs": "performance",
        "summary": "relative cost of swapping versus reclaiming file pages; at most 100 before 5.8",
        "documentation": "https://docs.kernel.org/admin-guide/sysctl/vm.html",
        "special_values": {},
        "safe_range": [[0, 200]],
        "risks": [],
    }
    assert result["parameters"]["kernel.core_pattern"]["safe_range"] is None
    assert result["parameters"]["vm.nothing"]["exists"] is False
    assert result["parameters"]["kernel.core_pattern"]["denied"] is True
    assert result["parameters"]["net.ipv4.tcp_rmem"]["namespaced"] is True
    assert result["parameters"]["net.ipv4.tcp_rmem"]["value"] == "4096 131072 6291456"


def test_looks_at_what_the_catalogue_knows_and_at_what_is_named_besides(procfs: Path, call: Call) -> None:
    assert set(call(main, catalogue=True)["parameters"]) == {"net.ipv4.tcp_rmem", "vm.swappiness"}
    parameters = call(main, catalogue=True, parameters=["kernel.core_pattern"])["parameters"]
    assert set(parameters) == {"net.ipv4.tcp_rmem", "vm.swappiness", "kernel.core_pattern"}


def test_safe_choices_are_those_which_the_kernel_offers(procfs: Path, call: Call) -> None:
    queue = procfs.parent / "sys/block/sda/queue"
    queue.mkdir(parents=True)
    (queue / "scheduler").write_text("none [mq-deadline] adios\n")
    found = call(main)["parameters"]["block.sda.scheduler"]
    assert (found["value"], found["kind"], found["safe_range"]) == ("mq-deadline", "choice", ["none", "mq-deadline"])


def test_in_the_initial_namespace_it_cannot_tell_what_is_namespaced(procfs: Path, call: Call) -> None:
    (procfs / "net/core").mkdir()
    (procfs / "net/core/netdev_max_backlog").write_text("1000\n")
    assert call(main, parameters=["net.ipv4.tcp_rmem"])["parameters"]["net.ipv4.tcp_rmem"]["namespaced"] is None


def test_without_a_list_it_looks_at_all_but_shows_no_secret(procfs: Path, call: Call) -> None:
    parameters = call(main)["parameters"]
    assert len(parameters) == 5
    assert parameters["net.ipv4.tcp_fastopen_key"]["value"] is None


def test_a_name_that_cannot_be_written_is_left_out_with_a_warning(procfs: Path, call: Call) -> None:
    for folder in (b"net/ipv4/conf/b\xff0", b"net/ipv4/conf/a*b", "net/ipv4/conf/süd0".encode(), b"fs/binfmt misc"):
        os.makedirs(os.path.join(os.fsencode(procfs), folder))
        Path(os.fsdecode(os.path.join(os.fsencode(procfs), folder, b"tag"))).write_text("7\n")
    result = call(main)
    assert result["parameters"]["net.ipv4.conf.süd0.tag"]["value"] == "7"
    assert len(result["parameters"]) == 6
    assert "3 parameters were left out because their names are not supported, such as fs/binfmt misc/tag" in str(
        result["warnings"]
    )
    assert set(call(main, catalogue=True)["parameters"]) == {"net.ipv4.tcp_rmem", "vm.swappiness"}


def test_says_why_a_parameter_is_missing(procfs: Path, call: Call) -> None:
    (procfs.parent / "sys/kernel/debug").mkdir(parents=True)
    found = call(main, parameters=["sched.base_slice_ns", "vm.swapiness"])["parameters"]
    assert (
        "it does not exist here: debugfs is not mounted: mount -t debugfs"
        in (found["sched.base_slice_ns"]["why_not_writable"])
    )
    assert found["vm.swapiness"]["why_not_writable"] == "it does not exist here: did you mean vm.swappiness?"


def test_tells_of_a_lease(procfs: Path, call: Call) -> None:
    call(sysctl.main, state="leased", holder="anna", lease=60, values={"vm.swappiness": 10})
    found = call(main, parameters=["vm.swappiness"])
    assert found["lease"]["holder"] == "anna"
    assert 59 < found["lease"]["expires_in"] <= 60
    assert (found["parameters"]["vm.swappiness"]["value"], found["parameters"]["vm.swappiness"]["original"]) == (
        "10",
        "60",
    )


def test_tells_of_what_the_documentation_warns(procfs: Path, call: Call) -> None:
    (procfs / "net/ipv4/tcp_max_tw_buckets").write_text("65536\n")
    (risk,) = call(main, parameters=["net.ipv4.tcp_max_tw_buckets"])["parameters"]["net.ipv4.tcp_max_tw_buckets"][
        "risks"
    ]
    assert risk["applies_to"] == "values below the original one"
    assert risk["warning"].startswith("connections in TIME_WAIT beyond the limit are destroyed at once")
    assert "you _must_ not lower the limit artificially" in risk["quote"]
    assert risk["source"] == "https://docs.kernel.org/networking/ip-sysctl.html"


def test_names_the_daemons_that_set_parameters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for pid, name in enumerate(("tuned", "bash", "bpftune")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "status").write_text(f"Name:\t{name}\nUmask:\t0022\nNSpid:\t{pid}\n")
    monkeypatch.setattr(_facts.glob, "glob", lambda dummy: [str(path) for path in tmp_path.glob("*/status")])
    assert _facts.managed_by() == ["bpftune", "tuned"]


@pytest.mark.skipif(os.geteuid() != 0, reason="a PID namespace takes root")
def test_a_daemon_in_a_container_manages_the_container(tmp_path: Path) -> None:
    before = _facts.managed_by()
    shutil.copy(str(shutil.which("sleep")), tmp_path / "tuned")
    enter = ["unshare", "--pid", "--fork", "--kill-child"]
    daemon = subprocess.Popen([*enter, tmp_path / "tuned", "60"])
    try:
        limit = time.monotonic() + 60
        while not subprocess.run(["pgrep", "-P", str(daemon.pid), "-x", "tuned"], capture_output=True).stdout:
            assert time.monotonic() < limit
        assert _facts.managed_by() == before
    finally:
        daemon.kill()
        daemon.wait()


def test_a_bad_name_is_one_line(procfs: Path, call: Call) -> None:
    assert "is not the name of a kernel parameter" in call(main, parameters=["../x"])["msg"]


@pytest.mark.parametrize(
    ("systemd", "marks", "found"),
    [("lxc\n", [], "lxc"), ("", [], "container"), (None, ["dockerenv"], "docker"), (None, [], None)],
)
def test_tells_what_a_host_is_inside_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, systemd: str | None, marks: list[str], found: str | None
) -> None:
    if systemd is not None:
        (tmp_path / "systemd").write_text(systemd)
    for mark in marks:
        (tmp_path / mark).touch()
    monkeypatch.setattr(_facts, "_CONTAINER_FILES", {str(tmp_path / "dockerenv"): "docker"})
    monkeypatch.setattr(_facts, "_INITIAL_PID_NAMESPACE", os.stat("/proc/self/ns/pid").st_ino)
    monkeypatch.setattr(_facts, "_SYSTEMD_CONTAINER", str(tmp_path / "systemd"))
    assert _facts.container() == found


def test_process_ids_of_its_own_are_a_container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_facts, "_CONTAINER_FILES", {})
    monkeypatch.setattr(_facts, "_SYSTEMD_CONTAINER", str(tmp_path / "nothing"))
    monkeypatch.setattr(_facts, "_INITIAL_PID_NAMESPACE", 1)
    assert _facts.container() == "container"


def test_what_the_kernel_does_not_let_be_read_is_not_readable(
    procfs: Path, call: Call, monkeypatch: pytest.MonkeyPatch, replace_for: Callable[..., None]
) -> None:
    """As debugfs where the kernel is locked down: its modes promise what opening does not keep."""
    scheduler = procfs.parent / "sys/kernel/debug/sched"
    scheduler.mkdir(parents=True)
    (scheduler / "base_slice_ns").write_text("700000\n")

    def refuse(*dummy: object, **dummies: object) -> object:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(_kind, "open", refuse, raising=False)
    replace_for(_kind, "os", open=refuse, geteuid=lambda: 0)
    found = _facts.parameter_facts("sched.base_slice_ns", _machine.read(), {})
    assert (found["readable"], found["value"]) == (False, None)
    assert found["why_not_writable"] == (
        "debugfs is closed because this kernel is locked down (Secure Boot, or lockdown= at boot)"
    )
    said = _validation.fault_of("sched.base_slice_ns", "1", ())
    assert "cannot be read, so it could not be restored: debugfs is closed" in getattr(said, "message", "")
