# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The metrics in the output of known tools, and in other output by path or pattern.

Names end with the unit. Times become milliseconds and amounts of data megabytes (10^6 bytes), because wrk and others
print whichever unit is short.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .._plain import few, plain_line
from .._study.output_format import Extraction, OutputFormat, path_parts

# A number in a text of its own, as float() reads it.
NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf)", re.ASCII | re.IGNORECASE)
_NUMBER = r"(?P<number>\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6}
_MEGABYTES = {
    "B": 1e-6, "KB": 1024e-6, "MB": 1024**2 / 1e6, "GB": 1024**3 / 1e6, "TB": 1024**4 / 1e6, "MiB": 1024**2 / 1e6,
}  # fmt: skip
_TIME = rf"{_NUMBER}(?P<time>us|ms|s|m|h)\b"
_DATA = rf"{_NUMBER}\s*(?P<data>[KMGT]?B|MiB)"
# Patterns of lines, and the metric that each has; a group `label` becomes part of its name.
_LINES = {
    "wrk": [
        (rf"Requests/sec:\s+{_NUMBER}", "requests_per_second"),
        (rf"Transfer/sec:\s+{_DATA}", "transfer_mb_per_second"),
        (rf"\s+Latency\s+{_TIME}", "latency_mean_ms"),
        (rf"\s+(?P<label>\d+(?:\.\d+)?)%\s+{_TIME}", "latency_p{label}_ms"),
        (rf"\s+Non-2xx or 3xx responses: {_NUMBER}", "failed_responses"),
        (rf"\s+Socket errors: connect {_NUMBER}", "connect_errors"),
        (rf"\s+Socket errors: .*read {_NUMBER}", "read_errors"),
        (rf"\s+Socket errors: .*write {_NUMBER}", "write_errors"),
        (rf"\s+Socket errors: .*timeout {_NUMBER}", "timeouts"),
    ],
    "pgbench": [
        # Before PostgreSQL 14, `including connections establishing` stood beside the figure without them; since then,
        # `including reconnection times` stands alone, with -C.
        (rf"tps = {_NUMBER} \((?:without|excluding|including reconnection)", "tps"),
        (rf"latency average = {_NUMBER} ms", "latency_mean_ms"),
        (rf"latency stddev = {_NUMBER} ms", "latency_stddev_ms"),
        (rf"number of failed transactions: {_NUMBER}", "failed_transactions"),
    ],
    "sysbench": [
        (rf"\s+events per second:\s+{_NUMBER}", "events_per_second"),
        (rf"\s+transactions:\s+\d+\s+\({_NUMBER} per sec", "transactions_per_second"),
        (rf"\s+queries:\s+\d+\s+\({_NUMBER} per sec", "queries_per_second"),
        (rf"Total operations: \d+ \({_NUMBER} per second", "operations_per_second"),
        (rf".* transferred \({_DATA}/sec", "transfer_mb_per_second"),
        (rf"\s+(?P<label>read|write|fsync)s/s:\s+{_NUMBER}", "{label}s_per_second"),
        (rf"\s+avg:\s+{_NUMBER}", "latency_mean_ms"),
        (rf"\s+(?P<label>\d+)th percentile:\s+{_NUMBER}", "latency_p{label}_ms"),
    ],
}


# Lines that a tool leaves out where there is nothing to tell; the first metric shows that it came to its end.
_ZERO_UNLESS_PRINTED = {
    "wrk": ("requests_per_second", ("failed_responses", "connect_errors", "read_errors", "write_errors", "timeouts"))
}


class UnreadableOutput(Exception):
    """The output is not what the study says; the message is a predicate, such as "printed no JSON"."""


def metrics_of(text: str, output: OutputFormat) -> dict[str, float]:
    """All finite metrics in the whole output. Raises UnreadableOutput."""
    try:
        if isinstance(output, Extraction):
            found = dict(_by_path(text, output.paths) if output.paths else _by_pattern(text, output.patterns))
        elif output in _LINES:
            found = dict(_of_lines(text, output))
            ending, silent = _ZERO_UNLESS_PRINTED.get(output, ("", ()))
            found = {**dict.fromkeys(silent if ending in found else (), 0.0), **found}
        else:
            found = dict(_READERS[output](text))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        raise UnreadableOutput(f"printed something that is not the output of {output}") from None
    return {name: value for name, value in found.items() if math.isfinite(value)}


def why_missing(text: str, output: OutputFormat, metric: str, found: Mapping[str, float]) -> str:
    """Why the metric is not among those found, as a predicate; ends with the end of the output."""
    end = plain_line(text.strip()[-160:], 160) if text.strip() else ""
    printed = f"its output ends with {end!r}" if end else "it printed nothing on standard output"
    if not isinstance(output, Extraction):
        has = f"; there is {few(sorted(found), ' and ')}" if found else f"; {printed}"
        return f"printed no {metric}, read as the output of {output}{has}"
    rule = output.rules[metric]
    if output.patterns:
        if matched := deque(_matched(text, rule), maxlen=1):
            return (
                f"printed `{plain_line(matched[0], 40)}`, which is not a finite number, where {rule!r}, the pattern of "
                f"{metric}, matches; have the group match a number such as 1234.5, and nothing else"
            )
        return f"printed nothing that matches {rule!r}, the pattern of {metric}; {printed}"
    return f"has no number at {rule}, the path of {metric}: {_where_it_ends(text, rule)}"


def printed_error(text: str, output: OutputFormat) -> str | None:
    """The error that a tool printed in its output instead of on standard error; None if there is none."""
    try:
        error = json.loads(text).get("error") if output == "iperf3" else None
    except (AttributeError, ValueError, RecursionError):
        return None
    return plain_line(str(error), 200) if error else None


def _of_lines(text: str, tool: str) -> Iterator[tuple[str, float]]:
    for line in text.splitlines():
        for pattern, name in _LINES[tool]:
            if match := re.match(pattern, line):
                groups = match.groupdict()
                unit = _MILLISECONDS.get(groups.get("time") or "", 1.0) * _MEGABYTES.get(groups.get("data") or "", 1.0)
                yield name.format(label=(groups.get("label") or "").removesuffix(".000")), float(match["number"]) * unit


def _iperf3(text: str) -> Iterator[tuple[str, float]]:
    document = _json(text, "; call iperf3 with --json")
    if error := printed_error(text, "iperf3"):
        raise UnreadableOutput(f"printed the error {error!r}")
    end = document.get("end", {})
    for part, key, name, scale in (
        ("sum_received", "bits_per_second", "throughput_mbit", 1e-6),
        ("sum_sent", "retransmits", "retransmits", 1.0),
        ("sum", "jitter_ms", "jitter_ms", 1.0),
        ("sum", "lost_percent", "lost_percent", 1.0),
    ):
        if _is_number(value := _at(end, part, key)):
            yield name, value * scale


_FIO: tuple[tuple[Any, ...], ...] = (
    ("iops", sum, 1.0, "iops"),
    ("mb_per_second", sum, 1e-6, "bw_bytes"),
    ("latency_mean_ms", max, 1e-6, "clat_ns", "mean"),
    ("latency_p99_ms", max, 1e-6, "clat_ns", "percentile", "99.000000"),
)


def _fio(text: str) -> Iterator[tuple[str, float]]:
    """The sums over all jobs, and the worst job's latency."""
    # Warnings may come before the document.
    document = _json(text[max(text.find("{"), 0) :], "; call fio with --output-format=json")
    jobs = document.get("jobs", [])
    for way in ("read", "write", "trim"):
        ran = [job[way] for job in jobs if job.get(way, {}).get("total_ios")]
        for name, combined, scale, *keys in _FIO:
            values = [_at(each, *keys) for each in ran]
            if ran and all(map(_is_number, values)):  # percentile_list may leave out the 99th
                yield f"{way}_{name}", combined(values) * scale


def _redis_benchmark(text: str) -> Iterator[tuple[str, float]]:
    """With --csv; a test's name is its first word, in lower case."""
    lines = text.splitlines()
    start = next((at for at, line in enumerate(lines) if line.startswith('"test","rps"')), None)
    if start is None:
        raise UnreadableOutput("printed no table; call redis-benchmark with --csv")
    for row in csv.DictReader(lines[start:]):
        test = str(row["test"]).split()[0].lower()
        for column, value in row.items():
            if not (isinstance(value, str) and NUMBER.fullmatch(value)):
                continue
            if column == "rps":
                yield f"{test}_requests_per_second", float(value)
            elif column.endswith("_latency_ms"):
                yield f"{test}_latency_{column.removesuffix('_latency_ms').replace('avg', 'mean')}_ms", float(value)


_READERS: Mapping[str, Callable[[str], Iterator[tuple[str, float]]]] = {
    "iperf3": _iperf3,
    "fio": _fio,
    "redis-benchmark": _redis_benchmark,
}


def _by_path(text: str, paths: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    document = _json(text)
    for name, path in paths.items():
        value: Any = document
        for part in path_parts(path):
            value = _inside(value, part)
        if _is_number(value):
            yield name, float(value)


def _by_pattern(text: str, patterns: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    for name, pattern in patterns.items():
        for matched in _matched(text, pattern):
            if NUMBER.fullmatch(matched):
                yield name, float(matched)


def _matched(text: str, pattern: str) -> Iterator[str]:
    """What the group of the pattern matched each time."""
    groups = (match[1] for match in re.finditer(pattern, text, re.MULTILINE))
    yield from (group.strip() for group in groups if group and group.strip())


def _json(text: str, hint: str = "") -> Any:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        last = text.strip().splitlines()[-1] if text.strip() else ""
        ended = f"; its last line was {plain_line(last, 80)!r}" if last else ""
        raise UnreadableOutput(f"did not print one JSON document{ended}{hint}") from None
    return document


def _inside(value: Any, part: str | int) -> Any:
    """The element of a mapping or a list; None if there is none."""
    if isinstance(value, dict):
        return value.get(str(part))
    if isinstance(value, list) and isinstance(part, int) and -len(value) <= part < len(value):
        return value[part]
    return None


def _at(value: Any, *keys: str) -> Any:
    """The element at the end of these keys; None if there is none."""
    for key in keys:
        value = _inside(value, key)
    return value


def _where_it_ends(text: str, path: str) -> str:
    """What there is where the path leads nowhere."""
    value, walked = json.loads(text), "the document"
    for part in path_parts(path):
        if _inside(value, part) is None:
            break
        value, walked = _inside(value, part), f"`{part}`"
    if isinstance(value, dict):
        return f"{walked} has {few(list(value), ' and ')}"
    if isinstance(value, list):
        return f"{walked} is a list of {len(value)}"
    return f"{walked} is {plain_line(json.dumps(value), 40)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
