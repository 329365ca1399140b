from __future__ import annotations

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils._denylist import (
    denied_because,
    holds_secret,
    irreversible_because,
)

WEAKENS = "it weakens security"
REROUTES = "it changes the machine's identity or the way of its traffic"


@pytest.mark.parametrize(
    "parameter",
    [
        "kernel.core_pattern",
        "kernel/core_pattern",
        "kernel.modprobe",
        "kernel.usermodehelper.bset",
        "kernel.modules_disabled",
        "kernel.kptr_restrict",
        "kernel.randomize_va_space",
        "kernel.yama.ptrace_scope",
        "kernel.sysrq",
        "kernel.panic",
        "kernel.panic_on_oops",
        "kernel.hung_task_panic",
        "kernel.sched_rt_runtime_us",
        "fs.suid_dumpable",
        "fs.protected_hardlinks",
        "vm.drop_caches",
        "vm.compact_memory",
        "net.ipv4.ip_forward",
        "net.ipv4.conf.all.rp_filter",
        "net/ipv4/conf/eth0.1/rp_filter",
        "net.ipv4.conf.eth0/1.accept_redirects",
        "net.ipv6.conf.all.disable_ipv6",
        "net.ipv6.route.flush",
        "sched.features",
        "sched.fair_server.cpu0.runtime",
        "sched.verbose",
        "block.sda.write_cache",
        "block.sda.io_timeout",
        "block.sda.rotational",
    ],
)
def test_denies_what_is_not_for_tuning(parameter: str) -> None:
    assert denied_because(parameter)


@pytest.mark.parametrize(
    ("parameter", "reason"),
    [
        ("fs.overflowuid", WEAKENS),
        ("fs.overflowgid", WEAKENS),
        ("kernel.overflowuid", WEAKENS),
        ("kernel.overflowgid", WEAKENS),
        ("kernel.loadpin.enforce", WEAKENS),
        ("vm.hugetlb_shm_group", WEAKENS),
        ("net.netfilter.nf_conntrack_tcp_ignore_invalid_rst", WEAKENS),
        ("net.ipv4.conf.all.arp_accept", REROUTES),
        ("net/ipv4/conf/eth0.1/arp_accept", REROUTES),
        ("net.ipv6.conf.all.accept_untracked_na", REROUTES),
        ("net.ipv4.conf.all.drop_gratuitous_arp", REROUTES),
        ("net.ipv6.conf.all.drop_unsolicited_na", REROUTES),
        ("net.ipv4.conf.all.bc_forwarding", REROUTES),
        ("net.ipv6.icmp.echo_ignore_all", REROUTES),
        ("net.ipv6.icmp.echo_ignore_multicast", REROUTES),
    ],
)
def test_says_why_it_denies_what_opens_the_machine_or_lets_neighbours_direct_its_traffic(
    parameter: str, reason: str
) -> None:
    assert denied_because(parameter) == reason


@pytest.mark.parametrize(
    "parameter",
    [
        "vm.swappiness",
        "vm.dirty_ratio",
        "vm.overcommit_memory",
        "vm.min_free_kbytes",
        "kernel.sched_autogroup_enabled",
        "kernel.numa_balancing",
        "kernel.nmi_watchdog",
        "fs.file-max",
        "net.core.rmem_max",
        "net.core.default_qdisc",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_congestion_control",
        "net.ipv4.tcp_fastopen",
        "net.ipv4.neigh.default.gc_thresh1",
        "net.netfilter.nf_conntrack_max",
        "transparent_hugepage.enabled",
        "block.sda.scheduler",
        "sched.base_slice_ns",
    ],
)
def test_lets_performance_be_tuned(parameter: str) -> None:
    assert denied_because(parameter) is None


def test_some_are_denied_by_value() -> None:
    assert denied_because("vm.overcommit_memory", "2")
    assert denied_because("vm.overcommit_memory", "1") is None
    assert denied_because("net.ipv4.tcp_syncookies", "0")


@pytest.mark.parametrize("value", ["2", "02", "0x2", "0X02", "2 1", "2 x", "18446744073709551618"])
def test_a_value_is_judged_as_the_kernel_reads_it(value: str) -> None:
    assert denied_because("vm.overcommit_memory", value)


@pytest.mark.parametrize("value", ["0", "00", "-0", "0x0", "0 1"])
def test_zero_has_many_spellings(value: str) -> None:
    assert denied_because("net.ipv4.tcp_syncookies", value)
    assert denied_because("vm.overcommit_memory", value) is None


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("net.ipv6.conf.all.disable_ipv6", "1"),
        ("net/ipv6/conf/eth0.100/disable_ipv6", "0x1"),
        ("net.ipv6.conf.all.forwarding", "1"),
        ("net.ipv6.conf.eth0.addr_gen_mode", "0"),
        ("kernel.modules_disabled", "1"),
        ("vm.drop_caches", "3"),
    ],
)
def test_some_cannot_be_undone(parameter: str, value: str) -> None:
    assert irreversible_because(parameter, value)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("net.ipv6.conf.all.disable_ipv6", "00"),
        ("net.ipv6.conf.default.disable_ipv6", "1"),
        ("net.ipv4.ip_forward", "1"),
        ("vm.overcommit_memory", "2"),
    ],
)
def test_most_can_be_undone(parameter: str, value: str) -> None:
    assert irreversible_because(parameter, value) is None


def test_secrets() -> None:
    assert holds_secret("net.ipv4.tcp_fastopen_key")
    assert not holds_secret("kernel.core_pattern")


def test_a_bad_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="is not the name"):
        denied_because("net/../../etc")
