# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`./dev soak` itself: one fault, as a script that knows nothing of pytest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).resolve().parents[1] / "soak/faults.py"


def test_a_killed_controller_is_survived(tmp_path: Path) -> None:
    command = [sys.executable, SOAK, "1", "--fault", "controller", "--results", tmp_path]
    soak = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, cwd=tmp_path)
    assert "controller 1 at " in soak.stdout, soak.stderr  # how soon it was back depends on what else runs here
    assert "NOT BACK" not in soak.stdout
