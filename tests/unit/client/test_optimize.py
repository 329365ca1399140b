from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.client import optimize
from ansible_collections.autotune.kernel.client.optimize import TuningFailed, optimize_os_parameters
from ansible_collections.autotune.kernel.client.play import PlayFailed

from .conftest import RESULT


def test_a_run_that_lost_a_host_and_went_on_has_its_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "result.json").write_text(json.dumps(RESULT))
    ended = {"verdict": "improved", "path": str(tmp_path)}

    def run(*arguments: Any) -> Any:
        raise PlayFailed("web2: connection lost during trial 12", {"autotune.kernel.evaluate": ended})

    monkeypatch.setattr(optimize, "run_playbook", run)
    assert optimize_os_parameters(tmp_path / "study.yml")["best_config"] == {"vm.swappiness": 10}
    assert "web2: connection lost during trial 12" in capsys.readouterr().err
    optimize_os_parameters(tmp_path / "study.yml", inventory="hosts", settings={"target": "web"})
    assert "apply.yml -i hosts -e target=web" in capsys.readouterr().err, "not all hosts of the inventory"
    ended["verdict"] = "failed"
    with pytest.raises(TuningFailed, match="connection lost"):
        optimize_os_parameters(tmp_path / "study.yml")
