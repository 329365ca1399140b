# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Checks of a host before anything is written to it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from .._study.space import SearchSpace

# The settings of playbooks/tune.yml and doctor.yml that are not arguments of their actions.
_PLAYBOOK_SETTINGS = (
    "target",
    "benchmark_environment",
    "dashboard",
    "dashboard_host",
    "dashboard_port",
    "dashboard_host_names",
    "dashboard_behind_proxy",
    "dashboard_proxy_address",
    "install",
)


def problems(facts: dict[str, Any], *, allow_unsafe: Sequence[str], optional: Collection[str] = ()) -> list[str]:
    """Why the study cannot run on the host, one line each, from the facts of `sysctl_info`.

    optional: the study's optional parameters that would be tuned.
    """
    found = [facts["gate_message"]] if facts["gate_message"] else []
    for parameter, state in facts["parameters"].items():
        if not state["exists"]:
            reason = "".join((state["why_not_writable"] or "").partition(": ")[1:])
            remedy = _remedy(parameter in optional)
            advice = f" If not, {remedy}" if reason.endswith("?") else f"; {remedy}"
            found.append(f"{parameter} does not exist here (kernel {facts['kernel']}){reason}{advice}")
        elif not state["readable"]:
            reason = f": {state['why_not_writable']}" if state["why_not_writable"] else ""
            found.append(f"{parameter} cannot be read, so it could not be restored{reason}")
        elif facts["gate_message"]:
            continue  # the gate's message says what cannot be set, and why
        elif not state["writable"]:
            found.append(f"{parameter} cannot be set: {state['why_not_writable']}")
        elif state["denied"] and parameter not in allow_unsafe:
            found.append(f"{parameter} is on the denylist; to tune it anyway, add it to allow_unsafe")
    if daemons := facts["managed_by"]:
        verb, them = ("is", "it") if len(daemons) == 1 else ("are", "them")
        found.append(
            f"{' and '.join(daemons)} {verb} running and would change parameters during the study; stop {them} with "
            f"`systemctl stop {' '.join(daemons)}`, and start {them} again after the study"
        )
    return found


def _remedy(is_optional: bool) -> str:
    if is_optional:
        return "optional parameters are left out only if the play gathers the hosts' facts first, as playbook tune does"
    return "remove it, load its module, or mark it `optional: true`"


def notices(facts: dict[str, Any], controller: tuple[str, int]) -> list[str]:
    """What the user should know about a host that is suitable, one line each.

    controller: boot ID and network namespace inode of the controller.
    """
    found = []
    machine_wide = [name for name, state in facts["parameters"].items() if state["namespaced"] is False]
    if facts["container"] and machine_wide:
        verb = "is" if len(machine_wide) == 1 else "are"
        found.append(
            f"in a container ({facts['container']}); {', '.join(machine_wide)} {verb} machine-wide, "
            "so the study affects everything on the machine"
        )
    if (facts["boot_id"], facts["network_namespace"]) == controller:
        found.append("this is the controller itself: the learner runs here between trials, at idle priority")
    return found


def too_few_forks(forks: int, hosts: int) -> str | None:
    """That not all hosts of a study run at a time; None if they do."""
    return (
        f"only {forks} of {hosts} hosts run at a time; use --forks {hosts} to run all of them"
        if forks < hosts
        else None
    )


def cautious_start_problem(space: SearchSpace, values: Mapping[str, Any]) -> list[str]:
    """Why `exploration: cautious` cannot start from these values: they lie outside the search space."""
    outside = [f"{name} is {values[name]}" for name in space.unreachable(values)]
    if not outside:
        return []
    return [
        "exploration: cautious starts from the host's original values, which lie outside the search space: "
        f"{', '.join(outside)}; widen the ranges"
    ]


def misspelt_setting(extra_vars: Iterable[str], arguments: Iterable[str], playbook: str = "tune") -> str | None:
    """Which of the variables given with -e looks like a misspelt setting of a playbook; Ansible would ignore it.

    arguments: those of the playbook's action, which are settings of the same names.
    """
    settings = [*arguments, *_PLAYBOOK_SETTINGS]
    for name in extra_vars:
        if name not in settings and (similar := get_close_matches(name, settings, 1, 0.8)):
            return f"-e {name} is not a setting of playbook {playbook}; did you mean {similar[0]}?"
    return None


def holder_is_gone(holder: str, controller: str) -> bool:
    """Whether the holder of a lease was a run of this user on this controller (USER@HOST) that has ended."""
    process = re.match(re.escape(controller) + r", process (\d+)\b", holder)
    return process is not None and not Path(f"/proc/{process[1]}").exists()


def become_advice(output: str, method: str) -> str:
    """One line on what become needs in order to work. output: the message of Ansible, sudo or su."""
    if method == "sudo":
        needs = "it needs a rule in sudoers and, unless that says NOPASSWD, the password (--ask-become-pass)"
    elif method == "su":
        needs = "su needs the password of the target account, by default root's (--ask-become-pass)"
    else:
        needs = f"{method} must let the connection's user become root; --ask-become-pass prompts for a password"
    return f"become does not work ({output}); {needs}, or use role autotune.kernel.access instead; nothing was written"
