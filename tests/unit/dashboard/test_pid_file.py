# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Running dashboards are found by the lock on their PID file."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils import _dashboard_process

COLLECTIONS = Path(__file__).resolve().parents[3] / "playbooks" / "collections"
BEGIN = """
import sys
from pathlib import Path
from ansible_collections.autotune.kernel.dashboard.pid_file import PidFile
kept = PidFile(Path(sys.argv[1]))
for command in map(str.strip, sys.stdin):
    if command == "write":
        kept.write("http://127.0.0.1:8470/", "sqlite:///store.sqlite")
    print("done", flush=True)
"""


class Serving:
    """A process that holds a PID file."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", BEGIN, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
        )

    def do(self, command: str) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n", "it did not get its file"

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[], Serving]]:
    started: list[Serving] = []

    def start() -> Serving:
        started.append(Serving(tmp_path / "dashboard.pid"))
        started[-1].do("begin")
        return started[-1]

    yield start
    for one in started:
        one.end()


def test_a_dashboard_runs_while_it_holds_its_file(serve: Callable[[], Serving], tmp_path: Path) -> None:
    assert _dashboard_process.running(tmp_path) is None
    first = serve()
    first.do("write")
    found = _dashboard_process.Dashboard(first.process.pid, "http://127.0.0.1:8470/", "sqlite:///store.sqlite")
    assert _dashboard_process.running(tmp_path) == found
    first.end()
    assert _dashboard_process.running(tmp_path) is None


def test_the_lines_of_a_crashed_dashboard_are_ignored(serve: Callable[[], Serving], tmp_path: Path) -> None:
    """Else stop() would end a process that has the id by chance."""
    (tmp_path / "dashboard.pid").write_text("1\nhttp://127.0.0.1:9/\nsqlite:///old.sqlite\n")
    page = serve()
    assert _dashboard_process.running(tmp_path) is None
    page.do("write")
    found = _dashboard_process.running(tmp_path)
    assert found is not None
    assert found.pid == page.process.pid


def test_reading_the_file_does_not_block_a_start(
    serve: Callable[[], Serving], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts here just before whoever looked has closed the file."""
    (tmp_path / "dashboard.pid").write_text("")

    class Watched:
        def __init__(self, file: IO[Any]) -> None:
            self.file = file

        def __enter__(self) -> IO[Any]:
            return self.file

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> None:
            serve()
            self.file.close()

    def watched(*arguments: Any) -> Watched:
        return Watched(open(*arguments))

    monkeypatch.setattr(_dashboard_process, "open", watched, raising=False)
    assert _dashboard_process.running(tmp_path) is None


def test_the_command_that_stops_it_names_its_folder(tmp_path: Path) -> None:
    """Wherever one is by then: nobody remembers the next day in which folder the run was started."""
    stop = "ansible-playbook autotune.kernel.review -i localhost, -e dashboard_state=stopped"
    assert _dashboard_process.stop_command(tmp_path / "learned") == f"{stop} -e output={tmp_path}/learned"
    *words, setting = shlex.split(_dashboard_process.stop_command(tmp_path / "it's my folder"))
    assert words == [*shlex.split(stop), "-e"]
    assert json.loads(setting) == {"output": f"{tmp_path}/it's my folder"}
