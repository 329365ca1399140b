# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Generates the learned role and shows the closing summary; documented in plugins/modules/learned_role.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.learned_role import (
    ForeignFileError,
    Plan,
    carry_out,
    plan,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.result import ResultError, read
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.summary import summary
from ansible_collections.autotune.kernel.plugins.plugin_utils._plain import plain

display = Display()


class ActionModule(ActionBase):
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        outcome: dict[str, Any] = super().run(tmp, task_vars)
        arguments = self.validate_argument_spec({"path": {"type": "path", "required": True}})[1]
        try:
            folder = Path(arguments["path"])
            planned = plan(folder.absolute())
            if self._task.diff:
                outcome["diff"] = _differences(planned)
            if not self._task.check_mode:
                carry_out(planned)
                display.display(summary(read(folder), folder, _hosts(task_vars or {})))
        except (ResultError, ForeignFileError) as error:
            raise AnsibleActionFail(plain(error)) from None
        except OSError as error:
            raise AnsibleActionFail(plain(f"{error.filename}: {error.strerror}")) from None
        outcome.update(changed=planned.changed, files=[str(path) for path in planned.files], role=planned.role)
        return outcome


def _hosts(task_vars: dict[str, Any]) -> list[str]:
    """The options that name the hosts of this play, as the user would type them."""
    # Ansible makes an inventory's path absolute.
    given = [Path(inventory) for inventory in context.CLIARGS.get("inventory") or ()]
    shown = [str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path) for path in given]
    options = [word for inventory in shown for word in ("-i", inventory)]
    if limit := context.CLIARGS.get("subset"):
        options += ["--limit", limit]
    return options + (["-e", f"target={task_vars['target']}"] if "target" in task_vars else [])


def _differences(planned: Plan) -> list[dict[str, str]]:
    touched = [*planned.removals, *planned.writes]
    return [
        {
            "before_header": str(path),
            "after_header": str(path),
            "before": path.read_text(encoding="utf-8", errors="replace") if path.exists() else "",
            "after": planned.writes.get(path, ""),
        }
        for path in touched
        # The markup of the report would bury the lines that matter.
        if path.suffix != ".html"
    ]
