# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The table of evaluations: sorted, filtered and cut into pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .queries import StudyData, Trial
from .updates import Message, of_evaluation

PAGE_SIZE = 100
_KEYS: dict[str, Callable[[Trial], Any]] = {
    "id": lambda evaluation: evaluation.id,
    "phase": lambda evaluation: evaluation.phase,
    "host": lambda evaluation: evaluation.host,
    "metric": lambda evaluation: evaluation.metric,
    "change_percent": lambda evaluation: evaluation.gain_percent,
    "reward": lambda evaluation: evaluation.reward,
    "stability": lambda evaluation: evaluation.stability,
    "error": lambda evaluation: evaluation.error,
    "finished": lambda evaluation: evaluation.finished,
}
SORTS = tuple(_KEYS)
ORDERS = ("ascending", "descending")
LARGEST_PAGE = 1_000_000


class BadQuery(ValueError):
    """What was asked for makes no sense; the message says which argument and what it may be."""


def one_of(arguments: Mapping[str, str], name: str, choices: tuple[str, ...], default: str) -> str:
    value = arguments.get(name) or default
    if value not in choices:
        raise BadQuery(f"{name} is one of {', '.join(choices)}")
    return value


def whole(arguments: Mapping[str, str], name: str, default: int, *, most: int, least: int = 1) -> int:
    text = arguments.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 11 and least <= int(text) <= most):
        raise BadQuery(f"{name} is a number from {least} to {most}")
    return int(text)


def table(data: StudyData, arguments: Mapping[str, str]) -> Message:
    """The page that is asked for: rows as in messages, and what they were chosen by. Raises BadQuery."""
    sort = one_of(arguments, "sort", SORTS, "id")
    order = one_of(arguments, "order", ORDERS, "descending")
    failed = one_of(arguments, "failed", ("", "true", "false"), "")
    phase, host = arguments.get("phase") or "", arguments.get("host") or ""
    page = whole(arguments, "page", 1, most=LARGEST_PAGE)
    chosen = [
        evaluation
        for evaluation in data.evaluations
        if (not phase or evaluation.phase == phase)
        and (not host or evaluation.host == host)
        and (not failed or evaluation.failed == (failed == "true"))
    ]
    rows = _sorted(chosen, _KEYS[sort], descending=order == "descending")
    return {
        "evaluations": [of_evaluation(row) for row in rows[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]],
        "total": len(rows),
        "page": page,
        "pages": max(-(-len(rows) // PAGE_SIZE), 1),
        "sort": sort,
        "order": order,
        "phase": phase,
        "host": host,
        "failed": failed,
    }


def _sorted(rows: list[Trial], key: Callable[[Trial], Any], *, descending: bool) -> list[Trial]:
    """What has no value comes last, whichever way."""
    known = [row for row in rows if key(row) is not None]
    return sorted(known, key=key, reverse=descending) + [row for row in rows if key(row) is None]
