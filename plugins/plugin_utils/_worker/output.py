# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a benchmark prints: its metrics, a line each."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from .._plain import plain_line

# The host's own line, before the benchmark's first, on the process group that it runs in; and the file that holds it.
PROCESS_GROUP = "autotune-process-group"
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf)", re.ASCII | re.IGNORECASE)
_METRIC = re.compile(r"^\s*([A-Za-z][\w.%/-]*)\s*:\s*(\S.*?)\s*$")
# Colours and other orders to a terminal, and what a carriage return has overwritten.
_INVISIBLE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|^.*\r(?=.)")
_MOST_STREAMED = 10_000


@dataclass
class Output:
    """What the benchmark has printed so far: every number of the wanted metric, the last one of all others.

    unreadable: what stood in place of a number in the last line of the wanted metric.
    """

    metric: str
    streamed: list[float] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    group: int | None = None
    last_line: str = ""
    unreadable: str = ""

    def take(self, line: str) -> None:
        if self.group is None and line.startswith(PROCESS_GROUP):
            self.group = int(line.split()[1])
            return
        line = _INVISIBLE.sub("", line)
        self.last_line = line.strip() or self.last_line
        match = _METRIC.match(line)
        if not match:
            return
        name, text = match.groups()
        if _NUMBER.fullmatch(text):
            if math.isfinite(float(text)) and (name in self.metrics or len(self.metrics) < 1000):
                self.metrics[name] = float(text)
            if name == self.metric:
                del self.streamed[_MOST_STREAMED - 1 :]  # the last one is the result, however many there are
                self.streamed.append(float(text))
                self.unreadable = ""
        elif name == self.metric:
            self.unreadable = text


def lacking(output: Output, errors: str) -> str:
    """Why there is no result, in one clause."""
    if output.unreadable:
        return f"printed `{output.metric}: {plain_line(output.unreadable, 40)}`, which is no number"
    misplaced = Output(output.metric)
    for line in errors.splitlines():
        misplaced.take(line)
    if misplaced.streamed:
        return f"printed `{output.metric}: {misplaced.streamed[-1]:g}` on standard error; print it on standard output"
    if not output.last_line:
        return f"printed no line `{output.metric}: NUMBER`: it printed nothing on standard output"
    return f"printed no line `{output.metric}: NUMBER`; its last line was {output.last_line[:80]!r}"
