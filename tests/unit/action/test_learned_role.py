# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import pytest
from ansible.utils.context_objects import CLIArgs
from ansible_collections.autotune.kernel.plugins.action import learned_role


def test_the_command_to_apply_reaches_no_host_that_the_run_did_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        learned_role.context, "CLIARGS", CLIArgs({"inventory": ["/etc/hosts.yml"], "subset": "canary1"})
    )
    assert learned_role._hosts({}) == ["-i", "/etc/hosts.yml", "--limit", "canary1"]
    assert learned_role._hosts({"target": "web"})[2:] == ["--limit", "canary1", "-e", "target=web"]
