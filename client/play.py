# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""One run of a playbook through ansible-runner, from Python."""

from __future__ import annotations

import atexit
import logging
import os
import select
import shlex
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import ansible_runner

from .playbooks import COLLECTION, check_no_templates, environment, hosts_of


class PlayFailed(Exception):
    """A playbook failed; the message is the play's own.

    results: of the tasks that succeeded nevertheless, if all that failed is that hosts were lost.
    """

    def __init__(self, message: str, results: Mapping[str, dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.results = results or {}


_FAILED = ("runner_on_failed", "runner_on_unreachable")
_ERRORS = ("[ERROR]: ", "ERROR! ")
_HOSTS_LOST = 4  # the exit code of ansible-playbook if hosts were unreachable, and nothing else failed


class _Play:
    """What is known of a run so far, from ansible-runner's events. Events come on a thread of their own."""

    def __init__(self, show: Callable[[str], object]) -> None:
        self._show = show
        self.pid: int | None = None  # of ansible-playbook
        self._workers: list[int] = []  # pidfds
        self.cancelled = False
        self.exit_code: int | None = None
        self.ended = threading.Event()
        self.results: dict[str, dict[str, Any]] = {}  # of each task, by the name of its module
        self._failures: list[str] = []
        self.errors: list[str] = []

    def on_event(self, event: dict[str, Any]) -> bool:
        """Take in an event; returns whether ansible-runner is to keep it."""
        for line in event["stdout"].splitlines():
            if line.startswith(_ERRORS):
                self.errors.append(line.split(": ", 1)[-1])
            self._show(line)
        found = event.get("event_data", {})
        self.pid = event.get("pid") or self.pid
        if event["event"] == "runner_on_ok":
            self.results[found["task_action"]] = found["res"]
        elif event["event"] in _FAILED and not found.get("ignore_errors"):
            self._failures.append(str(found["res"].get("msg", "")))
        return False

    def is_cancelled(self) -> bool:
        return self.cancelled

    def interrupt(self) -> None:
        """Do what Ctrl-C does on a terminal: Ansible's workers restore their hosts before they end."""
        if self.pid is None:
            self.cancelled = True  # no task has begun
        else:
            with suppress(ProcessLookupError, FileNotFoundError):
                children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
                self._workers += [os.pidfd_open(int(child)) for child in children]
                os.killpg(os.getpgid(self.pid), signal.SIGINT)

    def wait_for_workers(self) -> None:
        """Until all that were interrupted have ended: they restore their hosts, and outlive ansible-playbook."""
        while self._workers:
            select.select([self._workers[-1]], [], [])
            os.close(self._workers.pop())

    @property
    def message(self) -> str:
        """Why it failed, in the play's words."""
        found = list(dict.fromkeys(filter(None, self._failures))) or self.errors
        return "; ".join(found) or "ansible-playbook failed without a message"


def run_playbook(
    name: str, inventory: str | None, settings: Mapping[str, object], show: Callable[[str], object]
) -> dict[str, dict[str, Any]]:
    """Run a playbook of the collection in the current folder; returns the results of its tasks by their module's name.

    The arguments are those of `playbooks.command`. show: gets every line of the output as it comes. Whatever is raised
    meanwhile, such as KeyboardInterrupt, ends the run as Ctrl-C on a terminal does, waits until the hosts have been
    restored, and is raised then. Raises PlayFailed.
    """
    try:
        check_no_templates(settings)
    except ValueError as error:
        raise PlayFailed(str(error)) from None
    play = _Play(show)
    with tempfile.TemporaryDirectory(prefix="autotune-") as private:
        logging.getLogger("ansible-runner").setLevel(logging.WARNING)

        def run() -> None:
            try:
                play.exit_code = ansible_runner.run(
                    private_data_dir=private,
                    project_dir=str(Path.cwd()),
                    playbook=str(COLLECTION / "playbooks" / f"{name}.yml"),
                    cmdline=shlex.join(hosts_of(inventory)),
                    # If this process is killed, its terminal's hang-up does not reach Ansible's workers.
                    extravars={**settings, "store": None, "parent_pid": os.getpid()},
                    envvars={
                        **environment(settings.get("store")),
                        "ANSIBLE_NOCOLOR": "1",
                        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
                    },
                    event_handler=play.on_event,
                    cancel_callback=play.is_cancelled,
                    settings={"pexpect_timeout": 1},
                    quiet=True,
                ).rc
            except Exception as error:
                play.errors.append(str(error))
            finally:
                play.ended.set()

        threading.Thread(target=run).start()
        _wait_for(play)
    if play.exit_code != 0:
        raise PlayFailed(play.message, play.results if play.exit_code == _HOSTS_LOST else None)
    return play.results


def _wait_for(play: _Play) -> None:
    """Wait for the end of the run. What is raised meanwhile ends it, and is raised once the hosts are restored.

    An event tells of the end: a thread whose join() is interrupted counts as ended in Python 3.11 although it runs.
    """

    def end() -> None:
        if not play.ended.is_set():
            play.interrupt()
            play.ended.wait()
        play.wait_for_workers()

    atexit.register(end)  # the program may end while another of its threads waits here
    try:
        play.ended.wait()
    except BaseException:
        end()
        raise
    finally:
        atexit.unregister(end)
