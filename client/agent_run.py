# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A run of playbook tune in which this process is the agent that chooses the candidates."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..plugins.plugin_utils._plain import few, plain_line
from ..plugins.plugin_utils._study.space import Point
from ..plugins.plugin_utils._study.study import Study
from ..plugins.plugin_utils._trial.trial import Trial, from_json
from ..plugins.plugin_utils._wire import Disconnected, Line, Message, listen
from . import playbooks

_REFRESH = 0.5  # seconds between two looks for new lines of the play
# The form in which Ansible's output is read here, whatever the user's configuration says.
_OUTPUT = {
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
    "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
    "ANSIBLE_CALLBACK_FORMAT_PRETTY": "false",
}
_FATAL = re.compile(r"^(?:fatal|failed): \[[^\]]+\].*? => (\{.*\})$", re.MULTILINE)
_ERROR = re.compile(r"^\[?ERROR[\]!]:? (.*)$", re.MULTILINE)


class EnvironmentFailed(Exception):
    """The run behind the environment has ended, or could not begin; the message is one line that says why."""


class AgentRun:
    """The run, from the start of ansible-playbook to the end of the study.

    The constructor returns once the hosts' baselines are measured. It and all methods raise EnvironmentFailed. If this
    process ends, the hosts restore their original values at once.

    study: as the hosts made it, with presets expanded. baselines: trials of the hosts' original values. left: trials
    that the study's budget still allows.
    """

    def __init__(
        self,
        study: str,
        inventory: str | None,
        settings: Mapping[str, object],
        options: Sequence[str] = (),
        *,
        verbose: bool = False,
    ) -> None:
        self._verbose, self._shown, self._ended = verbose, 0, False
        # Not a pipe, because the play must outlive this process, to restore the hosts.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the run)
        with tempfile.TemporaryDirectory(prefix="autotune-agent-") as folder, listen(Path(folder)) as server:
            # A process that this one forks keeps the connection open: its end alone would not stop the run.
            given = {"study": study, **settings, "agent": folder, "parent_pid": os.getpid()}
            words = playbooks.command(playbooks.playbook("tune"), inventory, given, *options)
            self._process = subprocess.Popen(
                playbooks.runnable(words),
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                start_new_session=True,  # Ctrl-C is for this process, which then stops the run
                env={**os.environ, **playbooks.environment(settings.get("store")), **_OUTPUT},
            )
            try:
                self._connection = self._accept(server)
            except BaseException:
                self._interrupt()
                raise
        self._line = Line(self._connection)
        begin = self._receive()
        self.study = Study.model_validate(begin["study"])
        self.baselines = [from_json(trial) for trial in begin["baselines"]]
        self.left = int(begin["left"])

    def evaluate(self, point: Point) -> list[Trial]:
        """The trials of the candidate at this point of the search space's unit cube, one on each host."""
        self._send("point", point=[float(number) for number in point])
        message = self._receive()
        self.left = int(message["left"])
        return [from_json(trial) for trial in message["trials"]]

    def finish(self) -> dict[str, Any]:
        """Let the study go on to race, proof and role; returns the content of result.json."""
        self._send("finish")
        result: dict[str, Any] = self._await("end")["result"]
        if problem := self._end():
            raise EnvironmentFailed(problem)
        return result

    def stop(self) -> None:
        """Stop the study, unless it has ended, and wait until every host has its original values back.

        Raises EnvironmentFailed if one has not, or was lost; once, if the run has ended.
        """
        if self._ended:
            return
        self._line.close()
        if problem := self._end():
            raise EnvironmentFailed(problem)

    def _accept(self, server: socket.socket) -> socket.socket:
        process = os.pidfd_open(self._process.pid)
        sources: list[Any] = [server, process]
        try:
            while not (ready := select.select(sources, [], [], _REFRESH)[0]):
                self._show_progress()
        finally:
            os.close(process)
        if server not in ready:
            raise EnvironmentFailed(self._end() or "ansible-playbook ended without a study")
        return server.accept()[0]

    def _send(self, kind: str, **content: Any) -> None:
        if self._ended:
            raise EnvironmentFailed("the run has ended; make a new environment")
        with suppress(Disconnected):  # what it sent before it ended is still to be received
            self._line.send(kind, **content)

    def _receive(self) -> Message:
        """The next message of a study that goes on. Interrupted, for example by Ctrl-C, it stops the run."""
        message = self._await()
        if message["kind"] == "end":
            problem = self._end()
            raise EnvironmentFailed(problem or f"the study has ended: {plain_line(message['result']['reason'])}")
        return message

    def _await(self, kind: str = "") -> Message:
        try:
            while True:
                while not self._line.is_readable():
                    select.select([self._connection], [], [], _REFRESH)
                    self._show_progress()
                message = self._line.receive()
                if kind in ("", message["kind"]):
                    return message
        except Disconnected:
            raise EnvironmentFailed(self._end() or "the run ended without a result") from None
        except BaseException:
            # An answer that nobody waits for any longer would be taken for that of the next step.
            self.stop()
            raise

    def _end(self) -> str | None:
        """Wait for the end of the play; returns in one line why it failed, None if it did not."""
        while True:
            with suppress(subprocess.TimeoutExpired):
                code = self._process.wait(_REFRESH)
                break
            self._show_progress()
        self._show_progress()
        self._ended = True
        return problem_in(self._text(), code) if code else None

    def _interrupt(self) -> None:
        """End a play that has not reached its trainer, as Ctrl-C does."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
            self._process.wait()

    def _text(self) -> str:
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode(errors="replace")

    def _show_progress(self) -> None:
        """Print what is new in the play's output and meant for users."""
        if not self._verbose:
            return
        lines = self._text().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]
        for line in whole[self._shown :]:
            if line.startswith("[autotune]"):
                sys.stderr.write(line)
        self._shown = len(whole)


def problem_in(output: str, code: int) -> str:
    """Why a play failed, in one line, from what ansible-playbook printed and its exit code."""
    try:
        messages = [str(json.loads(found)["msg"]) for found in _FATAL.findall(output)]
    except (ValueError, KeyError):
        messages = []
    texts = messages or _ERROR.findall(output)
    lines = [" ".join(text.removeprefix("Task failed: ").split()) for text in texts]
    return plain_line(few([*dict.fromkeys(lines)], "; ")) if lines else f"ansible-playbook ended with exit code {code}"
