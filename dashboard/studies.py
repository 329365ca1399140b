# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What templates and API say of studies."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

from flask import current_app

from . import queries
from .feed import Feed, Feeds, UnknownStudy
from .table import LARGEST_PAGE, BadQuery, one_of, whole
from .updates import Message, of_evaluation, status_of

_VERDICTS = ("", "running", "interrupted", "improved", "no_improvement", "failed", "stopped")
_SIZE = 50
_MOST_COMPARED = 6
_FAILURES = 50


class UnknownEvaluation(LookupError):
    """The study has no such evaluation."""


def feed_of(study_id: int) -> Feed:
    """The study as it is now. Raises UnknownStudy."""
    feeds: Feeds = current_app.extensions["feeds"]
    return feeds.of(study_id)


def study_of(feed: Feed) -> Message:
    """Everything about a study but its evaluations and events.

    hosts: with what was found on them. best: the best evaluation of training so far, which proves nothing. failures:
    the last ones that failed.
    """
    store = feed.store
    with store.reading() as connection:
        rows = queries.host_facts(connection, store, feed.study_id)
    status = status_of(feed)
    with feed.changed:
        data = feed.data()
        best = {**of_evaluation(feed.best), "values": dict(feed.best.requested)} if feed.best else None
        failures = [of_evaluation(evaluation) for evaluation in data.evaluations if evaluation.failed][-_FAILURES:]
    return {
        **feed.study,
        "status": status,
        "running": not feed.ended and not feed.interrupted,
        "interrupted": feed.interrupted,
        "evaluations": status["evaluations"],
        "failed": status["failed"],
        "hosts": [dict(row._mapping) for row in rows],
        "baseline_values": {row.name: row.baseline_values for row in rows},
        "parameters": data.parameters,
        "best": best,
        "failures": failures,
    }


def listed(arguments: Mapping[str, str]) -> Message:
    """A page of all studies, chosen by ?q= (name or id), ?verdict= and ?page=. Raises BadQuery."""
    store = current_app.extensions["feeds"].store
    verdict = one_of(arguments, "verdict", _VERDICTS, "")
    page = whole(arguments, "page", 1, most=LARGEST_PAGE)
    search = (arguments.get("q") or "")[:100]
    with store.reading() as connection:
        studies, total = queries.listed_studies(
            connection, store, search=search.replace("\0", ""), verdict=verdict, page=page, size=_SIZE
        )
    pages = max(-(-total // _SIZE), 1)
    return {"studies": studies, "total": total, "page": page, "pages": pages, "q": search, "verdict": verdict}


def evaluation_of(feed: Feed, number: int) -> Message:
    """Everything known of one evaluation. Raises UnknownEvaluation."""
    with feed.store.reading() as connection:
        found = queries.evaluation(connection, feed.store, feed.study_id, number)
    if found is None:
        raise UnknownEvaluation(f"study {feed.study_id} has no evaluation {number}")
    own = next((e for e in reversed(feed.evaluations) if e.id == number), None)
    change = own.gain_percent if own else None
    numbers = sorted({e.id for e in feed.evaluations})
    at = bisect_left(numbers, number)
    return {
        **found,
        "label": own.label if own else None,
        "change_percent": change,
        "previous": numbers[at - 1] if at else None,
        "next": numbers[at + 1] if at + 1 < len(numbers) else None,
    }


def compared(ids: list[str]) -> list[Message]:
    """The studies named, each as study_of() has it. Raises BadQuery, UnknownStudy."""
    if len(ids) > _MOST_COMPARED:
        raise BadQuery(f"at most {_MOST_COMPARED} studies can be compared")
    if not all(text.isascii() and text.isdigit() and len(text) < 10 for text in ids):
        raise BadQuery("study is a study's number, several times: ?study=1&study=2")
    return [study_of(feed_of(int(text))) for text in dict.fromkeys(ids)]


__all__ = [
    "BadQuery",
    "UnknownEvaluation",
    "UnknownStudy",
    "compared",
    "evaluation_of",
    "feed_of",
    "listed",
    "study_of",
]
