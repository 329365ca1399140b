# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Parameters that are set only if the user names them in `allow_unsafe`, and values that cannot be undone."""

from __future__ import annotations

from fnmatch import fnmatchcase

from ansible_collections.autotune.kernel.plugins.module_utils import _kernel, _value

# Patterns are names with slashes; * also matches slashes.
_REASONS: dict[str, tuple[str, ...]] = {
    "it makes the kernel run a program": (
        "kernel/core_pattern",
        "kernel/core_pipe_limit",
        "kernel/modprobe",
        "kernel/hotplug",
        "kernel/poweroff_cmd",
        "kernel/usermodehelper/*",
        "kernel/cad_pid",
        "kernel/firmware_config/*",
        "fs/binfmt_misc/*",
    ),
    "it cannot be undone before the next boot": (
        "kernel/modules_disabled",
        "kernel/kexec_load_disabled",
        "kernel/kexec_load_limit_*",
        "kernel/unprivileged_bpf_disabled",
        "kernel/tainted",
        "net/netfilter/nf_hooks_lwtunnel",
    ),
    "it acts when written and has no value to restore": (
        "vm/drop_caches",
        "vm/compact_memory",
        "vm/stat_refresh",
        "kernel/shm_rmid_forced",
        "kernel/ns_last_pid",
        "kernel/*_next_id",
        "net/*/route/flush",
        "net/ipv4/tcp_ehash_entries",
        "sched/features",
    ),
    "it weakens security": (
        "abi/*",
        "crypto/*",
        "dev/tty/*",
        "fs/overflow*id",
        "fs/protected_*",
        "fs/suid_dumpable",
        "fs/verity/*",
        "kernel/acct",
        "kernel/apparmor*",
        "kernel/dmesg_restrict",
        "kernel/ftrace_enabled",
        "kernel/io_uring_*",
        "kernel/keys/*",
        "kernel/kptr_restrict",
        "kernel/loadpin/*",
        "kernel/overflow*id",
        "kernel/perf_event_paranoid",
        "kernel/randomize_va_space",
        "kernel/seccomp/*",
        "kernel/unprivileged_userns_*",
        "kernel/yama/*",
        "user/*",
        "vm/hugetlb_shm_group",
        "vm/legacy_va_layout",
        "vm/memfd_noexec",
        "vm/mmap_min_addr",
        "vm/mmap_rnd_*",
        "vm/unprivileged_userfaultfd",
        "net/core/bpf_jit_harden",
        "net/core/bpf_jit_kallsyms",
        "net/ipv4/icmp_echo_ignore_broadcasts",
        "net/ipv4/ip_unprivileged_port_start",
        "net/ipv4/ping_group_range",
        "net/ipv4/tcp_challenge_ack_limit",
        "net/netfilter/nf_conntrack_helper",
        "net/netfilter/nf_conntrack_tcp_be_liberal",
        "net/netfilter/nf_conntrack_tcp_ignore_invalid_rst",
        "net/netfilter/nf_log*",
    ),
    "it holds a secret": (
        "net/ipv4/tcp_fastopen_key",
        "net/ipv6/conf/*/stable_secret",
    ),
    "it controls how the machine reacts to failures": (
        "kernel/*panic*",
        "kernel/oops_limit",
        "kernel/warn_limit",
        "kernel/sysrq",
        "kernel/ctrl-alt-del",
        "vm/panic_on_oom",
        "vm/memory_failure_*",
    ),
    "it can starve the rest of the machine": (
        "kernel/sched_rt_runtime_us",
        "kernel/sched_rt_period_us",
        "sched/fair_server/*",
    ),
    "it can lose data or hide a faulty disk": (
        "block/*/write_cache",
        "block/*/io_timeout",
        "block/*/fua",
        "block/*/stable_writes",
    ),
    "it changes what the kernel assumes about the device": (
        "block/*/rotational",
        "block/*/discard_max_bytes",
        "block/*/zoned",
    ),
    "it floods the kernel log": (
        "sched/debug",
        "sched/verbose",
        "sched/latency_warn*",
    ),
    "it changes the machine's identity or the way of its traffic": (
        "kernel/hostname",
        "kernel/domainname",
        "net/bridge/*",
        "net/ipv4/ip_forward",
        "net/ipv4/ip_forward_update_priority",
        "net/ipv4/ip_nonlocal_bind",
        "net/ipv4/icmp_echo_ignore_all",
        "net/ipv4/conf/*/accept_*",
        "net/ipv4/conf/*/arp_accept",
        "net/ipv4/conf/*/bc_forwarding",
        "net/ipv4/conf/*/bootp_relay",
        "net/ipv4/conf/*/disable_*",
        "net/ipv4/conf/*/drop_gratuitous_arp",
        "net/ipv4/conf/*/forwarding",
        "net/ipv4/conf/*/mc_forwarding",
        "net/ipv4/conf/*/proxy_arp*",
        "net/ipv4/conf/*/route_localnet",
        "net/ipv4/conf/*/rp_filter",
        "net/ipv4/conf/*/*_redirects",
        "net/ipv6/conf/*/accept_*",
        "net/ipv6/conf/*/addr_gen_mode",
        "net/ipv6/conf/*/disable_*",
        "net/ipv6/conf/*/drop_unsolicited_na",
        "net/ipv6/conf/*/*forwarding",
        "net/ipv6/conf/*/proxy_ndp",
        "net/ipv6/conf/*/seg6_*",
        "net/ipv6/icmp/echo_ignore_*",
        "net/ipv6/ip_nonlocal_bind",
    ),
}

_REASONS_BY_VALUE: dict[tuple[str, int], str] = {
    ("vm/overcommit_memory", 2): "programs that reserve more memory than they use fail",
    ("net/ipv4/tcp_syncookies", 0): "it weakens security",
}
# What restoring the value does not undo, besides the reasons in _IRREVERSIBLE: the value that is harmless, if any.
_LOST: dict[str, tuple[int | None, str]] = {
    "net/ipv6/conf/*/addr_gen_mode": (None, "the interface gets additional IPv6 addresses, which stay"),
    "net/ipv6/conf/*/disable_ipv6": (0, "the kernel removes IPv6 addresses and routes permanently"),
    "net/ipv6/conf/*/forwarding": (0, "the kernel removes default routes learned from router advertisements"),
    "net/ipv6/conf/*/stable_secret": (None, "the interface gets additional IPv6 addresses, which stay"),
}
_IRREVERSIBLE = ("it cannot be undone before the next boot", "it acts when written and has no value to restore")
_WORD = 2**64  # kernels before 5.1 ignore an overflow


def denied_because(parameter: str, value: str | None = None) -> str | None:
    """Why the parameter, or this value of it, is denied, or None; raises ValueError for a malformed name.

    As the kernel reads a value, the first number counts, and what follows a space does not.
    """
    path = "/".join(_kernel.components(parameter))
    for reason, patterns in _REASONS.items():
        if any(fnmatchcase(path, pattern) for pattern in patterns):
            return reason
    number = _first_number(value)
    return None if number is None else _REASONS_BY_VALUE.get((path, number))


def irreversible_because(parameter: str, value: str) -> str | None:
    """Why restoring the former value would not undo this one, or None; raises ValueError for a malformed name."""
    path = "/".join(_kernel.components(parameter))
    if path.startswith("net/ipv6/conf/default/"):
        return None  # it only affects interfaces created later
    for pattern, (harmless, reason) in _LOST.items():
        if fnmatchcase(path, pattern) and (harmless is None or _first_number(value) != harmless):
            return reason
    denied = denied_because(parameter)
    return denied if denied in _IRREVERSIBLE else None


def holds_secret(parameter: str) -> bool:
    """Whether the value must not be shown."""
    return denied_because(parameter) == "it holds a secret"


def _first_number(value: str | None) -> int | None:
    words = (value or "").split()
    number = _value.number(words[0]) if words else None
    return None if number is None else number % _WORD
