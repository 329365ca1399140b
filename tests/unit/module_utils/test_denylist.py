from __future__ import annotations

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils._denylist import denied_because, holds_secret


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


def test_secrets() -> None:
    assert holds_secret("net.ipv4.tcp_fastopen_key")
    assert not holds_secret("kernel.core_pattern")


def test_a_bad_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="is not the name"):
        denied_because("net/../../etc")
