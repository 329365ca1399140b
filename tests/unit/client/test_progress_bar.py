# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import pytest
from ansible_collections.autotune.kernel.client.progress_bar import ProgressBar
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.progress import progress_line

PROGRESS = {
    "number": 12,
    "of": 87,
    "phase": "train",
    "label": "candidate",
    "error": None,
    "metric": 94.3,
    "change": 213.4,
    "best": 250.1,
    "left": 180.0,
}
LINE = "[autotune] " + progress_line("lab1", "throughput", PROGRESS)


def test_a_log_gets_each_line_of_the_run_and_none_of_ansibles(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar() as bar:
        for line in ("TASK [Run the study] ***", LINE, "[autotune] note: too noisy"):
            bar.show(line)
    assert capsys.readouterr().err.splitlines() == [LINE, "[autotune] note: too noisy"]


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")  # a narrower terminal cuts the line
    with ProgressBar() as bar:
        bar.show(LINE)
        bar.show("[autotune] note: too noisy")
    shown = capsys.readouterr().err
    assert "12/87" in shown
    assert "lab1 training: candidate 94.3 throughput (+213.4 %), best +250.1 %, 3 min left" in shown
    assert "[autotune] note: too noisy" in shown
