# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What belongs to the machine as a whole: vm.*, kernel.*, fs.*, for real."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAIRS = ("vm.dirty_bytes", "vm.dirty_ratio", "vm.dirty_background_bytes", "vm.dirty_background_ratio")
RATIOS = {"vm.dirty_bytes": "0", "vm.dirty_ratio": "20", "vm.dirty_background_bytes": "0"}
RATIOS["vm.dirty_background_ratio"] = "10"
AMOUNTS = {"vm.dirty_bytes": "200003584", "vm.dirty_background_bytes": "100003840"}


@pytest.mark.parametrize("user", ["root", "tuner"])
def test_values_are_lent_set_for_good_and_rolled_back(vm: Any, user: str) -> None:
    values = {"vm.swappiness": 11, "vm.vfs_cache_pressure": 77}
    own, wanted = vm.values(*values), {parameter: str(value) for parameter, value in values.items()}

    lent = vm.call(user=user, values=values, state="leased", holder="test")
    assert lent["before"] == own
    assert vm.values(*values) == lent["applied"] == wanted
    kept = vm.call(user=user, values=values, holder="test", nonce=lent["lease"]["nonce"], persist="90-test")
    assert kept["changed"]
    assert "vm.swappiness = 11\n" in vm.run("cat /etc/sysctl.d/90-test.conf").stdout
    assert not vm.call(user=user, values=values, persist="90-test")["changed"]
    back = vm.call(user=user, state="restored", persist="90-test")

    assert set(back["changed_keys"]) == set(values)
    assert vm.values(*values) == own


def test_a_restore_brings_back_whichever_member_of_a_pair_was_active(vm: Any) -> None:
    assert vm.values(*PAIRS) == RATIOS

    vm.call(values=AMOUNTS, state="leased", holder="test")
    assert vm.values(*PAIRS) == {**AMOUNTS, "vm.dirty_ratio": "0", "vm.dirty_background_ratio": "0"}
    vm.call(state="restored")
    assert vm.values(*PAIRS) == RATIOS

    vm.run(f"sysctl -w vm.dirty_bytes={AMOUNTS['vm.dirty_bytes']}")
    try:
        found = vm.values(*PAIRS)
        assert (found["vm.dirty_bytes"], found["vm.dirty_ratio"]) == (AMOUNTS["vm.dirty_bytes"], "0")
        vm.call(values={"vm.dirty_ratio": 31, "vm.dirty_background_ratio": 3}, state="leased", holder="test")
        assert vm.values("vm.dirty_bytes", "vm.dirty_ratio") == {"vm.dirty_bytes": "0", "vm.dirty_ratio": "31"}
        vm.call(state="restored")
        assert vm.values(*PAIRS) == found
    finally:
        vm.run("sysctl -w vm.dirty_ratio=20")


def test_the_ends_of_all_safe_ranges_are_taken_and_put_back(vm: Any) -> None:
    """Of the catalogue, by its own test, which may write here what it may not on a machine with other work."""
    names = ["plugins/module_utils", "tests/integration/test_catalogue.py"]
    link = "playbooks/collections/ansible_collections/autotune"
    prepare = f"mkdir -p catalogue/{link} && ln -s ../../../.. catalogue/{link}/kernel && tar -xC catalogue"
    with subprocess.Popen(["tar", "-cC", ROOT, "--exclude=__pycache__", *names], stdout=subprocess.PIPE) as archive:
        subprocess.run(vm.ssh(prepare), stdin=archive.stdout, check=True)
    command = "cd catalogue && AUTOTUNE_WRITE_ALL=1 PYTHONPATH=playbooks/collections PYTHONDONTWRITEBYTECODE=1"
    try:
        done = vm.run(f"{command} python3 -m pytest -q -p no:cacheprovider tests 2>&1", False)
    finally:
        vm.run("rm -rf catalogue")
    print(done.stdout)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
