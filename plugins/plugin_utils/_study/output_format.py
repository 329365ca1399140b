# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The key `output`: how a benchmark's metrics are found in what it prints."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationInfo, model_validator

from .._plain import brief, few
from .parameters import Strict
from .sections import MetricName

Tool = Literal["lines", "fio", "iperf3", "pgbench", "redis-benchmark", "sysbench", "wrk"]
_PART = re.compile(r'"([^"]*)"|([^."\[\]]+)|\[(-?\d+)\]')


def path_parts(path: str) -> list[str | int]:
    """The keys and indices of a path such as `jobs[0].read."99.0"`. Raises ValueError."""
    parts: list[str | int] = []
    at = 0
    while at < len(path):
        at += path[at] == "." and bool(parts)
        if not (match := _PART.match(path, at)):
            raise ValueError(f'{brief(path)} is not a path: write keys as `end.sum[0]."99.0"`')
        parts.append(int(match[3]) if match[3] else match[1] if match[2] is None else match[2])
        at = match.end()
    if not parts:
        raise ValueError("a path is empty")
    return parts


def _checked_path(path: str) -> str:
    path_parts(path)
    return path


def _checked_pattern(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{brief(pattern)} is not a regular expression: {error}") from None
    if groups != 1:
        raise ValueError(f"{brief(pattern)} must have one group, in parentheses, around the number; it has {groups}")
    return pattern


Path = Annotated[str, Field(max_length=500), AfterValidator(_checked_path)]
Pattern = Annotated[str, Field(max_length=500), AfterValidator(_checked_pattern)]


class Extraction(Strict):
    """Metrics by name, either by their paths in a JSON document or by regular expressions, whose last match counts."""

    paths: dict[MetricName, Path] = Field(default={}, max_length=100)
    patterns: dict[MetricName, Pattern] = Field(default={}, max_length=100)

    @model_validator(mode="after")
    def _check_one_is_given(self) -> Extraction:
        if bool(self.paths) == bool(self.patterns):
            raise ValueError("give either paths, of a JSON document, or patterns")
        return self

    @property
    def rules(self) -> Mapping[str, str]:
        return self.paths or self.patterns


OutputFormat = Tool | Extraction


def why_unknown(output: OutputFormat, names: Sequence[str]) -> str | None:
    """Which of these metrics have neither path nor pattern, as a predicate; None if all can be found."""
    if not isinstance(output, Extraction):
        return None
    missing = dict.fromkeys(brief(name) for name in names if name not in output.rules)
    known = few(list(output.rules), " and ")
    return f"does not say where {few(list(missing), ' and ')} is, only {known}" if missing else None


def _checked_metrics(output: OutputFormat, info: ValidationInfo) -> OutputFormat:
    """The main metric and the objectives, which stand before this key in a study and in a guard benchmark."""
    names = [info.data.get("reward_metric") or info.data.get("metric")]
    names += [objective.metric for objective in info.data.get("objectives", ())]
    if why := why_unknown(output, [name for name in names if name]):
        raise ValueError(why)
    return output


# Tells a tool's name from paths and patterns, so that a mistake is reported for one of them. Messages leave them out.
TAGS = ("name of a tool", "paths or patterns")


def _tag(value: Any) -> str:
    return TAGS[isinstance(value, dict | Extraction)]


CheckedOutput = Annotated[
    Annotated[Tool, Tag(TAGS[0])] | Annotated[Extraction, Tag(TAGS[1])],
    Discriminator(_tag),
    AfterValidator(_checked_metrics),
]
