# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Running the benchmark in a private folder and its own process group, with a time limit, streaming its output."""

from __future__ import annotations

import math
import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .._plain import plain_line
from .._study.output_format import OutputFormat
from .failure import failure, remedy_for_service
from .leftovers import CLEANUP, DAEMONS, KILL_DAEMONS, KILL_LEFTOVERS, MARK
from .output import PROCESS_GROUP, BenchmarkOutput, missing_metric
from .output_formats import UnreadableOutput
from .transport import CUT_SHORT, CommandTimeout, Completed, ConnectionLost, Process, Transport, follow, output_of

# Seconds that the host has to kill a benchmark after its time limit before the controller gives up.
_GRACE = 10.0
_ANSWER = re.compile(r"(runs|noexec) (/.*/autotune\.[A-Za-z0-9]{10})")
# On standard input, because it may contain secrets and every user can read command lines.
_TAKE_ENVIRONMENT = "environment=$(cat)"


def _with_environment(command: list[str]) -> str:
    return f'(eval "$environment"; exec {shlex.join(command)})'


class BenchmarkFailed(Exception):
    """The benchmark produced no result; the message is a predicate, such as "printed no line"."""


class BenchmarkTimeout(BenchmarkFailed):
    """It did not end within its time limit."""


class MetricMissing(BenchmarkFailed):
    """It ended well, but did not print its metric. metrics: what it printed instead."""

    def __init__(self, message: str, metrics: Mapping[str, float]) -> None:
        super().__init__(message)
        self.metrics = metrics


@dataclass(frozen=True)
class BenchmarkResult:
    """metric: the result. streamed: the values printed before it. seconds: duration of the benchmark itself."""

    metric: float
    streamed: list[float]
    metrics: dict[str, float]
    seconds: float


class Benchmark:
    """Runs a study's commands on one host, in a private folder with the study's files.

    environment: of every command. timeout: seconds after which the host kills the process group. base: the parent of
    the private folder on the host, may begin with `~`; empty for the default, mostly /tmp. starts_service: whether the
    study starts the service that the benchmark measures, and not the operator.
    """

    def __init__(
        self,
        transport: Transport,
        environment: Mapping[str, str],
        timeout: float,
        base: str = "",
        *,
        starts_service: bool = False,
    ) -> None:
        self._transport, self._timeout, self._base = transport, timeout, base
        self._starts_service = starts_service
        self._environment = "".join(
            f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()
        ).encode()
        self._folder, self._noexec = "", False
        self._cleanup: Process | None = None

    def copy(self, files: Sequence[tuple[Path, str]]) -> None:
        """Create the private folder and copy the files to it. Raises ConnectionLost, CommandTimeout or OSError."""
        lines: list[str] = []
        self._cleanup = self._transport.start(["sh", "-c", CLEANUP, "sh", self._base], stdin=None)
        started = follow(self._cleanup, lines.append, limit=30.0, until=lambda: bool(lines))
        answer = _ANSWER.fullmatch(lines[0]) if lines else None
        if answer is None:
            reason = plain_line((started.errors or "mktemp failed").splitlines()[-1], 200)
            parent = self._base or "the folder for temporary files"
            raise OSError(f"cannot create a private folder in {parent} on the host: {reason}")
        self._noexec, self._folder = answer[1] == "noexec", answer[2]
        for source, name in files:
            script = 'mkdir -p -- "$(dirname -- "$1")" && cat > "$1" && chmod "$2" -- "$1"'
            mode = "700" if source.stat().st_mode & 0o100 else "600"
            target = f"{self._folder}/{name}"
            output_of(self._transport, ["sh", "-c", script, "sh", target, mode], stdin=source.read_bytes(), limit=120.0)

    @property
    def noexec(self) -> str | None:
        """The parent of the private folder, if programs in it cannot be run."""
        return self._folder.rpartition("/")[0] if self._noexec else None

    @property
    def process_group(self) -> str:
        """The file on the host with the running command's process group and the start time of its leader."""
        return f"{self._folder}/{PROCESS_GROUP}"

    def remove(self) -> None:
        """Remove the private folder. Raises ConnectionLost or CommandTimeout."""
        if self._cleanup:
            self._cleanup.end_input()
            follow(self._cleanup, lambda dummy: None, limit=30.0)
            self._cleanup.close()
            self._cleanup = None

    def run(
        self, command: str, metric: str, stop: Callable[[], bool] = lambda: False, output_format: OutputFormat = "lines"
    ) -> BenchmarkResult:
        """Run the benchmark once, or kill it once `stop()` is true. Raises BenchmarkFailed or ConnectionLost."""
        output = BenchmarkOutput(metric, output_format)
        completed = self._follow(command, output, stop)
        try:
            output.conclude()
        except UnreadableOutput as error:
            raise BenchmarkFailed(str(error)) from None
        if output.malformed or not output.streamed:
            raise MetricMissing(missing_metric(output, completed.errors), output.metrics)
        *streamed, result = output.streamed
        if not math.isfinite(result):
            raise BenchmarkFailed(f"printed `{metric}: {result}`, which is not a finite number")
        return BenchmarkResult(result, _finite(streamed), output.metrics, completed.seconds)

    def run_once(self, command: str, stop: Callable[[], bool] = lambda: False) -> None:
        """Run a command other than the benchmark, which may leave daemons running; kill it once `stop()` is true.

        Raises BenchmarkFailed or ConnectionLost.
        """
        self._follow(command, BenchmarkOutput(""), stop, mark="")

    def warm_up(self, command: str, seconds: float, stop: Callable[[], bool] = lambda: False) -> None:
        """Run the benchmark for so long, or to its end, and ignore what it prints. Raises as `run_once`."""
        until = time.monotonic() + seconds
        try:
            self._follow(command, BenchmarkOutput(""), lambda: stop() or time.monotonic() >= until)
        except BenchmarkFailed:
            if stop() or time.monotonic() < until:
                raise

    def start_daemons(self, command: str, stop: Callable[[], bool] = lambda: False) -> None:
        """Run a command whose processes stay until `kill_leftovers`, `remove` or the end of the connection.

        Raises as `run_once`.
        """
        self._follow(command, BenchmarkOutput(""), stop, stays=True)

    def kill_leftovers(self) -> None:
        """Kill what was started from this folder and still runs. Raises ConnectionLost or CommandTimeout."""
        script = f"folder={shlex.quote(self._folder)}\n{KILL_LEFTOVERS}{KILL_DAEMONS}:"
        output_of(self._transport, ["sh", "-c", script], limit=30.0)

    def check(self, command: str, limit: float) -> str | None:
        """Run a short command beside the benchmark; returns how it failed, or None.

        limit: seconds. Raises ConnectionLost.
        """
        output = BenchmarkOutput("")
        limited = ["timeout", "-k", "1", f"{limit:g}", *shlex.split(command)]
        script = f"{_TAKE_ENVIRONMENT}; cd {shlex.quote(self._folder)} && {_with_environment(limited)}"
        process = self._transport.start(["sh", "-c", script], stdin=self._environment)
        try:
            completed = follow(process, output.feed, limit=limit + _GRACE)
        except CommandTimeout:
            return f"did not end within {limit:g} s"
        finally:
            process.close()
        if completed.code in (124, 137) and completed.seconds >= limit:
            return f"did not end within {limit:g} s"
        return failure(completed, output, noexec=None) if completed.code else None

    def _follow(
        self,
        command: str,
        output: BenchmarkOutput,
        stop: Callable[[], bool] = lambda: False,
        mark: str = MARK,
        stays: bool = False,
    ) -> Completed:
        script = self._script(shlex.split(command), mark, stays)
        process = self._transport.start(["sh", "-c", script], stdin=self._environment)
        finished = False
        try:
            completed = follow(
                process,
                output.feed,
                limit=self._timeout + _GRACE,
                until=lambda: output.group is not None and stop(),
                patience=0.1,
                longest_line=output.longest_line,
            )
            finished = not stop() and completed.code != CUT_SHORT
        except CommandTimeout:
            raise BenchmarkTimeout(f"exceeded its time limit of {self._timeout:g} s") from None
        finally:
            if not finished and self._kill(output.group):
                _await_end(process)
            process.close()
        if stop():
            raise BenchmarkFailed("was killed")
        if completed.code in (124, 137) and completed.seconds >= self._timeout:
            raise BenchmarkTimeout(f"exceeded its time limit of {self._timeout:g} s")
        if completed.code != 0:
            message = failure(completed, output, self.noexec)
            if mark and not stays:  # the other commands may well run while the service does not
                message += remedy_for_service(completed, output, starts_service=self._starts_service)
            raise BenchmarkFailed(message)
        return completed

    def _script(self, arguments: list[str], mark: str = MARK, stays: bool = False) -> str:
        """Runs the command in its own session, and kills its process group at its end or time limit.

        The host enforces the limit, so that it holds if the connection breaks. Processes with `mark` are killed, too.
        stays: nothing is killed if the command succeeds.
        """
        kill = f"kill -s KILL -- -$group 2>/dev/null\n{KILL_LEFTOVERS if mark else ''}"
        if stays:
            kill = f"if [ $code -ne 0 ]; then\n{kill}:\nfi\n"
        limited = ["setsid", "timeout", "-k", "2", f"{self._timeout:g}", *arguments]
        command = _with_environment(["env", f"{mark}={self._folder}", *limited] if mark else limited)
        return f"""{_TAKE_ENVIRONMENT}
folder={shlex.quote(self._folder)}
cd "$folder" || exit
{f": > {DAEMONS}" if stays else ":"}
{command} &
group=$!
echo {PROCESS_GROUP} $group
echo "$group $(cut -d" " -f22 /proc/$group/stat 2>/dev/null)" > {PROCESS_GROUP}
wait $group
code=$?
{kill}rm -f {PROCESS_GROUP}
exit $code
"""

    def _kill(self, group: int | None) -> bool:
        """Whether the host could be reached; otherwise it enforces the time limit."""
        if group is None:
            return False
        try:
            output_of(self._transport, ["sh", "-c", f"kill -s KILL -- -{group}"], limit=5.0)
        except (ConnectionLost, CommandTimeout):
            return False
        except OSError:
            pass  # it has ended
        return True


def _await_end(process: Process) -> None:
    """Of the script whose benchmark was killed: what it still removes and kills may be the next run's otherwise."""
    with suppress(ConnectionLost, CommandTimeout):
        follow(process, lambda dummy: None, limit=5.0)


def _finite(values: Sequence[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]
