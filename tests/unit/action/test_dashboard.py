# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.action import dashboard
from ansible_collections.autotune.kernel.plugins.plugin_utils._dashboard_process import Dashboard, DashboardFailed


def test_one_that_runs_without_the_token_that_is_asked_for_is_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Dashboard(1, "http://127.0.0.1:8765/", "sqlite:///x")
    monkeypatch.setattr(dashboard._dashboard_process, "start", lambda *dummy: (running, False))
    arguments = {name: option.get("default") for name, option in dashboard.ARGUMENTS.items()}
    asked = {**arguments, "output": str(tmp_path), "host": "192.0.2.1", "host_names": []}
    with pytest.raises(DashboardFailed, match="already running at http://127.0.0.1:8765/; stop it first: "):
        dashboard._start(tmp_path, asked)
