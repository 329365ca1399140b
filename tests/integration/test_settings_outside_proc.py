# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Settings that are not sysctls, on the real kernel: huge pages, and the queue of a loop device that nobody uses.

The lease's journal is in a folder of the test's own, and there is no watchdog, which puts back by the same functions.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import (
    _catalogue,
    _change,
    _facts,
    _journal,
    _kernel,
    _lease,
    _machine,
    _transaction,
    _watchdog,
)

ROOT = Path(__file__).resolve().parents[2]
HUGE_PAGES = "transparent_hugepage"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="writing kernel settings takes root"),
    pytest.mark.alone,  # test_catalogue.py writes the same
]


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_journal, "RUN_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(_watchdog, "ensure", list)


@pytest.fixture
def queue() -> Iterator[str]:
    """`block.<device>` of a loop device without a file, where two schedulers can be chosen; left as it was found."""
    for device in sorted(Path("/sys/block").glob("loop*")):
        name = f"block.{device.name}"
        unused = (device / "size").read_text().strip() == "0"
        if unused and {"mq-deadline", "bfq"} <= set(_kernel.choices(f"{name}.scheduler") or ()):
            break
    else:
        pytest.skip("no loop device is free, or this kernel lacks mq-deadline or bfq")
    found = values_of(name)
    yield name
    _transaction.restore(found)
    assert values_of(name) == found


def values_of(queue: str) -> dict[str, str]:
    names = [name for name in _facts.survey()[0] if name.startswith(f"{queue}.")]
    return {name: _kernel.read(name) for name in names if _catalogue.find(name)}


def test_lends_huge_pages_and_takes_them_back() -> None:
    enabled, pause = f"{HUGE_PAGES}.enabled", f"{HUGE_PAGES}.khugepaged.scan_sleep_millisecs"
    if not _kernel.exists(pause):
        pytest.skip("this kernel has no transparent huge pages")
    # The kernel reckons the memory to keep free anew when huge pages are turned on or off.
    found = {name: _kernel.read(name) for name in (enabled, pause, "vm.min_free_kbytes")}
    wanted = {enabled: "always" if found[enabled] == "madvise" else "madvise", pause: str(int(found[pause]) + 1)}
    report = _lease.acquire(wanted, "test", 60)
    try:
        assert {change.status for change in report.changes.values()} == {"applied"}
        assert {name: _kernel.read(name) for name in wanted} == wanted
        assert report.originals == found
    finally:
        _lease.release("test")
    assert {name: _kernel.read(name) for name in found} == found


def test_the_memory_kept_free_comes_back_with_huge_pages() -> None:
    enabled, kept_free = f"{HUGE_PAGES}.enabled", "vm.min_free_kbytes"
    if not _kernel.exists(enabled):
        pytest.skip("this kernel has no transparent huge pages")
    found = {name: _kernel.read(name) for name in (enabled, kept_free)}
    _kernel.write(kept_free, str(int(found[kept_free]) + 1))
    own = {name: _kernel.read(name) for name in found}
    try:
        _lease.acquire({enabled: "never" if found[enabled] != "never" else "always"}, "test", 60)
        _lease.release("test")
        assert {name: _kernel.read(name) for name in own} == own
    finally:
        assert not _transaction.restore(found)


def test_a_choice_that_the_kernel_does_not_offer_is_refused_and_all_put_back() -> None:
    enabled = f"{HUGE_PAGES}.enabled"
    if not _kernel.exists(enabled):
        pytest.skip("this kernel has no transparent huge pages")
    found = _kernel.read(enabled)
    with pytest.raises(_change.Failure, match=rf"{enabled}: the kernel refused 'sometimes'.*restored"):
        _lease.acquire({enabled: "sometimes"}, "test", 60)
    assert _kernel.read(enabled) == found


def test_what_another_scheduler_loses_comes_back_with_the_first_one(queue: str) -> None:
    _kernel.write(f"{queue}.scheduler", "mq-deadline")
    own = {f"{queue}.scheduler": "mq-deadline", f"{queue}.nr_requests": "100", f"{queue}.iosched.read_expire": "400"}
    for name, value in own.items():
        _kernel.write(name, value)
    report = _lease.acquire({f"{queue}.scheduler": "bfq"}, "test", 60)
    assert report.changes[f"{queue}.scheduler"].status == "applied"
    assert _kernel.read(f"{queue}.nr_requests") != "100", "the kernel no longer resets what goes with a scheduler"
    ended = _lease.release("test")
    assert {name: _kernel.read(name) for name in own} == own
    assert ended.warnings == []


def test_its_own_scheduler_is_not_called_somebody_elses_doing(queue: str) -> None:
    _lease.acquire({f"{queue}.scheduler": "bfq"}, "test", 60)
    report = _lease.acquire({f"{queue}.scheduler": "mq-deadline"}, "test", 60)
    assert report.warnings == []
    assert _lease.release("test").warnings == []


def test_a_scheduler_and_its_requests_are_set_in_one_call(queue: str) -> None:
    _kernel.write(f"{queue}.scheduler", "none")
    wanted = {f"{queue}.nr_requests": "200", f"{queue}.scheduler": "mq-deadline"}
    _lease.acquire(wanted, "test", 60)
    assert {name: _kernel.read(name) for name in wanted} == wanted
    _lease.release("test")
    assert _kernel.read(f"{queue}.scheduler") == "none"


@pytest.mark.parametrize("scheduler", ["none", "mq-deadline", "kyber", "bfq"])
def test_a_queue_takes_the_ends_of_the_safe_ranges(scheduler: str, queue: str) -> None:
    if scheduler not in (_kernel.choices(f"{queue}.scheduler") or ()):
        pytest.skip(f"this kernel lacks {scheduler}")
    _kernel.write(f"{queue}.scheduler", scheduler)
    beyond_the_device = {"max_sectors_kb", *(["nr_requests"] if scheduler == "none" else [])}
    names = [name for name in values_of(queue) if name.rpartition(".")[2] not in {"scheduler", *beyond_the_device}]
    assert len(names) >= 5
    assert {name: complaints(name) for name in names} == {name: [] for name in names}


def test_huge_pages_take_the_ends_of_the_safe_ranges() -> None:
    names = [name for name in _facts.survey()[0] if name.startswith(HUGE_PAGES) and _catalogue.find(name)]
    if not names:
        pytest.skip("this kernel has no transparent huge pages")
    assert {name: complaints(name) for name in names} == {name: [] for name in names}


def complaints(name: str) -> list[str]:
    setting, own, found = _catalogue.find(name), _kernel.read(name), []
    assert setting
    safe: list[Any] = setting.safe_range(_machine.read())
    offered = _kernel.choices(name)
    for value in [choice for choice in safe if choice in (offered or safe)] if setting.choices else map(str, safe[0]):
        try:
            status = _transaction.carry_out(_transaction.prepare({name: value}))[name].status
            found += [] if status in ("applied", "unchanged") else [f"{value}: {status}"]
        except _change.Failure as failure:
            found.append(str(failure))
        finally:
            found += [str(mismatch) for mismatch in _transaction.restore({name: own})]
    return found


SCHEDULER = """
from ansible_collections.autotune.kernel.plugins.module_utils import _catalogue, _facts, _kernel, _machine, _transaction
for name in [name for name in _facts.survey()[0] if name.startswith("sched.") and _catalogue.find(name)]:
    own = _kernel.read(name)
    setting = _catalogue.find(name)
    low, high = setting.safe_range(_machine.read())[0] if setting.ranges else (own, own)
    for value in (low, high):
        _transaction.carry_out(_transaction.prepare({name: str(value)}))
        assert not _transaction.restore({name: own})
    print(name, own)
"""


def test_the_schedulers_settings_are_found_in_debugfs() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "playbooks/collections")}
    mount = f"mount -t debugfs debugfs /sys/kernel/debug && exec {sys.executable} -c '{SCHEDULER}'"
    ran = subprocess.run(["unshare", "--mount", "sh", "-c", mount], env=environment, capture_output=True, text=True)
    if "mount:" in ran.stderr or "Operation not permitted" in ran.stderr:
        pytest.skip(f"debugfs is closed here: {ran.stderr.splitlines()[-1]}")
    assert ran.returncode == 0, ran.stderr
    assert "sched.migration_cost_ns" in ran.stdout
