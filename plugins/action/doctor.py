# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Looks for what would make a study fail; documented in plugins/modules/doctor.py."""

from __future__ import annotations

from typing import Any

from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars
from ansible_collections.autotune.kernel.plugins.plugin_utils._doctor import controller_examination
from ansible_collections.autotune.kernel.plugins.plugin_utils._doctor.finding import Finding, Severity, report

try:  # here, because Ansible loads plugins once and then forks for every host
    from ansible_collections.autotune.kernel.plugins.plugin_utils._doctor.host_examination import Examination
except ImportError as error:
    BROKEN: ImportError | None = error
else:
    BROKEN = None

display = Display()

ARGUMENTS = {
    "examine": {"type": "str", "choices": ["host", "controller"], "default": "host"},
    "study": {"type": "path"},
    "run_on": {"type": "str"},
    "benchmark": {"type": "bool", "default": False},
    "environment": {"type": "dict", "default": {}},
    "target": {"type": "str", "default": "all"},
    "hosts": {"type": "list", "elements": "str", "default": []},
    "output": {"type": "path", "default": "learned"},
    "store": {"type": "str", "no_log": True},
    "dashboard_host": {"type": "str", "default": "127.0.0.1"},
    "dashboard_port": {"type": "int", "default": 8470},
}


class ActionModule(ActionBase):
    """The examination of one host, or of the controller with the report on all."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments, variables = self.validate_argument_spec(ARGUMENTS)[1], task_vars or {}
        examine = self._examine_host if arguments["examine"] == "host" else self._examine_controller
        return result | {"changed": False, **examine(arguments, variables)}

    def _examine_host(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        if BROKEN:
            return {"findings": [], "examined": False}
        found = Examination(self, arguments, task_vars, display).findings()
        return {"findings": [finding.as_result() for finding in found], "examined": True}

    def _examine_controller(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        settings = list(load_extra_vars(self._loader))
        command = controller_examination.Command(task_vars["groups"], int(context.CLIARGS["forks"]), settings)
        found = list(controller_examination.findings(arguments, command, BROKEN))
        examined: list[str] = []
        left_out: list[str] = []
        for host in arguments["hosts"]:
            answer = task_vars["hostvars"][host].get("autotune_doctor", {})
            (examined if answer.get("examined") else left_out).append(host)
            found += [Finding.from_result(one) for one in answer.get("findings", ())]
        *lines, conclusion = report(found, examined, left_out)
        is_sound = not left_out and all(finding.severity is Severity.WARNING for finding in found)
        if is_sound and arguments["study"]:
            check = f"ansible-playbook autotune.kernel.check -i INVENTORY -e study={arguments['study']}"
            lines.append(f"next, to measure the benchmark's noise and sensitivity under a lease: {check}")
        for line in (*lines, conclusion):
            display.display(line)
        if not is_sound:
            raise AnsibleActionFail(conclusion)
        return {"findings": [finding.as_result() for finding in found], "summary": conclusion}
