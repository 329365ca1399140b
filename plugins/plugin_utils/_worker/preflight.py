# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What is wrong with a host for a study, found before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def problems(facts: dict[str, Any], *, allow_unsafe: Sequence[str]) -> list[str]:
    """One line a problem, from what `sysctl_info` found on the host; empty when the study can run."""
    found = [facts["gate_said"]] if facts["gate_said"] else []
    for parameter, state in facts["parameters"].items():
        if not state["exists"]:
            found.append(f"{parameter} does not exist here (kernel {facts['kernel']}); remove it or load its module")
        elif not state["readable"]:
            found.append(f"{parameter} cannot be read, so it could not be put back")
        elif facts["gate_said"]:
            continue  # that has named what cannot be set here, and why
        elif not state["writable"] and facts["effective_uid"] != 0:
            found.append(
                f"{parameter} is not writable for user id {facts['effective_uid']}; use become, or connect as root"
            )
        elif not state["writable"]:
            found.append(f"{parameter} is read-only here")
        elif state["denied"] and parameter not in allow_unsafe:
            found.append(f"{parameter} is denied; name it in the study's allow_unsafe if you mean it")
    if facts["managed_by"]:
        found.append(f"{' and '.join(facts['managed_by'])} is running and sets parameters too; stop it for the study")
    return found


def become_failed(said: str) -> str:
    """One line on what is missing where become does not work; `said` is what Ansible or sudo had to say."""
    return (
        f"become does not work ({said}); it takes a rule in sudoers and, unless that says NOPASSWD, the password "
        "(--ask-become-pass), or instead of become role autotune.kernel.access; nothing was written"
    )
