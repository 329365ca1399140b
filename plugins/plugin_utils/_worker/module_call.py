# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Calling the collection's modules on a host, over Ansible's connection."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from .._logs import to_text
from .preflight import become_advice

_LOG = logging.getLogger(__name__)


class ModuleFailed(Exception):
    """The module failed, or could not run. answer: what it returned, if anything."""

    def __init__(self, message: str, answer: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.answer = answer or {}


class BecomeFailed(ModuleFailed):
    """The module could not become root. output: the message of Ansible, sudo or su."""

    def __init__(self, output: str, method: str, answer: Mapping[str, Any] | None = None) -> None:
        super().__init__(become_advice(output, method), answer)
        self.output, self.method = output, method


def call_module(
    action: ActionBase, task_vars: Mapping[str, Any], name: str, arguments: dict[str, Any]
) -> dict[str, Any]:
    """The answer of `autotune.kernel.<name>`. Raises ModuleFailed, or AnsibleConnectionFailure for a lost host."""
    become = action._connection.become
    method = become.name if become else "sudo"
    if _LOG.isEnabledFor(logging.DEBUG):
        _LOG.debug("calls %s with %s", name, to_text(arguments))
    try:
        answer: dict[str, Any] = action._execute_module(
            module_name=f"autotune.kernel.{name}", module_args=arguments, task_vars=task_vars
        )
    except AnsibleConnectionFailure:
        raise
    except AnsibleError as error:  # from the connection plugin, about become
        raise BecomeFailed(str(error), method) from None
    if _LOG.isEnabledFor(logging.DEBUG):
        _LOG.debug("%s returned %s", name, to_text({key: answer[key] for key in answer if key != "invocation"}))
    if not answer.get("failed"):
        return answer
    if "module_stderr" in answer and become:  # become failed, so that no module ran
        lines = answer["module_stderr"].strip().splitlines() or ["no reason given"]
        raise BecomeFailed(lines[-1], method, answer)
    raise ModuleFailed(str(answer.get("msg") or answer.get("module_stderr") or "no reason given"), answer)
