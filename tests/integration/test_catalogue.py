# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The catalogue against the running kernel: each entry reads, is of its kind, and takes the ends of its safe range.

What network namespaces have of their own is written in a new one. The rest is the machine's: it is written for a
millisecond each and put back at once, but for what does work or needs hardware (NOT_HERE). That is for a machine of the
test's own, where AUTOTUNE_WRITE_ALL=1 has all of it written.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import (
    _catalogue,
    _change,
    _coupling,
    _kernel,
    _machine,
    _transaction,
)
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_entry import Setting

ROOT = Path(__file__).resolve().parents[2]
NOT_HERE = {
    "kernel.nmi_watchdog": "takes a counter of the CPU, which virtual machines seldom have",
    "vm.min_free_kbytes": "could have memory reclaimed which others on this machine use",
    "vm.nr_hugepages": "would set aside half of this machine's memory",
}
# The kernel takes these and makes something else of them: powers of two, or as many as there is room for.
ROUNDED = {"fs.pipe-max-size", "net.core.rps_sock_flow_entries", "vm.nr_hugepages"}
# What a sound kernel may say: a queueing discipline comes with a module, the watchdog takes a counter of the CPU.
REFUSED_HERE = {"net.core.default_qdisc": "No such file", "kernel.nmi_watchdog": "error 524"}
KINDS = {
    "int": r"-?\d+",
    "bytes": r"\d+",
    "ratio": r"\d+",
    "boolean": "[01]",
    "choice": r"\S+",
    "vector": r"\d+( \d+)+",
}
HERE = [setting for setting in _catalogue.SYSCTLS if _kernel.exists(setting.name)]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="writing kernel parameters takes root")


def test_most_of_it_exists_on_a_current_kernel() -> None:
    release = os.uname().release
    if tuple(map(int, re.findall(r"\d+", release)[:2])) < (6, 1) or not _kernel.in_initial_network_namespace():
        pytest.skip(f"neither an old kernel ({release}) nor a namespace has all")
    print(f"{len(HERE)} of {len(_catalogue.SYSCTLS)} sysctls of the catalogue exist on {release}")
    assert len(HERE) >= 120


def test_each_reads_and_is_of_its_kind() -> None:
    faults = []
    for setting in HERE:
        value = _kernel.read(setting.name)
        if not re.fullmatch(KINDS[setting.kind], value):
            faults.append(f"{setting.name}: {value!r} is not of the kind {setting.kind}")
        elif setting.ranges and len(value.split()) != len(setting.ranges):
            faults.append(f"{setting.name}: {value!r} does not have {len(setting.ranges)} numbers")
    assert faults == []


def test_each_default_is_a_safe_value() -> None:
    machine = _machine.read()
    reasons = [_catalogue.why_unsafe(setting.name, setting.default, machine) for setting in HERE if setting.default]
    assert [reason for reason in reasons if reason] == []


@as_root
@pytest.mark.this_machine
def test_the_ends_of_each_safe_range_are_taken_and_put_back() -> None:
    in_namespace = complaints_in_a_namespace()
    spared = set() if os.environ.get("AUTOTUNE_WRITE_ALL") else NOT_HERE.keys()
    faults = dict(in_namespace)
    for setting in HERE:
        if setting.name not in in_namespace and setting.name not in spared:
            faults[setting.name] = complaints(setting)
    assert {name: found for name, found in faults.items() if found} == {}


def complaints_in_a_namespace() -> dict[str, list[str]]:
    """The complaints about all entries which a new network namespace has of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "playbooks/collections")}
    command = ["unshare", "--net", sys.executable, __file__]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    said: dict[str, list[str]] = json.loads(ran.stdout)
    return said


def complaints(setting: Setting) -> list[str]:
    """What goes wrong when the ends of the safe range are written, one after the other; the values are put back."""
    own, found = _kernel.read(setting.name), []
    for values in ends(setting):
        plan = _transaction.prepare(values)
        try:
            change = _transaction.carry_out(plan)[setting.name]
            if change.status == "clamped" and setting.name not in ROUNDED:
                found.append(change.message)
        except _change.Failure as failure:
            if REFUSED_HERE.get(setting.name, "\0") not in str(failure):
                found.append(str(failure))
        finally:
            found += [str(mismatch) for mismatch in _transaction.restore(plan.before)]
    after = _kernel.read(setting.name)
    return found if after == own else [*found, f"was {own} and is {after}"]


def ends(setting: Setting) -> Iterator[dict[str, str]]:
    """Each choice, or each end of the range, with the same end of those which the kernel compares it with."""
    if setting.choices:
        offered = _kernel.choices(setting.name)
        yield from ({setting.name: choice} for choice in setting.choices if offered is None or choice in offered)
        return
    pairs = [pair for pair in _coupling.BELOW + _coupling.NOT_ABOVE if setting.name in pair]
    names = {setting.name, *(name for pair in pairs for name in pair)}
    together = [entry for entry in map(_catalogue.find, sorted(names)) if entry]
    for at in (0, 1):
        yield {entry.name: " ".join(str(one.on(_machine.read())[at]) for one in entry.ranges) for entry in together}


def main() -> None:
    own = [
        setting for setting in HERE if setting.name.startswith("net.") and not _kernel.why_not_writable(setting.name)
    ]
    print(json.dumps({setting.name: complaints(setting) for setting in own}))


if __name__ == "__main__":
    main()
