# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The catalogue: settings that are not sysctls. transparent_hugepage.*, block.<device>.*, sched.* (see _kernel)."""

from __future__ import annotations

from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_entry import Chapter

_THP = Chapter("admin-guide/mm/transhuge")
_BLOCK = Chapter("ABI/stable/sysfs-block")
_DEADLINE = Chapter("block/deadline-iosched")
_KYBER = Chapter("block/kyber-iosched")
_BFQ = Chapter("block/bfq-iosched")
_SCHED = Chapter("scheduler/sched-debug")
_DAEMON = "transparent_hugepage.khugepaged"
_NUMA = "sched.numa_balancing"
_ZERO_OFF = (("0", "off"),)

SETTINGS = (
    _THP.choice("transparent_hugepage.enabled", "always madvise never", "madvise", "memory database compute latency",
                "huge pages for programs' memory"),
    _THP.choice("transparent_hugepage.defrag", "always defer defer+madvise madvise never", "madvise",
                "memory database latency", "whether a program waits until a huge page has been made"),
    _THP.choice("transparent_hugepage.shmem_enabled", "always within_size advise never", "never", "memory database",
                "huge pages for shared memory and tmpfs"),
    _THP.switch("transparent_hugepage.use_zero_page", "1", "memory", "a huge page of zeros for what is but read"),
    _THP.switch("transparent_hugepage.shrink_underused", "1", "memory", "split huge pages that are mostly zeros",
                since="6.13"),
    _THP.choice("transparent_hugepage.*.enabled", "always inherit madvise never", "never", "memory database compute",
                "huge pages of this size, as hugepages-64kB", since="6.8"),
    _THP.switch(f"{_DAEMON}.defrag", "1", "memory", "khugepaged may make room for huge pages"),
    _THP.number(f"{_DAEMON}.pages_to_scan", 512, 65536, "4096", "pages", "memory", "pages looked at before a pause",
                log=True),
    _THP.number(f"{_DAEMON}.scan_sleep_millisecs", 100, 60000, "10000", "ms", "memory", "that pause", log=True),
    _THP.number(f"{_DAEMON}.alloc_sleep_millisecs", 1000, 600000, "60000", "ms", "memory",
                "pause after no huge page was to be had", log=True),
    _THP.number(f"{_DAEMON}.max_ptes_none", 0, 511, "511", "pages", "memory",
                "unused pages which a new huge page may take in"),
    _THP.number(f"{_DAEMON}.max_ptes_swap", 0, 511, "64", "pages", "memory",
                "pages brought back from swap for a huge page"),
    _THP.number(f"{_DAEMON}.max_ptes_shared", 0, 511, "256", "pages", "memory",
                "shared pages copied for a huge page", since="5.8"),
    _BLOCK.choice("block.*.scheduler", "none mq-deadline kyber bfq", "", "storage database latency",
                  "order in which requests go to the device", is_open=True,
                  constraints=("resets block.*.nr_requests", "resets block.*.wbt_lat_usec")),
    _BLOCK.size("block.*.read_ahead_kb", 4, 16384, "128", "storage database throughput",
                "read ahead of a program that reads in order", unit="KiB", special=_ZERO_OFF),
    _BLOCK.number("block.*.nr_requests", 8, 1024, "", "requests", "storage database",
                  "requests waiting for the device, for reads and for writes; without a scheduler the device limits it",
                  log=True),
    _BLOCK.choice("block.*.rq_affinity", "0 1 2", "1", "storage latency", "which CPU ends a request",
                  special=(("0", "any"), ("1", "one near the asker"), ("2", "the asker"))),
    _BLOCK.choice("block.*.nomerges", "0 1 2", "0", "storage", "leave requests apart",
                  special=(("0", "never"), ("1", "unless it is easy"), ("2", "always"))),
    _BLOCK.size("block.*.max_sectors_kb", 64, 4096, "1280", "storage throughput",
                "largest request; the device has its own limit", unit="KiB"),
    _BLOCK.number("block.*.wbt_lat_usec", 500, 200000, "", "us", "storage latency database",
                  "time for a read beyond which write-back is slowed down", log=True, special=_ZERO_OFF),
    _BLOCK.switch("block.*.iostats", "1", "storage", "count requests", risk="none"),
    _BLOCK.switch("block.*.add_random", "0", "storage", "feed the random numbers with the device's times"),
    _DEADLINE.number("block.*.iosched.read_expire", 20, 5000, "500", "ms", "storage latency database",
                     "time after which a read goes first (mq-deadline)", log=True),
    _DEADLINE.number("block.*.iosched.write_expire", 100, 20000, "5000", "ms", "storage database",
                     "time after which a write goes first (mq-deadline)", log=True),
    _DEADLINE.number("block.*.iosched.writes_starved", 1, 16, "2", "times", "storage database",
                     "how often reads go before writes (mq-deadline)"),
    _DEADLINE.number("block.*.iosched.fifo_batch", 1, 64, "16", "requests", "storage latency",
                     "requests handed over in one go (mq-deadline)"),
    _DEADLINE.switch("block.*.iosched.front_merges", "1", "storage", "join requests at their front (mq-deadline)"),
    _KYBER.number("block.*.iosched.read_lat_nsec", 100_000, 100_000_000, "2000000", "ns", "storage latency",
                  "time for a read to aim at (kyber)", log=True),
    _KYBER.number("block.*.iosched.write_lat_nsec", 1_000_000, 500_000_000, "10000000", "ns", "storage latency",
                  "time for a write to aim at (kyber)", log=True),
    _BFQ.switch("block.*.iosched.low_latency", "1", "storage latency", "prefer what answers users (bfq)"),
    _BFQ.number("block.*.iosched.slice_idle", 0, 20, "8", "ms", "storage",
                "wait for a program's next request (bfq)", special=_ZERO_OFF),
    _SCHED.number("sched.base_slice_ns", 100_000, 20_000_000, "", "ns", "compute latency",
                  "time for a task at a turn", log=True, since="6.6"),
    _SCHED.number("sched.latency_ns", 1_000_000, 100_000_000, "", "ns", "compute latency",
                  "time in which every task has its turn", log=True, since="5.13", until="6.6"),
    _SCHED.number("sched.min_granularity_ns", 100_000, 20_000_000, "", "ns", "compute latency",
                  "least time for a task at a turn", log=True, since="5.13", until="6.6"),
    _SCHED.number("sched.wakeup_granularity_ns", 100_000, 30_000_000, "", "ns", "compute latency",
                  "lead which a waking task needs to interrupt another", log=True, since="5.13", until="6.6"),
    _SCHED.number("sched.migration_cost_ns", 0, 10_000_000, "500000", "ns", "compute latency web",
                  "time for which a task's cache counts as hot", since="5.13"),
    _SCHED.number("sched.nr_migrate", 4, 128, "32", "tasks", "compute latency", "tasks moved between CPUs in one go",
                  log=True, since="5.13"),
    _SCHED.choice("sched.tunable_scaling", "0 1 2", "1", "compute", "times grow with the number of CPUs", since="5.13",
                  special=(("0", "not"), ("1", "with its logarithm"), ("2", "in proportion"))),
    _SCHED.choice("sched.preempt", "none voluntary full lazy", "", "compute latency",
                  "where the kernel lets a task be interrupted", since="5.12"),
    _SCHED.number(f"{_NUMA}.scan_delay_ms", 100, 10000, "1000", "ms", "compute memory",
                  "age of a task from which its memory is looked at", log=True, since="5.13"),
    _SCHED.number(f"{_NUMA}.scan_period_max_ms", 1000, 600000, "60000", "ms", "compute memory",
                  "longest pause between looks at a task's memory", log=True, since="5.13"),
    _SCHED.number(f"{_NUMA}.scan_period_min_ms", 100, 10000, "1000", "ms", "compute memory",
                  "shortest pause between looks at a task's memory", log=True, since="5.13"),
    _SCHED.number(f"{_NUMA}.scan_size_mb", 16, 4096, "256", "MB", "compute memory",
                  "memory of a task looked at in one go", log=True, since="5.13"),
    _SCHED.number(f"{_NUMA}.hot_threshold_ms", 100, 10000, "1000", "ms", "memory",
                  "time within which memory used again counts as hot", log=True, since="6.1"),
)  # fmt: skip
