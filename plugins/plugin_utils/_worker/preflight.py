# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What is wrong with a host for a study, found before anything is written."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from .._study.space import SearchSpace


def problems(facts: dict[str, Any], *, allow_unsafe: Sequence[str], optional: Collection[str] = ()) -> list[str]:
    """One line a problem, from what `sysctl_info` found on the host; empty when the study can run.

    optional: the study's optional parameters that are tuned, as far as was known before this look at the host.
    """
    found = [facts["gate_said"]] if facts["gate_said"] else []
    for parameter, state in facts["parameters"].items():
        if not state["exists"]:
            reason = "".join((state["why_not_writable"] or "").partition(": ")[1:])
            remedy = _remedy(parameter in optional)
            advice = f" If not, {remedy}" if reason.endswith("?") else f"; {remedy}"
            found.append(f"{parameter} does not exist here (kernel {facts['kernel']}){reason}{advice}")
        elif not state["readable"]:
            reason = f": {state['why_not_writable']}" if state["why_not_writable"] else ""
            found.append(f"{parameter} cannot be read, so it could not be put back{reason}")
        elif facts["gate_said"]:
            continue  # that has named what cannot be set here, and why
        elif not state["writable"]:
            found.append(f"{parameter} cannot be set: {state['why_not_writable']}")
        elif state["denied"] and parameter not in allow_unsafe:
            found.append(f"{parameter} is denied; name it in the study's allow_unsafe if you mean it")
    if facts["managed_by"]:
        daemons = facts["managed_by"]
        found.append(
            f"{' and '.join(daemons)} {'is' if len(daemons) == 1 else 'are'} running and would set parameters "
            f"meanwhile; stop before the study, start again after it: systemctl stop {' '.join(daemons)}"
        )
    return found


def _remedy(is_optional: bool) -> str:
    if is_optional:
        return "optional parameters are left out only if the hosts were asked for them before, as playbook tune does"
    return "remove it, load its module, or mark it `optional: true`"


def notes(facts: dict[str, Any], controller: tuple[str, int]) -> list[str]:
    """One line on everything that is no reason to refuse the host and still good to know.

    controller: boot ID and inode of the network namespace of the machine that this runs on.
    """
    found = []
    machines = [name for name, state in facts["parameters"].items() if state["namespaced"] is False]
    if facts["container"] and machines:
        found.append(
            f"it is inside a {facts['container']}, and {', '.join(machines)} belong{'s' if len(machines) == 1 else ''} "
            "to the whole machine: everything else on it feels the study too"
        )
    if (facts["boot_id"], facts["network_namespace"]) == controller:
        found.append("it is the controller itself: the learner works between evaluations there, at idle priority")
    return found


def out_of_reach(space: SearchSpace, values: Mapping[str, Any]) -> list[str]:
    """Why `exploration: cautious` cannot start from these values, if so: no candidate is near them."""
    lacking = [f"{name} is {values[name]}" for name in space.lacks(values)]
    if not lacking:
        return []
    return [
        f"exploration: cautious starts from the values that a host has, and no candidate has them: "
        f"{', '.join(lacking)}; widen the ranges"
    ]


def is_gone(holder: str, machine: str) -> bool:
    """Whether the holder of a lease was a run on this machine that has ended. machine: this user at this machine."""
    process = re.match(re.escape(machine) + r", process (\d+)\b", holder)
    return process is not None and not Path(f"/proc/{process[1]}").exists()


def become_failed(said: str, method: str) -> str:
    """One line on what is missing where become does not work; `said` is what Ansible, or sudo or su, had to say."""
    if method == "sudo":
        takes = "it takes a rule in sudoers and, unless that says NOPASSWD, the password (--ask-become-pass)"
    elif method == "su":
        takes = "su takes the password of the account to become, by default root's (--ask-become-pass)"
    else:
        takes = f"{method} must let the connection's user become root; --ask-become-pass asks for a password"
    instead = "or instead of become role autotune.kernel.access"
    return f"become does not work ({said}); {takes}, {instead}; nothing was written"
