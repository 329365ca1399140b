# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Running the benchmark: in a private folder and a process group of its own, with a time limit, its output live."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .._plain import plain_line
from .output import PROCESS_GROUP, Output, lacking
from .transport import CUT_SHORT, Completed, Lost, Process, TimedOut, Transport, follow, output_of

# What leaves the process group, as a daemon does, is known by its environment: $folder is the benchmark's own.
_MARK = "AUTOTUNE_BENCHMARK"  # as module_utils/_process_group.py has it
_END_STRAYS = f"""for dummy in 1 2 3; do
    strays=$(grep -lsF "{_MARK}=$folder" /proc/[0-9]*/environ | cut -d/ -f3)
    [ -n "$strays" ] && kill -s KILL $strays 2>/dev/null || break
done
"""
_BEAT = 5  # seconds
# Lives on the host as long as the connection does. When its input ends, because the controller is done or dead or sshd
# is gone, it ends what is left of the benchmark and takes the folder away. It writes, since that alone tells a host of
# a controller that went while the link was cut: one that only listens is sure of it after two hours.
# Its argument is the folder to make that in, if it is not to be the host's own for temporary files.
_KEEPER = f"""base=$1
case $base in
    "~" | "~/"*) base=$HOME${{base#"~"}} ;;
    "\\$HOME" | "\\$HOME/"*) base=$HOME${{base#"\\$HOME"}} ;;
esac
case $base in
    "" | /*) ;;
    *) echo "not an absolute path" >&2; exit 1 ;;
esac
if [ -n "$base" ]; then
    (umask 077 && mkdir -p -- "$base") || exit 1
    base=$(cd -P -- "$base" && pwd) || exit 1 # root follows no link of this account's to what it is to end
fi
folder=$(mktemp -d "${{base:-${{TMPDIR:-/tmp}}}}/autotune.XXXXXXXXXX") || exit 1
printf '#!/bin/sh\\n' > "$folder/.runs" && chmod 700 "$folder/.runs"
"$folder/.runs" 2> /dev/null && runs=runs || runs=noexec
rm -f "$folder/.runs"
echo "$runs $folder"
(trap 'kill $! 2>/dev/null; wait; exit' TERM; while sleep {_BEAT} > /dev/null 2>&1 & wait $!; do echo; done) &
cat > /dev/null
kill $!
wait
cd "$folder" && [ -s {PROCESS_GROUP} ] && read -r group started < {PROCESS_GROUP} &&
    case $(cut -d' ' -f22 "/proc/$group/stat" 2>/dev/null) in
    '' | "$started") kill -s KILL -- "-$group" 2>/dev/null ;; # else the number is another process's by now
    esac
{_END_STRAYS}cd / && rm -rf -- "$folder"
"""
# What the host may take to end a benchmark by itself before the controller gives up on it.
_GRACE = 10.0
_ANSWER = re.compile(r"(runs|noexec) (/.*/autotune\.[A-Za-z0-9]{10})")
_CANNOT_EXECUTE = 126
_NOEXEC = (
    "; {folder} on the host is mounted noexec: set ansible_remote_tmp to a folder where programs may run, or let an "
    "interpreter run the script, as in `sh bench.sh`"
)
# Over standard input: it may hold secrets, and everybody on the host can read a command line.
_TAKE_ENVIRONMENT = "environment=$(cat)"


def _in_it(words: list[str]) -> str:
    return f'(eval "$environment"; exec {shlex.join(words)})'


class BenchmarkFailed(Exception):
    """The benchmark did not yield its metric; the message says why in one line."""


@dataclass(frozen=True)
class BenchmarkResult:
    """metric: the result. streamed: what was printed of it before. seconds: how long the benchmark itself ran."""

    metric: float
    streamed: list[float]
    metrics: dict[str, float]
    seconds: float


class Benchmark:
    """A study's commands on one host, with the files they need in a private folder there.

    environment: variables that every command gets. timeout: seconds after which the host itself ends the process group.
    base: the folder on the host to make that folder in, `~` for the account's home; the host's /tmp if it is empty.
    """

    def __init__(self, transport: Transport, environment: Mapping[str, str], timeout: float, base: str = "") -> None:
        self._transport, self._timeout, self._base = transport, timeout, base
        self._environment = "".join(
            f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()
        ).encode()
        self._folder, self._noexec = "", False
        self._keeper: Process | None = None

    def ship(self, files: Sequence[tuple[Path, str]]) -> None:
        """Make the private folder and put the files into it. Raises Lost, TimedOut or OSError."""
        found: list[str] = []
        self._keeper = self._transport.start(["sh", "-c", _KEEPER, "sh", self._base], stdin=None)
        keeping = follow(self._keeper, found.append, limit=30.0, until=lambda: bool(found))
        answer = _ANSWER.fullmatch(found[0]) if found else None
        if answer is None:
            said = plain_line((keeping.errors or "mktemp failed").splitlines()[-1], 200)
            raise OSError(
                f"no private folder could be made in the host's {self._base or 'folder for temporary files'}: {said}"
            )
        self._noexec, self._folder = answer[1] == "noexec", answer[2]
        for source, name in files:
            script = 'mkdir -p -- "$(dirname -- "$1")" && cat > "$1" && chmod "$2" -- "$1"'
            mode = "700" if source.stat().st_mode & 0o100 else "600"
            target = f"{self._folder}/{name}"
            output_of(self._transport, ["sh", "-c", script, "sh", target, mode], stdin=source.read_bytes(), limit=120.0)

    @property
    def process_group(self) -> str:
        """The file in which the host finds the process group of the command that runs, and when that began."""
        return f"{self._folder}/{PROCESS_GROUP}"

    def remove(self) -> None:
        """Take the private folder away again. Raises Lost or TimedOut."""
        if self._keeper:
            self._keeper.end_input()
            follow(self._keeper, lambda dummy: None, limit=30.0)
            self._keeper.close()
            self._keeper = None

    def run(self, command: str, metric: str, stop: Callable[[], bool] = lambda: False) -> BenchmarkResult:
        """Run the benchmark once; kill it as soon as `stop()` is true. Raises BenchmarkFailed or Lost."""
        output = Output(metric)
        completed = self._follow(command, output, stop)
        if output.unreadable or not output.streamed:
            raise BenchmarkFailed(lacking(output, completed.errors))
        *streamed, result = output.streamed
        if not math.isfinite(result):
            raise BenchmarkFailed(f"printed `{metric}: {result}`, which is no number to compare")
        return BenchmarkResult(result, _finite(streamed), output.metrics, completed.seconds)

    def run_once(self, command: str) -> None:
        """Run a setup or teardown command; a daemon that it starts may stay. Raises BenchmarkFailed or Lost."""
        self._follow(command, Output(""), mark="")

    def check(self, command: str, limit: float) -> str | None:
        """Run a short command beside the benchmark: None if it ended well within `limit` seconds, else how it ended.

        Raises Lost.
        """
        output = Output("")
        limited = ["timeout", "-k", "1", f"{limit:g}", *shlex.split(command)]
        script = f"{_TAKE_ENVIRONMENT}; cd {shlex.quote(self._folder)} && {_in_it(limited)}"
        process = self._transport.start(["sh", "-c", script], stdin=self._environment)
        try:
            completed = follow(process, output.take, limit=limit + _GRACE)
        except TimedOut:
            return f"did not end within {limit:g} s"
        finally:
            process.close()
        if completed.code in (124, 137) and completed.seconds >= limit:
            return f"did not end within {limit:g} s"
        return _ending(completed, output.last_line) if completed.code else None

    def _follow(
        self,
        command: str,
        output: Output,
        stop: Callable[[], bool] = lambda: False,
        mark: str = _MARK,
    ) -> Completed:
        script = self._script(shlex.split(command), mark)
        process = self._transport.start(["sh", "-c", script], stdin=self._environment)
        finished = False
        try:
            completed = follow(
                process,
                output.take,
                limit=self._timeout + _GRACE,
                until=lambda: output.group is not None and stop(),
                patience=0.1,
            )
            finished = not stop() and completed.code != CUT_SHORT
        except TimedOut:
            raise BenchmarkFailed(f"ran into its time limit of {self._timeout:g} s") from None
        finally:
            if not finished:
                self._kill(output.group)
            process.close()
        if stop():
            raise BenchmarkFailed("was ended")
        if completed.code in (124, 137) and completed.seconds >= self._timeout:
            raise BenchmarkFailed(f"ran into its time limit of {self._timeout:g} s")
        if completed.code != 0:
            refused = completed.code == _CANNOT_EXECUTE and self._noexec
            hint = _NOEXEC.format(folder=self._folder.rpartition("/")[0]) if refused else ""
            raise BenchmarkFailed(_ending(completed, output.last_line) + hint)
        return completed

    def _script(self, words: list[str], mark: str = _MARK) -> str:
        """The command in a session of its own, whose process group ends with it or at its time limit.

        The limit is the host's own, so that it holds when the connection breaks. What has `mark` ends as well.
        """
        limited = ["setsid", "timeout", "-k", "2", f"{self._timeout:g}", *words]
        command = _in_it(["env", f"{mark}={self._folder}", *limited] if mark else limited)
        return f"""{_TAKE_ENVIRONMENT}
folder={shlex.quote(self._folder)}
cd "$folder" || exit
{command} &
group=$!
echo {PROCESS_GROUP} $group
echo "$group $(cut -d" " -f22 /proc/$group/stat 2>/dev/null)" > {PROCESS_GROUP}
wait $group
code=$?
kill -s KILL -- -$group 2>/dev/null
{_END_STRAYS if mark else ""}rm -f {PROCESS_GROUP}
exit $code
"""

    def _kill(self, group: int | None) -> None:
        if group is None:
            return
        try:
            output_of(self._transport, ["sh", "-c", f"kill -s KILL -- -{group}"], limit=5.0)
        except (Lost, TimedOut, OSError):
            pass  # gone already, or out of reach: then the host's own time limit ends it


def _finite(values: Sequence[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def _ending(completed: Completed, last_line: str) -> str:
    last = (completed.errors or last_line).splitlines()
    return f"ended with exit code {completed.code}: {plain_line(last[-1], 200) if last else 'no message'}"
