# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The catalogue: what the kernel's documentation warns of, and the values to which each warning applies.

A remark about speed alone is not a risk: that is what a study measures. A risk is what no benchmark of one workload
shows: harm to other services, to clients, to data, to security, to those who look after the machine.
"""

from __future__ import annotations

from functools import partial

from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_risk import Risk


def _page(path: str) -> partial[Risk]:
    return partial(Risk, f"https://docs.kernel.org/{path}.html")


_IP = _page("networking/ip-sysctl")
_NET = _page("admin-guide/sysctl/net")
_VM = _page("admin-guide/sysctl/vm")
_KERNEL = _page("admin-guide/sysctl/kernel")
_FS = _page("admin-guide/sysctl/fs")
_CONNTRACK = _page("networking/nf_conntrack-sysctl")
_LAPTOP = _page("admin-guide/laptops/laptop-mode")
_THP = _page("admin-guide/mm/transhuge")
_TCP = partial(Risk, "https://man7.org/linux/man-pages/man7/tcp.7.html")

RISKS: dict[str, tuple[Risk, ...]] = {
    "net.ipv4.tcp_max_tw_buckets": (
        _IP("connections in TIME_WAIT beyond the limit are destroyed at once, which leaves later connections without "
            "protection from late packets",
            "This limit exists only to prevent simple DoS attacks, you _must_ not lower the limit artificially",
            lowered=True),
    ),
    "net.ipv4.tcp_max_orphans": (
        _IP("connections that their program has closed are reset beyond the limit, before their data is delivered",
            "This limit exists only to prevent simple DoS attacks, you _must_ not rely on this or lower the limit "
            "artificially",
            lowered=True),
    ),
    "net.ipv4.tcp_tw_reuse": (
        _IP("ports are reused while packets of their last connection may still arrive; safe only with time stamps on "
            "both sides",
            "It should not be changed without advice/request of technical experts.",
            changed=True),
    ),
    "net.ipv4.tcp_tw_reuse_delay": (
        _IP("a port may be reused before the peer's time stamp has advanced, so that late packets are accepted",
            "It should not be set to a value lower than the peer's clock tick for PAWS (Protection Against Wrapped "
            "Sequence numbers) mechanism work correctly for the reused connection.",
            lowered=True),
    ),
    "net.ipv4.tcp_rmem": (
        _IP("every connection to this host receives at most this much per round trip, those of other services as well",
            "max: maximal size of receive buffer allowed for automatically selected receiver buffers for TCP socket.",
            lowered=True, element=2),
    ),
    "net.ipv4.tcp_wmem": (
        _IP("every connection of this host sends at most this much per round trip, those of other services as well",
            "max: Maximal amount of memory allowed for automatically tuned send buffers for TCP sockets.",
            lowered=True, element=2),
    ),
    "net.ipv4.tcp_abort_on_overflow": (
        _IP("clients get a reset where they would have got a connection after a retry",
            "Enabling this option can harm clients of your server.",
            values=("1",)),
    ),
    "net.ipv4.tcp_syncookies": (
        _IP("connections lose TCP options even without a flood",
            "syncookies seriously violate TCP protocol, do not allow to use TCP extensions, can result in serious "
            "degradation of some services [...] If you want to test which effects syncookies have to your network "
            "connections you can set this knob to 2",
            values=("2",)),
    ),
    "net.ipv4.tcp_migrate_req": (
        _IP("a connection may reach a listening socket with other settings than the one that it was meant for",
            "Note that migration between listeners with different settings may crash applications.",
            values=("1",)),
    ),
    "net.ipv4.tcp_retries1": (
        _IP("the route is suspected after fewer losses than the standard asks for",
            "RFC 1122 recommends at least 3 retransmissions, which is the default.",
            below=3),
    ),
    "net.ipv4.tcp_retries2": (
        _IP("connections break in outages that they would otherwise survive",
            "RFC 1122 recommends at least 100 seconds for the timeout, which corresponds to a value of at least 8.",
            below=8),
    ),
    "net.ipv4.tcp_rto_max_ms": (
        _IP("connections break sooner in an outage, unless net.ipv4.tcp_retries2 is raised with it",
            "If tcp_rto_max_ms is decreased, it is recommended to also change tcp_retries2.",
            lowered=True),
    ),
    "net.ipv4.tcp_rto_min_us": (
        _IP("a lost packet is noticed later than the standard timeout allows",
            "The recommended practice is to use a value less or equal to 200000 microseconds.",
            above=200000),
    ),
    "net.ipv4.tcp_plb_cong_thresh": (
        _IP("every connection changes its path in every round, whether or not it is congested",
            "Setting threshold to 0 means that PLB repaths every RTT regardless of congestion. This is not intended "
            "behavior for PLB and should be used only for experimentation purpose.",
            values=("0",)),
    ),
    "net.ipv4.tcp_reordering": (
        _TCP("packets that were only late count as lost, or lost ones as late",
             "It is not advisable to change this number.",
             changed=True),
    ),
    "net.ipv4.ipfrag_max_dist": (
        _IP("fragments of a packet are given up although they are only out of order",
            "Using a very small value, e.g. 1 or 2, for ipfrag_max_dist can result in unnecessarily dropping fragment"
            " queues when normal reordering of packets occurs",
            values=("1", "2")),
        _IP("fragments of different packets may be put together",
            "Using a very large value, e.g. 50000, increases the likelihood of incorrectly reassembling IP fragments "
            "that originate from different IP datagrams, which could result in data corruption.",
            above=4096, values=("0",)),
    ),
    "net.core.dev_weight_tx_bias": (
        _NET("sending may occupy a CPU at the expense of everything else on it",
             "Be careful to avoid making TX softirq processing a CPU hog.",
             raised=True),
    ),
    "vm.admin_reserve_kbytes": (
        _VM("when memory is exhausted, root may be unable to log in and kill a process",
            "That should provide enough for the admin to log in and kill a process, if necessary",
            lowered=True),
    ),
    "vm.user_reserve_kbytes": (
        _VM("a user whose process took all memory can start nothing that would stop it",
            'Any subsequent attempts to execute a command will result in "fork: Cannot allocate memory".',
            values=("0",)),
    ),
    "vm.dirty_writeback_centisecs": (
        _VM("written data stays in memory until space is needed, and is lost with the power",
            "Setting this to zero disables periodic writeback altogether.",
            values=("0",)),
    ),
    "vm.laptop_mode": (
        _LAPTOP("written data stays in memory for minutes, and is lost with the power",
                "The downside of laptop mode is that you have a chance of losing up to 10 minutes of work.",
                raised=True),
    ),
    "vm.vfs_cache_pressure": (
        _VM("directory entries and inodes may fill the memory until processes are killed",
            "When vfs_cache_pressure=0, the kernel will never reclaim dentries and inodes due to memory pressure and "
            "this can easily lead to out-of-memory conditions.",
            values=("0",)),
    ),
    "vm.min_free_kbytes": (
        _VM("the kernel may run out of memory where it must not, and hang",
            "if you set this to lower than 1024KB, your system will become subtly broken, and prone to deadlock under"
            " high loads.",
            below=1024),
    ),
    "vm.overcommit_memory": (
        _VM("allocations never fail; processes are killed instead when memory runs out",
            "When this flag is 1, the kernel pretends there is always enough memory until it actually runs out.",
            values=("1",)),
    ),
    "vm.hugetlb_optimize_vmemmap": (
        _VM("huge pages may not be returned when memory is short",
            "if the system is under heavy memory pressure, it could prevent the user from freeing HugeTLB pages",
            values=("1",)),
    ),
    "vm.numa_stat": (
        _VM("tools that read the NUMA counters may break",
            "When page allocation performance becomes a bottleneck and you can tolerate some possible tool breakage "
            "and decreased numa counter precision",
            values=("0",)),
    ),
    "transparent_hugepage.khugepaged.max_ptes_swap": (
        _THP("memory that was swapped out is read back to form huge pages",
             "A higher value can cause excessive swap IO and waste memory.",
             raised=True),
    ),
    "kernel.perf_cpu_time_max_percent": (
        _KERNEL("profiling may stop everything else",
                "If these samples unexpectedly take too long to execute, the NMIs can become stacked up next to each "
                "other so much that nothing else is allowed to execute.",
                values=("0",)),
    ),
    "kernel.pid_max": (
        _KERNEL("where more tasks run than that, no program can be started, not even a login shell",
                "PIDs of value pid_max or larger are not allocated.",
                lowered=True),
    ),
    "kernel.threads-max": (
        _KERNEL("where more tasks run than that, no program can be started, not even a login shell",
                "This value controls the maximum number of threads that can be created using fork().",
                lowered=True),
    ),
    "fs.file-max": (
        _FS("where more files are open than that, no account but root can open another one",
            "The value in file-max denotes the maximum number of file-handles that the Linux kernel will allocate.",
            lowered=True),
    ),
    "net.netfilter.nf_conntrack_max": (
        _CONNTRACK("where more connections are tracked than that, new ones are dropped, those of SSH as well",
                   "Maximum number of allowed connection tracking entries.",
                   lowered=True),
    ),
    "vm.overcommit_ratio": (
        _VM("where vm.overcommit_memory is 2 and more is committed than that, programs get no memory",
            "When overcommit_memory is set to 2, the committed address space is not permitted to exceed swap plus "
            "this percentage of physical RAM.",
            lowered=True),
    ),
    "kernel.split_lock_mitigate": (
        _KERNEL("any user can slow the whole machine down",
                "Setting split_lock_mitigate=0 may restore some application performance, but will also increase "
                "system exposure to denial of service attacks from split lock users.",
                values=("0",)),
    ),
    "kernel.watchdog": (
        _KERNEL("a CPU that hangs in the kernel is no longer noticed",
                "0 Disable both lockup detectors.",
                values=("0",)),
    ),
    "kernel.nmi_watchdog": (
        _KERNEL("a CPU that hangs with interrupts disabled is no longer noticed",
                "0 Disable the hard lockup detector.",
                values=("0",)),
    ),
    "kernel.soft_watchdog": (
        _KERNEL("a CPU that no longer schedules is no longer noticed",
                "0 Disable the soft lockup detector.",
                values=("0",)),
    ),
    "kernel.watchdog_thresh": (
        _KERNEL("a CPU that hangs in the kernel is no longer noticed",
                "Setting this tunable to zero will disable lockup detection altogether.",
                values=("0",)),
    ),
    "kernel.hung_task_timeout_secs": (
        _KERNEL("a task that is blocked for good is no longer noticed",
                "0 means infinite timeout, no checking is done.",
                values=("0",)),
    ),
}  # fmt: skip
