# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""All trials of a study with all fields, as CSV or JSON, sent while they are read."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .updates import as_json

_PLAIN = (
    *(
        "id",
        "phase",
        "pair",
        "benchmark",
        "original",
        "host",
        "metric",
        "performance",
        "stability",
        "reward",
        "state",
        "error",
    ),
    *("proposed_by", "noise", "level", "uncertainty", "pause", "finished"),
)
_BY_PARAMETER = ("requested", "applied")
_AS_JSON = ("streamed", "metrics", "observations", "health", "stability_parts", "seconds")
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?", re.ASCII)


def file_name(study: Mapping[str, Any], kind: str) -> str:
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", str(study["workload_name"]))[:64]
    return f"{safe}-{study['id']}-trials.{kind}"


def as_csv(parameters: Sequence[str], rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """One column per parameter for the requested and one for the applied value; nested fields are JSON."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    by_parameter = [f"{kind} {parameter}" for kind in _BY_PARAMETER for parameter in parameters]
    writer.writerow([_cell(name) for name in (*_PLAIN, *by_parameter, *_AS_JSON)])
    for row in rows:
        values = [row[name] for name in _PLAIN]
        values += [
            row[kind].get(parameter) if isinstance(row[kind], dict) else None
            for kind in _BY_PARAMETER
            for parameter in parameters
        ]
        writer.writerow([_cell(value) for value in values] + [_cell(as_json(row[name])) for name in _AS_JSON])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def as_json_list(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    hidden = ("study_id", "host_id")
    separator = "[\n"
    for row in rows:
        yield separator + as_json({name: value for name, value in row.items() if name not in hidden})
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


def _cell(value: Any) -> str:
    """An apostrophe keeps spreadsheets from running text that looks like a formula."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return repr(value)
    text = value.isoformat(timespec="milliseconds") if hasattr(value, "isoformat") else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) and not _NUMBER.fullmatch(text) else text
