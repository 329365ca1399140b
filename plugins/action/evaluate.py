# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

try:
    from ansible_collections.autotune.kernel.plugins.plugin_utils._plain import plain
    from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.host_session import SessionFailed
    from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.worker import run_worker
except ImportError as error:
    MISSING: ImportError | None = error
else:
    MISSING = None

display = Display()

ARGUMENTS = {
    "study": {"type": "path", "required": True},
    "store": {"type": "str", "no_log": True},
    "output": {"type": "path", "default": "learned"},
    "seed": {"type": "int"},
    "resume": {"type": "str", "default": "false"},
    "agent": {"type": "path"},
    "run_on": {"type": "str"},
    "environment": {"type": "dict", "default": {}},
    "lease_margin": {"type": "int", "default": 60},
    "check": {"type": "bool", "default": False},
    "compare": {"type": "dict", "default": {}},
    "rounds": {"type": "int", "default": 10},
    "dry_run": {"type": "bool", "default": False},
    "debug": {"type": "bool", "default": False},
    "parent_pid": {"type": "int"},
}


class ActionModule(ActionBase):
    """Runs one host of a study, each in a fork of its own."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        if MISSING:
            raise AnsibleActionFail(f"{MISSING}; install the collection's Python requirements for ansible-playbook")
        arguments = self.validate_argument_spec(ARGUMENTS)[1]
        try:
            return result | run_worker(self, arguments, task_vars or {}, display)
        except SessionFailed as failure:
            raise AnsibleActionFail(plain(failure)) from None
