# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A plan serves once, for a while, and only for what it was made for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.autotune.kernel.client.mcp_plans import Change, Kind, PlanRefused, Plans, Request
from hypothesis import given
from hypothesis import strategies as st

CHANGE = Change(
    request=Request("rollout", "wan", "hosts.yml", "lab"),
    workload="wan",
    hosts={"lab1": {"ansible_host": "198.18.0.2"}, "lab2": {}},
    values={"net.ipv4.tcp_congestion_control": "bbr"},
    files={"learned/wan/apply.yml": "0a"},
    command=("ansible-playbook", "learned/wan/apply.yml", "-i", "hosts.yml", "-e", "target=lab"),
)
ROLLOUT: tuple[Kind, ...] = ("rollout",)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def plans(clock: Clock) -> Plans:
    return Plans(lifetime=600.0, clock=clock)


def test_a_plan_can_be_looked_at_and_taken_once(plans: Plans) -> None:
    made = plans.issue(CHANGE)
    assert plans.look(made.id, ROLLOUT) == plans.look(made.id, ROLLOUT) == made
    assert plans.take(made.id, ROLLOUT) == made
    for again in (plans.look, plans.take):
        with pytest.raises(PlanRefused, match="each can be used once; make a new plan"):
            again(made.id, ROLLOUT)


@pytest.mark.parametrize(("age", "good"), [(599.9, True), (600.0, False), (7200.0, False)])
def test_a_plan_expires(plans: Plans, clock: Clock, age: float, good: bool) -> None:
    made = plans.issue(CHANGE)
    clock.now = age
    if good:
        assert plans.take(made.id, ROLLOUT) == made
        return
    with pytest.raises(PlanRefused, match="expired 10 minutes after it was made"):
        plans.look(made.id, ROLLOUT)
    with pytest.raises(PlanRefused, match="no open plan"):
        plans.take(made.id, ROLLOUT)


def test_a_plan_is_good_for_its_own_tool_only(plans: Plans) -> None:
    made = plans.issue(CHANGE)
    with pytest.raises(PlanRefused, match="is of a rollout; give it to the tool for that"):
        plans.take(made.id, ("run",))
    assert plans.take(made.id, ROLLOUT) == made


@given(st.text(max_size=200))
def test_nobody_guesses_a_plan(guess: str) -> None:
    plans = Plans()
    plans.issue(CHANGE)
    with pytest.raises(PlanRefused, match="no open plan"):
        plans.look(guess, ROLLOUT)


def test_two_plans_of_the_same_change_have_different_ids(plans: Plans) -> None:
    assert plans.issue(CHANGE).id != plans.issue(CHANGE).id


def test_only_the_latest_plans_stay_open(plans: Plans) -> None:
    made = [plans.issue(CHANGE) for dummy in range(101)]
    with pytest.raises(PlanRefused):
        plans.look(made[0].id, ROLLOUT)
    assert plans.look(made[1].id, ROLLOUT) == made[1]


def test_the_same_change_is_not_refused(plans: Plans) -> None:
    plans.issue(CHANGE).check(replace(CHANGE))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hosts": {"lab1": {"ansible_host": "198.18.0.2"}}}, "for other hosts than the inventory has now"),
        ({"hosts": {"lab1": {"ansible_host": "198.18.0.2"}, "db": {}}}, r"\(lab1, db\)"),
        ({"hosts": {"lab1": {"ansible_host": "203.0.113.9"}, "lab2": {}}}, "reaches the plan's hosts otherwise"),
        ({"values": {"net.ipv4.tcp_congestion_control": "reno"}}, "its values changed"),
        ({"files": {"learned/wan/apply.yml": "0b"}}, "learned/wan/apply.yml changed since"),
        ({"files": {**CHANGE.files, "learned/wan/roles/wan/vars/main.yml": "0c"}}, "vars/main.yml changed since"),
    ],
)
def test_a_plan_is_bound_to_hosts_values_and_files(plans: Plans, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanRefused, match=said):
        plans.issue(CHANGE).check(replace(CHANGE, **changes))


names = st.text(max_size=20)


@given(
    st.dictionaries(names, st.dictionaries(names, names, max_size=2), max_size=3),
    st.dictionaries(names, names, max_size=3),
    st.dictionaries(names, names, max_size=3),
    st.lists(names, max_size=3),
)
def test_whatever_differs_is_refused(hosts: Any, values: Any, files: Any, command: list[str]) -> None:
    other = replace(CHANGE, hosts=hosts, values=values, files=files, command=tuple(command))
    with pytest.raises(PlanRefused) as refused:
        Plans().issue(CHANGE).check(other)
    assert "\n" not in str(refused.value)
    Plans().issue(other).check(replace(other))


def test_the_user_is_asked_in_plain_text() -> None:
    hostile = replace(CHANGE, values={"vm.x\x1b[2J": "1\nHosts (0): none"}, hosts={"a\rb": {}})
    assert hostile.question.splitlines() == [
        "Roll out the values learned for wan, for good.",
        r"Hosts (1): a\rb",
        r"  vm.x\x1b[2J: 1\nHosts (0): none",
        "Command: ansible-playbook learned/wan/apply.yml -i hosts.yml -e target=lab",
    ]
