# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The program: its options, and what it says when it cannot serve."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = "ansible_collections.autotune.kernel.client.mcp_server"


def serve(*words: str, before: str = "pass") -> subprocess.CompletedProcess[str]:
    """The program with an empty stdin."""
    code = f"import sys; {before}; from {MODULE} import main; main(sys.argv[1:]); sys.exit('ansible' in sys.modules)"
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_the_package_it_says_what_to_install() -> None:
    ran = serve(before="sys.modules['mcp'] = None")
    assert (ran.returncode, ran.stdout) == (2, "")
    install = f"{sys.executable} -m pip install 'mcp>=2,<3'"
    assert ran.stderr == f"autotune mcp: needs the Python package mcp, version 2: {install}\n"


@pytest.mark.takes_seconds
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--root", "{tmp}/nothing"), "is not a folder"),
        (("--root", "{tmp}", "--output", "/etc/x"), "is outside"),
        (("--root", "{tmp}", "--store", "{tmp}/file/a.sqlite"), "File exists"),
    ],
)
def test_a_wrong_option_is_one_line(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    pytest.importorskip("mcp", reason="takes the extra `mcp`")
    (tmp_path / "file").touch()
    ran = serve(*(word.format(tmp=tmp_path) for word in words))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.mark.takes_seconds
def test_it_ends_with_its_client_and_never_needs_ansible_itself(tmp_path: Path) -> None:
    pytest.importorskip("mcp", reason="takes the extra `mcp`")
    ran = serve("--root", str(tmp_path))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
