# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a plan says is what would be done, and what must not be done has no plan."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.client.mcp_planning import NoPlan, change_of
from ansible_collections.autotune.kernel.client.mcp_plans import PlanRefused, Plans, Request
from ansible_collections.autotune.kernel.client.mcp_processes import environment
from ansible_collections.autotune.kernel.client.mcp_site import PathRefused, Site
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.learned_role import carry_out, plan
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.result import ResultError
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.errors import StudyError

INVENTORY = {
    "all": {
        "children": {
            "web": {"hosts": {"web1": {"ansible_host": "198.18.0.2", "note": "x"}, "web2": {}}},
            "db": {"hosts": {"db1": {}}},
        }
    }
}
STUDY = {
    "workload_name": "small",
    "reward_metric": "x",
    "benchmark_command": "python3 benchmark.py",
    "action_space": [
        {"param": "vm.swappiness", "min": 0, "max": 100},
        {"param": "net.ipv4.tcp_congestion_control", "choices": ["reno", "bbr"]},
    ],
}
RESULT = {
    "workload_name": "wan",
    "verdict": "improved",
    "metric": "x",
    "best_config": {"vm.swappiness": 10, "net.ipv4.tcp_rmem": "4096 131072 33554432"},
    "improvement": 130.0,
    "interval": [118.0, 142.0],
    "baseline": {"metric": 153.0, "original_values": {}},
    "best": {"metric": 352.0},
}
RUN = Request("run", "studies/study.yml", "hosts.json", "web")
HERE = replace(RUN, inventory=None, target=None)  # ansible-inventory takes a second
ROLLOUT = Request("rollout", "wan")
ROLLBACK = replace(ROLLOUT, kind="rollback")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The server's root, which is its working directory too."""
    root = tmp_path / "root"
    (root / "studies").mkdir(parents=True)
    (root / "hosts.json").write_text(json.dumps(INVENTORY))
    (root / "studies/study.yml").write_text(json.dumps(STUDY))
    (root / "studies/benchmark.py").write_text("print('x: 1')")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def site(root: Path) -> Site:
    return Site.of(str(root), "learned", None)


@pytest.fixture
def learn(root: Path) -> Callable[..., Path]:
    """Write learned/wan as a study does; keywords replace keys of its result."""

    def write(**changes: Any) -> Path:
        folder = root / "learned/wan"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "result.json").write_text(json.dumps({**RESULT, **changes}))
        carry_out(plan(folder))
        return folder

    return write


@pytest.mark.takes_seconds
def test_a_run_is_bound_to_study_hosts_and_files(site: Site, root: Path) -> None:
    change = change_of(site, RUN)
    assert change.workload == "small"
    assert change.values == {"vm.swappiness": "0 to 100", "net.ipv4.tcp_congestion_control": "reno or bbr"}
    assert change.hosts == {"web1": {"ansible_host": "198.18.0.2"}, "web2": {}}
    assert set(change.files) == {"studies/study.yml", "studies/benchmark.py"}
    assert change.command[2:] == (
        *("-i", "hosts.json", "-e", "study=studies/study.yml"),
        *("-e", "output=learned", "-e", "target=web"),
    )
    made = Plans().issue(change)
    made.check(change_of(site, RUN))
    (root / "studies/benchmark.py").write_text("print('x: 2')")
    with pytest.raises(PlanRefused, match=r"benchmark\.py changed since"):
        made.check(change_of(site, RUN))


def test_a_load_generator_is_part_of_the_plan(site: Site, root: Path) -> None:
    study = json.loads((root / "studies/study.yml").read_text()) | {"run_on": "load"}
    (root / "studies/study.yml").write_text(json.dumps(study))
    with pytest.raises(NoPlan, match="run_on names load, which the inventory does not have"):
        change_of(site, RUN)
    inventory = json.dumps(INVENTORY | {"generators": {"hosts": {"load": {"ansible_host": "198.18.0.9"}}}})
    (root / "hosts.json").write_text(inventory)
    made = Plans().issue(change_of(site, RUN))
    assert "Load generated on: load" in made.change.question
    (root / "hosts.json").write_text(inventory.replace("198.18.0.9", "203.0.113.9"))
    with pytest.raises(PlanRefused, match="reaches the plan's hosts otherwise"):
        made.check(change_of(site, RUN))


@pytest.mark.slow  # four times ansible-inventory
def test_a_plan_notices_another_host_behind_the_same_name(site: Site, root: Path) -> None:
    made = Plans().issue(change_of(site, RUN))
    text = json.dumps(INVENTORY)
    (root / "hosts.json").write_text(text.replace('"note": "x"', '"note": "y"'))
    made.check(change_of(site, RUN))
    (root / "hosts.json").write_text(text.replace("198.18.0.2", "203.0.113.9"))
    with pytest.raises(PlanRefused, match="reaches the plan's hosts otherwise"):
        made.check(change_of(site, RUN))
    (root / "hosts.json").write_text(text.replace("web2", "db2"))
    with pytest.raises(PlanRefused, match=r"other hosts than the inventory has now \(db2, web1\)"):
        made.check(change_of(site, RUN))


def test_without_an_inventory_it_is_this_machine(site: Site) -> None:
    change = change_of(site, HERE)
    assert list(change.hosts) == ["localhost"]
    assert [word for word in change.command if "target" in word] == ["target=localhost"]
    with pytest.raises(NoPlan, match="only this machine is tuned, not 'web'"):
        change_of(site, replace(RUN, inventory=None))


def test_the_password_of_a_store_is_not_on_the_command_line(root: Path) -> None:
    site = Site.of(str(root), "learned", "postgresql://tuner:hunter2@db/x")
    assert "hunter2" not in " ".join(change_of(site, HERE).command)
    assert environment(site)["AUTOTUNE_STORE"] == site.store


@pytest.mark.parametrize(
    "target",
    ["{{ lookup('pipe', 'id') }}", "-e", "--list", "@/etc/passwd", "a b", "a;b", "", "~.*", "web\n", "$(id)", "/etc"],
)
def test_a_target_is_a_pattern_of_hosts_and_nothing_else(site: Site, target: str) -> None:
    with pytest.raises(NoPlan, match="not a pattern of hosts"):
        change_of(site, replace(RUN, target=target))


@pytest.mark.takes_seconds
def test_a_target_without_hosts_and_a_broken_inventory_are_refused(site: Site, root: Path) -> None:
    with pytest.raises(NoPlan):
        change_of(site, replace(RUN, target="nowhere"))
    (root / "hosts.json").write_text('{"all": {}}')
    with pytest.raises(NoPlan, match=r"no host of hosts\.json matches 'all'"):
        change_of(site, replace(RUN, target=None))


def test_a_study_that_would_copy_a_file_from_outside_is_refused(site: Site, root: Path) -> None:
    (root.parent / "secret").write_text("hunter2")
    (root / "studies/benchmark.py").unlink()
    (root / "studies/benchmark.py").symlink_to(root.parent / "secret")
    with pytest.raises(PathRefused, match="is outside"):
        change_of(site, HERE)


def test_a_wrong_study_is_refused_with_its_errors(site: Site, root: Path) -> None:
    (root / "studies/study.yml").write_text(json.dumps({**STUDY, "direction": "up"}))
    with pytest.raises(StudyError, match="direction"):
        change_of(site, HERE)


def test_a_rollout_is_bound_to_the_learned_values(site: Site, learn: Callable[..., Path]) -> None:
    folder = learn()
    change = change_of(site, ROLLOUT)
    assert change.values == {"vm.swappiness": "10", "net.ipv4.tcp_rmem": "4096 131072 33554432"}
    assert change.command[1:] == ("learned/wan/apply.yml", "-e", "target=localhost")
    made = Plans().issue(change)
    (folder / "trainer.log").write_text("a run goes on")
    made.check(change_of(site, ROLLOUT))
    learn(best_config={"vm.swappiness": 90})
    with pytest.raises(PlanRefused, match="changed since"):
        made.check(change_of(site, ROLLOUT))


def test_values_of_the_inventory_are_not_rolled_out_in_place_of_those_shown(
    site: Site, root: Path, learn: Callable[..., Path]
) -> None:
    learn()
    request = replace(ROLLOUT, inventory="hosts.json", target="db")
    made = Plans().issue(change_of(site, request))
    changed = json.loads(json.dumps(INVENTORY))
    variables = changed["all"]["children"]["db"]["hosts"]["db1"]
    variables["health_command"] = ["touch", "/tmp/evil"]
    (root / "hosts.json").write_text(json.dumps(changed))
    with pytest.raises(PlanRefused, match="otherwise"):
        made.check(change_of(site, request))
    variables["wan_values"] = {"vm.swappiness": 99}
    (root / "hosts.json").write_text(json.dumps(changed))
    with pytest.raises(NoPlan, match="the inventory sets wan_values for db1"):
        change_of(site, request)


def test_a_role_with_variables_beside_it_is_the_users(site: Site, learn: Callable[..., Path]) -> None:
    (learn() / "group_vars").mkdir()
    with pytest.raises(NoPlan, match="learned/wan has variables of its own"):
        change_of(site, ROLLOUT)


def test_what_ansible_would_read_besides_the_role_is_noticed(site: Site, learn: Callable[..., Path]) -> None:
    folder = learn()
    made = Plans().issue(change_of(site, ROLLBACK))
    (folder / "group_vars").mkdir()
    (folder / "group_vars/all.yml").write_text("ansible_become_exe: /tmp/evil")
    with pytest.raises(PlanRefused, match=r"group_vars/all\.yml changed"):
        made.check(change_of(site, ROLLBACK))


@pytest.mark.parametrize("verdict", ["no_improvement", "stopped", "failed"])
def test_what_was_not_proved_is_not_rolled_out(site: Site, learn: Callable[..., Path], verdict: str) -> None:
    learn()
    learn(verdict=verdict)
    with pytest.raises(NoPlan, match=f"ended as {verdict}: there is nothing to roll out"):
        change_of(site, ROLLOUT)
    assert change_of(site, ROLLBACK).command[1] == "learned/wan/rollback.yml"


def test_a_role_that_differs_from_its_result_is_refused(site: Site, learn: Callable[..., Path]) -> None:
    defaults = learn() / "roles/wan/defaults/main.yml"
    defaults.write_text(defaults.read_text().replace("10", "90"))
    with pytest.raises(NoPlan, match=r"roles/wan/defaults/main\.yml in learned/wan differ from what result\.json says"):
        change_of(site, ROLLOUT)


@pytest.mark.parametrize("part", ["roles", "rollback.yml"])
def test_a_role_that_is_linked_from_elsewhere_is_refused(
    site: Site, root: Path, learn: Callable[..., Path], part: str
) -> None:
    (learn() / part).rename(root.parent / part)
    (root / "learned/wan" / part).symlink_to(root.parent / part)
    for request in (ROLLOUT, ROLLBACK):
        with pytest.raises(PathRefused, match="is outside"):
            change_of(site, request)


def test_nothing_learned_is_said_in_a_line(site: Site, root: Path) -> None:
    with pytest.raises(PathRefused, match="does not exist"):
        change_of(site, ROLLBACK)
    (root / "learned/wan").mkdir(parents=True)
    with pytest.raises(ResultError, match="does not exist"):
        change_of(site, ROLLOUT)
    with pytest.raises(NoPlan, match="no study has written a role for wan"):
        change_of(site, ROLLBACK)
    (root / "learned/wan/rollback.yml").write_text("- hosts: all\n")
    with pytest.raises(NoPlan, match=r"was not written by autotune\.kernel"):
        change_of(site, ROLLBACK)
