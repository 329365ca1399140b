from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _catalogue, _denylist, _kernel
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_entry import (
    SMALL,
    Machine,
    Setting,
    Share,
)
from hypothesis import given
from hypothesis import strategies as st

ALL = _catalogue.SYSCTLS + _catalogue.OTHERS
GIB = 2**30
MACHINES = [
    Machine(512 * 2**20, 1, 100),
    SMALL,
    Machine(64 * GIB, 16, 10_000),
    Machine(4096 * GIB, 512, 400_000),
    Machine(64 * GIB, 64, 25_000, page_bytes=65536),
]


def test_there_are_enough_and_each_is_there_once() -> None:
    assert len(_catalogue.SYSCTLS) >= 120
    assert {setting.name.partition(".")[0] for setting in _catalogue.SYSCTLS} == {"vm", "net", "fs", "kernel"}
    assert len({setting.name for setting in ALL}) == len(ALL)


def entry_faults(setting: Setting) -> Iterator[str]:
    if setting.kind not in ("int", "boolean", "choice", "vector", "bytes", "ratio"):
        yield f"unknown kind {setting.kind!r}"
    if setting.impairs not in ("none", "performance", "stability", "security"):
        yield f"impairs {setting.impairs!r}"
    if not setting.summary:
        yield "no summary"
    if not re.fullmatch(r"(admin-guide|networking|filesystems|scheduler|block|ABI)/[\w/-]+", setting.page):
        yield f"{setting.page!r} is no page of the kernel's documentation"
    if not all(re.fullmatch(r"\d+\.\d+|", version) for version in (setting.since, setting.until)):
        yield f"not a kernel version: {setting.since!r} or {setting.until!r}"
    if bool(setting.ranges) == bool(setting.choices):
        yield "needs either ranges or choices"
    if (setting.kind == "vector") != (len(setting.ranges) > 1):
        yield f"{len(setting.ranges)} ranges for the kind {setting.kind}"
    if not setting.unit and not setting.choices:
        yield "no unit"
    if _kernel.is_sysctl(setting.name.replace("*", "x")) != (setting in _catalogue.SYSCTLS):
        yield "stands in the wrong list"


def lookup_faults(setting: Setting) -> Iterator[str]:
    name = setting.name.replace("*", "x-1")
    if _catalogue.find(name) != setting:
        yield f"{name} finds {_catalogue.find(name)}"
    denied = [_denylist.denied_because(name), *(_denylist.denied_because(name, choice) for choice in setting.choices)]
    yield from (f"denied: {reason}" for reason in denied if reason)


def range_faults(setting: Setting) -> Iterator[str]:
    for one in setting.ranges:
        least, most = one.on(None)
        for machine in MACHINES:
            low, high = one.on(machine)
            if not least <= low < high <= most:
                yield f"{low} to {high} on {machine}, which is no range within {least} to {most}"
            if one.log and low <= 0:
                yield f"a logarithmic scale from {low} on {machine}"


def default_faults(setting: Setting) -> Iterator[str]:
    if setting.default:
        why = _catalogue.why_unsafe(setting.name.replace("*", "x"), setting.default, Machine(64 * GIB, 16))
        yield from [why] if why else []


@pytest.mark.parametrize("faults", [entry_faults, lookup_faults, range_faults, default_faults])
def test_every_entry_is_complete_found_and_safe(faults: Callable[[Setting], Iterator[str]]) -> None:
    assert [f"{setting.name}: {fault}" for setting in ALL for fault in faults(setting)] == []


def test_huge_pages_have_the_size_that_the_machine_gives_them() -> None:
    by_default, of_arm = Machine(64 * GIB, 16), Machine(64 * GIB, 16, huge_page_bytes=2**29)
    assert _catalogue.why_unsafe("vm.nr_hugepages", "1000", by_default) is None
    assert _catalogue.why_unsafe("vm.nr_hugepages", "1000", of_arm)


@pytest.mark.parametrize(
    ("of", "factor", "limit"),
    [
        ("bytes", 1 / 4, GIB // 4),
        ("kilobytes", 1 / 2, 2**19),
        ("pages", 1, 2**18),
        ("huge pages", 1 / 2, 2**8),
        ("cpus", 4, 8),
        ("link", 0.1, 12_500_000),
    ],
)
def test_limits_grow_with_the_machine(of: str, factor: float, limit: int) -> None:
    assert Share(of, factor).on(Machine(GIB, 2, 1000)) == limit
    assert Share(of, factor, most=5).on(Machine(GIB, 2, 1000)) == 5
    assert Share(of, 0, least=7).on(Machine(GIB, 2, 1000)) == 7


@pytest.mark.parametrize(
    ("parameter", "text", "said"),
    [
        ("vm.swappiness", "200", None),
        ("vm.swappiness", "201", "vm.swappiness: 201 is not within the safe range 0 to 200"),
        ("vm.swappiness", "-1", "vm.swappiness: -1 is not within the safe range 0 to 200"),
        ("vm.swappiness", "many", "vm.swappiness: 'many' is not a whole number"),
        ("vm.dirty_bytes", "0", None),
        ("vm.dirty_bytes", str(GIB), f"vm.dirty_bytes: {GIB} is not within the safe range 1048576 to {GIB // 2}"),
        ("vm.overcommit_memory", "2", "vm.overcommit_memory: 2 is not among the safe choices 0, 1"),
        ("net.ipv4.tcp_syncookies", "0", "net.ipv4.tcp_syncookies: 0 is not among the safe choices 1, 2"),
        ("net.ipv4.tcp_rmem", "4096 131072 33554432", None),
        (
            "net.ipv4.tcp_rmem",
            f"4096 131072 {GIB}",
            f"net.ipv4.tcp_rmem[2]: {GIB} is not within the safe range 65536 to {GIB // 16}",
        ),
        ("net.ipv4.tcp_rmem", "4096 131072", "net.ipv4.tcp_rmem: '4096 131072' is not 3 whole numbers"),
        ("transparent_hugepage.enabled", "always", None),
        ("transparent_hugepage.shmem_enabled", "deny", "is not among the safe choices"),
        ("block.sda.read_ahead_kb", "0", None),
        ("block.sda.read_ahead_kb", "99999", "block.sda.read_ahead_kb: 99999 is not within the safe range 4 to 16384"),
        ("vm.nobody_knows", "10", None),
    ],
)
def test_says_what_is_not_safe(parameter: str, text: str, said: Any) -> None:
    found = _catalogue.why_unsafe(parameter, text, SMALL)
    assert found is None if said is None else said in (found or "")


@pytest.mark.parametrize(
    ("parameter", "text", "own", "is_beyond"),
    [
        ("vm.min_free_kbytes", "60000", "8192", True),  # 5 % of a machine of 1 GiB are 52,428
        ("vm.min_free_kbytes", "57000", "8192", False),  # a tenth more
        ("vm.min_free_kbytes", "600", "512", False),  # nearer to the safe range than its own
        ("vm.min_free_kbytes", "100", "8192", True),
        ("vm.nr_hugepages_mempolicy", "100000", "0", True),
        ("net.nf_conntrack_max", "4194304", "65536", True),
        ("net.ipv4.tcp_mem", "8192 16384 32768000", "8192 16384 32768", True),
        ("net.ipv4.tcp_rmem", "4096 131072 2147483647", "4096 131072 6291456", True),
        # Limits that do not follow from the machine are the study's to keep, and the kernel's.
        ("vm.swappiness", "201", "60", False),
        ("net.ipv4.tcp_congestion_control", "htcp", "cubic", False),
        ("net.core.netdev_budget_usecs", "3000", "2000", False),
        ("net.core.netdev_max_backlog", "60000", "1000", False),  # links go up and down
        ("vm.dirty_bytes", "0", "8388608", False),  # a special value
        ("vm.min_free_kbytes", "much", "8192", False),  # not a number: another check's
        ("vm.unknown", "1", "2", False),
    ],
)
def test_what_a_machine_does_not_allow(parameter: str, text: str, own: str, is_beyond: bool) -> None:
    assert (_catalogue.beyond(parameter, text, own, SMALL) is not None) == is_beyond


@given(st.data())
def test_what_is_safe_is_not_beyond_the_machine(data: st.DataObject) -> None:
    setting = data.draw(st.sampled_from([entry for entry in ALL if entry.ranges]))
    machine = Machine(data.draw(st.integers(2**28, 2**42)), 4)
    numbers = [data.draw(st.integers(low, high)) for low, high in setting.safe_range(machine)]
    own = " ".join(str(data.draw(st.integers(0, 2**40))) for dummy in numbers)
    name = setting.name.replace("*", "x")
    assert _catalogue.beyond(name, " ".join(map(str, numbers)), own, machine) is None
