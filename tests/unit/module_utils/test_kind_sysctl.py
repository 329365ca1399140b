from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _coupling, _kernel, _kind

INTERFACES = ("all", "default", "eth0", "eth0.100")


@pytest.fixture(autouse=True)
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_kind, "PROC_SYS", str(tmp_path / "proc"))
    monkeypatch.setattr(_kind, "SYSFS", str(tmp_path / "sys"))
    for interface in INTERFACES:
        for name in (
            "ipv4/conf/{}/forwarding",
            "ipv4/conf/{}/rp_filter",
            "ipv6/conf/{}/forwarding",
            "ipv6/conf/{}/mtu",
        ):
            put(tmp_path / "proc/net" / name.format(interface))
    for interface in INTERFACES[1:]:
        for name in ("unres_qlen", "unres_qlen_bytes", "gc_stale_time"):
            put(tmp_path / "proc/net/ipv4/neigh" / interface / name)
    for name in ("net/ipv4/neigh/default/gc_thresh1", "net/ipv4/ip_forward", "net/ipv4/conf/all/accept_redirects"):
        put(tmp_path / "proc" / name)
    for name in ("vm/min_free_kbytes", "net/ipv6/route/gc_min_interval", "net/ipv6/route/gc_min_interval_ms"):
        put(tmp_path / "proc" / name)
    put(tmp_path / "sys/block/sda/queue/iosched/read_expire")
    return tmp_path


def put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("0\n")


@pytest.mark.parametrize(
    ("parameter", "others"),
    [
        ("vm.swappiness", []),
        ("net.ipv4.neigh.eth0.unres_qlen", ["net.ipv4.neigh.eth0.unres_qlen_bytes"]),
        ("net.ipv4.neigh.eth0.unres_qlen_bytes", []),
        ("net.ipv6.route.gc_min_interval", ["net.ipv6.route.gc_min_interval_ms"]),
        ("net.ipv4.neigh.default.gc_thresh1", []),
        (
            "net.ipv4.neigh.default.unres_qlen",
            [
                "net.ipv4.neigh.default.unres_qlen_bytes",
                "net.ipv4.neigh.eth0.unres_qlen_bytes",
                "net/ipv4/neigh/eth0.100/unres_qlen_bytes",
            ],
        ),
        (
            "net.ipv4.ip_forward",
            [
                "net.ipv4.conf.all.forwarding",
                "net.ipv4.conf.all.accept_redirects",
                "net.ipv4.conf.default.forwarding",
                "net.ipv4.conf.eth0.forwarding",
                "net/ipv4/conf/eth0.100/forwarding",
            ],
        ),
        ("net.ipv4.conf.default.rp_filter", ["net.ipv4.conf.eth0.rp_filter", "net/ipv4/conf/eth0.100/rp_filter"]),
        ("net.ipv4.conf.default.forwarding", []),
        ("net.ipv4.conf.all.rp_filter", []),
        (
            "net.ipv6.conf.all.forwarding",
            [
                "net.ipv6.conf.default.forwarding",
                "net.ipv6.conf.eth0.forwarding",
                "net/ipv6/conf/eth0.100/forwarding",
            ],
        ),
        ("net.ipv6.conf.all.mtu", []),
        ("transparent_hugepage.enabled", ["vm.min_free_kbytes"]),
        ("transparent_hugepage.hugepages-64kB.enabled", ["vm.min_free_kbytes"]),
        (
            "block.sda.scheduler",
            ["block.sda.nr_requests", "block.sda.wbt_lat_usec", "block.sda.iosched.read_expire"],
        ),
        ("block.sda.nr_requests", []),
    ],
)
def test_names_what_else_a_write_changes(parameter: str, others: list[str]) -> None:
    assert sorted(_coupling.side_effects(parameter)) == sorted(others)
    assert _coupling.affected([parameter]) == [parameter, *_coupling.side_effects(parameter)]


def test_what_changes_others_is_written_before_them() -> None:
    first = ["net.ipv4.neigh.default.unres_qlen", "net.ipv4.ip_forward", "block.sda.scheduler"]
    targets = dict.fromkeys([*reversed(_coupling.affected(first))], "1")
    order = [parameter for parameter, dummy in _coupling.writes(targets, {})]
    for one in first:
        assert all(order.index(one) < order.index(other) for other in _coupling.side_effects(one))


def test_what_cannot_be_undone_is_written_last() -> None:
    targets = {"net.ipv6.conf.all.disable_ipv6": "1", "vm.swappiness": "1", "net.core.somaxconn": "5"}
    assert _coupling.writes(targets, {})[-1] == ("net.ipv6.conf.all.disable_ipv6", "1")


def test_an_interface_whose_name_cannot_be_written_is_out_of_reach(kernel: Path) -> None:
    put(kernel / "proc/net/ipv4/conf/a*b/rp_filter")
    assert _coupling.unnameable("net.ipv4.conf.default.rp_filter") == ["'a*b'"]
    assert _coupling.unnameable("net.ipv4.conf.eth0.rp_filter") == []
    put(kernel / "proc/net/ipv4/conf/a*b/forwarding")
    assert _coupling.unnameable("net.ipv4.ip_forward") == ["'a*b'"]
    assert "net.ipv4.conf.eth0.rp_filter" in _coupling.side_effects("net.ipv4.conf.default.rp_filter")


def test_what_belongs_to_a_scheduler_comes_and_goes() -> None:
    assert _kernel.is_transient("block.sda.iosched.read_expire")
    assert not _kernel.is_transient("block.sda.nr_requests")


def test_what_becomes_the_default_congestion_control_is_allowed_from_then_on(kernel: Path) -> None:
    put(kernel / "proc/net/ipv4/tcp_allowed_congestion_control")
    assert _coupling.side_effects("net.ipv4.tcp_congestion_control") == [], (
        "in a network namespace nobody can set the list"
    )
    put(kernel / "proc/net/core/netdev_max_backlog")
    assert _coupling.side_effects("net.ipv4.tcp_congestion_control") == ["net.ipv4.tcp_allowed_congestion_control"]


def test_one_switch_turns_off_both_watchdogs_of_the_kernel(kernel: Path) -> None:
    put(kernel / "proc/kernel/soft_watchdog")
    assert _coupling.side_effects("kernel.watchdog") == ["kernel.soft_watchdog"]
