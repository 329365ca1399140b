# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The table of trials: sorted, filtered and in pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .queries import StudyData, Trial
from .updates import Message, of_trial

PAGE_SIZE = 100
MAX_PAGE = 1_000_000
SORTS = ("id", "phase", "host", "metric", "change_percent", "reward", "stability", "error", "finished")
ORDERS = ("ascending", "descending")


class BadQuery(ValueError):
    """An invalid query parameter; the message names it and its allowed values."""


def choice(arguments: Mapping[str, str], name: str, choices: tuple[str, ...], default: str) -> str:
    value = arguments.get(name) or default
    if value not in choices:
        raise BadQuery(f"{name} must be one of {', '.join(filter(None, choices))}")
    return value


def integer(arguments: Mapping[str, str], name: str, default: int, *, minimum: int = 1, maximum: int = MAX_PAGE) -> int:
    text = arguments.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 11 and minimum <= int(text) <= maximum):
        raise BadQuery(f"{name} must be an integer from {minimum} to {maximum}")
    return int(text)


def table(data: StudyData, arguments: Mapping[str, str]) -> Message:
    """The requested page of trials, and the query it answers. Raises BadQuery."""
    sort = choice(arguments, "sort", SORTS, "id")
    order = choice(arguments, "order", ORDERS, "descending")
    failed = choice(arguments, "failed", ("", "true", "false"), "")
    phase, host = arguments.get("phase") or "", arguments.get("host") or ""
    page = integer(arguments, "page", 1)
    matches = [
        trial
        for trial in data.trials
        if (not phase or trial.phase == phase)
        and (not host or trial.host == host)
        and (not failed or trial.failed == (failed == "true"))
    ]
    rows = _sorted(matches, sort, descending=order == "descending")
    return {
        "trials": [of_trial(row) for row in rows[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]],
        "total": len(rows),
        "page": page,
        "pages": max(-(-len(rows) // PAGE_SIZE), 1),
        "sort": sort,
        "order": order,
        "phase": phase,
        "host": host,
        "failed": failed,
    }


def _sorted(trials: list[Trial], field: str, *, descending: bool) -> list[Trial]:
    """Trials without a value come last in either order."""

    def key(trial: Trial) -> Any:
        return getattr(trial, field)

    known = [trial for trial in trials if key(trial) is not None]
    return sorted(known, key=key, reverse=descending) + [trial for trial in trials if key(trial) is None]
