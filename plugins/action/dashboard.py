# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Starts and stops the dashboard of a store; documented in plugins/modules/dashboard.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.autotune.kernel.plugins.plugin_utils import _dashboard_process
from ansible_collections.autotune.kernel.plugins.plugin_utils._plain import plain
from ansible_collections.autotune.kernel.plugins.plugin_utils._store import url

display = Display()

ARGUMENTS = {
    "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
    "store": {"type": "str"},
    "output": {"type": "path", "default": "learned"},
    "host": {"type": "str", "default": "127.0.0.1"},
    "port": {"type": "int", "default": 8470},
    "host_names": {"type": "list", "elements": "str", "default": []},
    "behind_proxy": {"type": "str"},
    "proxy_address": {"type": "str"},
    "new_store": {"type": "bool", "default": False},
    "required": {"type": "bool", "default": True},
}


class ActionModule(ActionBase):
    """A dashboard that is started or stopped, like a service."""

    _supports_check_mode = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = self.validate_argument_spec(ARGUMENTS)[1]
        folder = Path(arguments["output"]).absolute()
        try:
            return result | (_stop(folder) if arguments["state"] == "stopped" else _start(folder, arguments))
        except _dashboard_process.DashboardFailed as failure:
            if arguments["required"]:
                raise AnsibleActionFail(plain(failure)) from None
            display.warning(f"{plain(failure)}. The run continues without it.")
            return result | {"changed": False}


def _start(folder: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    store = url.chosen(arguments["store"], folder)
    dashboard, started = _dashboard_process.start(folder, store, _options(folder, arguments))
    stop = _dashboard_process.stop_command(folder)
    try:
        token = (
            (folder / "dashboard.token").read_text().strip() if "--token-file" in _options(folder, arguments) else ""
        )
    except OSError:
        raise _dashboard_process.DashboardFailed(
            f"a dashboard with other settings is already running at {dashboard.address}; stop it first: {stop}"
        ) from None
    query = f"?token={token}" if token else ""
    display.display(f"[autotune] dashboard{'' if started else ' (already running)'}: {dashboard.address}{query}")
    display.display(f"[autotune] the dashboard keeps running after this play; to stop it: {stop}")
    return {"changed": started, "url": dashboard.address, "pid": dashboard.pid}


def _stop(folder: Path) -> dict[str, Any]:
    dashboard = _dashboard_process.stop(folder)
    return {"changed": dashboard is not None, "pid": dashboard.pid if dashboard else None}


def _options(folder: Path, arguments: dict[str, Any]) -> list[str]:
    options = ["--host", arguments["host"], "--port", str(arguments["port"])]
    for name in arguments["host_names"]:
        options += ["--host-name", name]
    if arguments["behind_proxy"] is not None:
        options += ["--behind-proxy", arguments["behind_proxy"]]
    if arguments["proxy_address"] is not None:
        options += ["--proxy-address", arguments["proxy_address"]]
    if arguments["new_store"]:
        options.append("--new-store")
    if arguments["behind_proxy"] is not None or arguments["host"] not in ("127.0.0.1", "::1", "localhost"):
        options += ["--token-file", str(folder / "dashboard.token")]
    return options
