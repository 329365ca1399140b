# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The catalogue: settings that are not sysctls, transparent_hugepage.*, block.<device>.* and sched.*."""

from __future__ import annotations

from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_entry import Chapter

_THP = Chapter("admin-guide/mm/transhuge")
_BLOCK = Chapter("admin-guide/abi-stable")
_DEADLINE = Chapter("block/deadline-iosched")
_KYBER = Chapter("block/kyber-iosched")
_BFQ = Chapter("block/bfq-iosched")
_SCHED = Chapter("scheduler/sched-debug")
_DAEMON = "transparent_hugepage.khugepaged"
_NUMA = "sched.numa_balancing"
_ZERO_OFF = (("0", "off"),)

SETTINGS = (
    _THP.choice("transparent_hugepage.enabled", "always madvise never", "madvise", "huge pages for anonymous memory"),
    _THP.choice("transparent_hugepage.defrag", "always defer defer+madvise madvise never", "madvise",
                "whether allocations stall to create a huge page"),
    _THP.choice("transparent_hugepage.shmem_enabled", "always within_size advise never", "never",
                "huge pages for shared memory and tmpfs"),
    _THP.switch("transparent_hugepage.use_zero_page", "1", "map memory that is only read to a huge zero page"),
    _THP.switch("transparent_hugepage.shrink_underused", "1", "split huge pages that are mostly zero", since="6.13"),
    _THP.choice("transparent_hugepage.*.enabled", "always inherit madvise never", "never",
                "huge pages of this size, as hugepages-64kB", since="6.8"),
    _THP.switch(f"{_DAEMON}.defrag", "1", "khugepaged may compact memory"),
    _THP.number(f"{_DAEMON}.pages_to_scan", 512, 65536, "4096", "pages", "pages scanned per pass", log=True),
    _THP.number(f"{_DAEMON}.scan_sleep_millisecs", 100, 60000, "10000", "ms", "pause between passes", log=True),
    _THP.number(f"{_DAEMON}.alloc_sleep_millisecs", 1000, 600000, "60000", "ms", "pause after a failed allocation",
                log=True),
    _THP.number(f"{_DAEMON}.max_ptes_none", 0, 511, "511", "pages", "unused pages that a new huge page may include"),
    _THP.number(f"{_DAEMON}.max_ptes_swap", 0, 511, "64", "pages", "pages read back from swap for a huge page"),
    _THP.number(f"{_DAEMON}.max_ptes_shared", 0, 511, "256", "pages", "shared pages copied for a huge page",
                since="5.8"),
    _BLOCK.choice("block.*.scheduler", "none mq-deadline kyber bfq", "", "I/O scheduler", is_open=True),
    _BLOCK.size("block.*.read_ahead_kb", 4, 16384, "128", "read-ahead of sequential reads", unit="KiB",
                special=_ZERO_OFF),
    _BLOCK.number("block.*.nr_requests", 8, 1024, "", "requests",
                  "queued requests, for reads and writes each; limited by the device without a scheduler", log=True),
    _BLOCK.choice("block.*.rq_affinity", "0 1 2", "1", "CPU that completes a request",
                  special=(("0", "any"), ("1", "one near the asker"), ("2", "the asker"))),
    _BLOCK.choice("block.*.nomerges", "0 1 2", "0", "do not merge requests",
                  special=(("0", "never"), ("1", "unless it is easy"), ("2", "always"))),
    _BLOCK.size("block.*.max_sectors_kb", 64, 4096, "1280", "largest request; the device has a limit of its own",
                unit="KiB"),
    _BLOCK.number("block.*.wbt_lat_usec", 500, 200000, "", "us", "read latency above which writeback is throttled",
                  log=True, special=_ZERO_OFF),
    _BLOCK.switch("block.*.iostats", "1", "count requests", impairs="none"),
    _BLOCK.switch("block.*.add_random", "0", "collect entropy from the device"),
    _DEADLINE.number("block.*.iosched.read_expire", 20, 5000, "500", "ms", "deadline of a read (mq-deadline)",
                     log=True),
    _DEADLINE.number("block.*.iosched.write_expire", 100, 20000, "5000", "ms", "deadline of a write (mq-deadline)",
                     log=True),
    _DEADLINE.number("block.*.iosched.writes_starved", 1, 16, "2", "times",
                     "how often reads take precedence over writes (mq-deadline)"),
    _DEADLINE.number("block.*.iosched.fifo_batch", 1, 64, "16", "requests",
                     "requests dispatched per batch (mq-deadline)"),
    _DEADLINE.switch("block.*.iosched.front_merges", "1", "merge requests at their front (mq-deadline)"),
    _KYBER.number("block.*.iosched.read_lat_nsec", 100_000, 100_000_000, "2000000", "ns",
                  "target latency of a read (kyber)", log=True),
    _KYBER.number("block.*.iosched.write_lat_nsec", 1_000_000, 500_000_000, "10000000", "ns",
                  "target latency of a write (kyber)", log=True),
    _BFQ.switch("block.*.iosched.low_latency", "1", "prefer interactive processes (bfq)"),
    _BFQ.number("block.*.iosched.slice_idle", 0, 20, "8", "ms", "wait for a process's next request (bfq)",
                special=_ZERO_OFF),
    _SCHED.number("sched.base_slice_ns", 100_000, 20_000_000, "", "ns", "minimum time slice of a task", log=True,
                  since="6.6"),
    _SCHED.number("sched.latency_ns", 1_000_000, 100_000_000, "", "ns",
                  "period in which every runnable task gets a turn", log=True, since="5.13", until="6.6"),
    _SCHED.number("sched.min_granularity_ns", 100_000, 20_000_000, "", "ns",
                  "minimum run time of a task before it is preempted", log=True, since="5.13", until="6.6"),
    _SCHED.number("sched.wakeup_granularity_ns", 100_000, 30_000_000, "", "ns",
                  "advantage that a waking task needs to preempt the running one", log=True, since="5.13", until="6.6"),
    _SCHED.number("sched.migration_cost_ns", 0, 10_000_000, "500000", "ns",
                  "time for which a task's cache is considered hot", since="5.13"),
    _SCHED.number("sched.nr_migrate", 4, 128, "32", "tasks", "maximum number of tasks moved between CPUs at once",
                  log=True, since="5.13"),
    _SCHED.choice("sched.tunable_scaling", "0 1 2", "1", "scaling of time slices with the number of CPUs",
                  since="5.13", special=(("0", "not"), ("1", "with its logarithm"), ("2", "in proportion"))),
    _SCHED.choice("sched.preempt", "none voluntary full lazy", "", "where the kernel can be preempted", since="5.12"),
    _SCHED.number(f"{_NUMA}.scan_delay_ms", 100, 10000, "1000", "ms",
                  "age of a task at which scanning of its memory starts", log=True, since="5.13"),
    _SCHED.number(f"{_NUMA}.scan_period_max_ms", 1000, 600000, "60000", "ms",
                  "longest interval between scans of a task's memory", log=True, since="5.13"),
    _SCHED.number(f"{_NUMA}.scan_period_min_ms", 100, 10000, "1000", "ms",
                  "shortest interval between scans of a task's memory", log=True, since="5.13"),
    _SCHED.number(f"{_NUMA}.scan_size_mb", 16, 4096, "256", "MB", "amount of a task's memory scanned at once",
                  log=True, since="5.13"),
    _SCHED.number(f"{_NUMA}.hot_threshold_ms", 100, 10000, "1000", "ms",
                  "time within which memory used again counts as hot", log=True, since="6.1"),
)  # fmt: skip
