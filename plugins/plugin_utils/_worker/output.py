# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Parsing a benchmark's output: `metric: number` lines, or what the study's key `output` says."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from .._plain import plain_line
from .._study.output_format import OutputFormat
from .output_formats import NUMBER, UnreadableOutput, metrics_of, printed_error, why_missing
from .transport import LONGEST_LINE, MOST_OUTPUT

# The first line of output, printed by our own script: the process group of the benchmark. Also the name of its file.
PROCESS_GROUP = "autotune-process-group"
_METRIC = re.compile(r"^\s*([A-Za-z][\w.%/-]*)\s*:\s*(\S.*?)\s*$")
# Colours and other escape sequences, and what a carriage return has overwritten.
_INVISIBLE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|^.*\r(?=.)")
_MOST_STREAMED = 10_000
_MOST_METRICS = 1000
# Ends of JSON documents and rulers of tables say nothing about a failure.
_WORD = re.compile(r"\w")


@dataclass
class BenchmarkOutput:
    """streamed: all values of the metric so far. metrics: the last value of every metric. malformed: the text in place
    of a number in the last line of the metric. text: all of it, if its format is another than lines. length: of the
    text, in bytes.
    """

    metric: str
    format: OutputFormat = "lines"
    streamed: list[float] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    group: int | None = None
    last_line: str = ""
    malformed: str = ""
    text: list[str] = field(default_factory=list)
    length: int = 0

    @property
    def longest_line(self) -> int:
        """How much of a line is needed, in bytes: all of it, and one more to tell that it is too much."""
        return LONGEST_LINE if self.format == "lines" else MOST_OUTPUT + 1

    def feed(self, line: str) -> None:
        if self.group is None and line.startswith(PROCESS_GROUP):
            self.group = int(line.split()[1])
            return
        if self.format != "lines":
            self.last_line = line.strip() if _WORD.search(line) else self.last_line
            self.length += len(line.encode()) + 1
            if self.length <= MOST_OUTPUT:
                self.text.append(line)
            return
        line = _INVISIBLE.sub("", line)
        self.last_line = line.strip() or self.last_line
        if not (match := _METRIC.match(line)):
            return
        name, text = match.groups()
        if NUMBER.fullmatch(text):
            has_room = name in (self.metric, *self.metrics) or len(self.metrics) < _MOST_METRICS
            if math.isfinite(float(text)) and has_room:
                self.metrics[name] = float(text)
            if name == self.metric:
                del self.streamed[_MOST_STREAMED - 1 :]  # the last value is the result, so replace that one
                self.streamed.append(float(text))
                self.malformed = ""
        elif name == self.metric:
            self.malformed = text

    def conclude(self) -> None:
        """Find the metrics in a format that is read as a whole. Raises UnreadableOutput."""
        if self.format == "lines":
            return
        if self.length > MOST_OUTPUT:
            raise UnreadableOutput(
                f"printed more than {MOST_OUTPUT >> 20} MiB; print less, or write a script around it"
            )
        found = metrics_of("\n".join(self.text), self.format)
        self.metrics = dict(list(found.items())[:_MOST_METRICS])
        if self.metric in found:
            self.metrics[self.metric] = found[self.metric]
            self.streamed = [found[self.metric]]


def said_of_failure(output: BenchmarkOutput, errors: str) -> str:
    """One line on why the command failed, from what it printed; empty if it printed nothing."""
    said = printed_error("\n".join(output.text), output.format) or errors or output.last_line
    return plain_line(said.splitlines()[-1], 200) if said else ""


def missing_metric(output: BenchmarkOutput, errors: str) -> str:
    """Why there is no result, as a predicate."""
    if output.format != "lines":
        return why_missing("\n".join(output.text), output.format, output.metric, output.metrics)
    if output.malformed:
        return f"printed `{output.metric}: {plain_line(output.malformed, 40)}`, which is not a number"
    misplaced = BenchmarkOutput(output.metric)
    for line in errors.splitlines():
        misplaced.feed(line)
    if misplaced.streamed:
        return f"printed `{output.metric}: {misplaced.streamed[-1]:g}` on standard error; print it on standard output"
    if not output.last_line:
        return f"printed nothing on standard output; expected a line `{output.metric}: NUMBER`"
    return f"printed no line `{output.metric}: NUMBER`; its last line was {output.last_line[:80]!r}"
