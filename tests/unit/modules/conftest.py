from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.autotune.kernel.plugins.module_utils import (
    _boot_files,
    _dropin,
    _journal,
    _kind,
    _ufw,
    _watchdog,
)

VALUES = {
    "kernel/random/boot_id": "6ef18fc1",
    "kernel/core_pattern": "core",
    "net/ipv4/tcp_fastopen_key": "1-2-3-4",
    "net/ipv4/tcp_rmem": "4096\t131072\t6291456",
    "vm/swappiness": "60",
}


@pytest.fixture
def procfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc/sys of plain files, and no watchdog."""
    root = tmp_path / "proc"
    for path, value in VALUES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(value + "\n")
    monkeypatch.setattr(_kind, "PROC_SYS", str(root))
    monkeypatch.setattr(_kind, "SYSFS", str(tmp_path / "sys"))
    monkeypatch.setattr(_journal, "RUN_DIRECTORY", str(tmp_path / "run"))
    monkeypatch.setattr(_dropin, "STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setattr(_dropin, "DROPIN_DIRECTORY", str(tmp_path / "sysctl.d"))
    monkeypatch.setattr(_dropin, "OTHER_DIRECTORIES", ())
    monkeypatch.setattr(_boot_files, "SYSCTL_CONF", str(tmp_path / "sysctl.conf"))
    monkeypatch.setattr(_ufw, "STATE", str(tmp_path / "ufw.conf"))
    monkeypatch.setattr(_watchdog, "ensure", list)
    return root


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Run a module's main() with these arguments; its result."""
    # On a host nothing of the controller is there. Here other tests may have imported it, and it shows warnings itself.
    monkeypatch.setattr("ansible.module_utils._internal.is_controller", False)

    def run(main: Callable[[], None], check: bool = False, **arguments: Any) -> dict[str, Any]:
        with patch_module_args({**arguments, "_ansible_check_mode": check}), pytest.raises(SystemExit):
            main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return run
