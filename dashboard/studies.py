# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The content of pages and API about studies and trials."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

from flask import current_app

from . import queries
from .feed import Feed
from .feeds import Feeds
from .trial_table import BadQuery, choice, integer
from .updates import Message, of_trial, status_of

_VERDICTS = ("", "running", "interrupted", "improved", "no_improvement", "failed", "stopped")
_PAGE_SIZE = 50
_MAX_COMPARED = 6
_MAX_FAILURES = 50


class UnknownTrial(LookupError):
    """The study has no such trial."""


def feed_of(study_id: int) -> Feed:
    """The study as it is now. Raises UnknownStudy."""
    feeds: Feeds = current_app.extensions["feeds"]
    return feeds.of(study_id)


def study_of(feed: Feed) -> Message:
    """Everything about a study except its trials and events.

    hosts: with their facts. best: the best training trial so far, which proves nothing. failures: the latest ones.
    """
    with feed.store.reading() as connection:
        rows = queries.host_facts(connection, feed.study_id)
    with feed.changed:
        status, best = status_of(feed), feed.best
        failures = [of_trial(trial) for trial in feed.trials if trial.failed][-_MAX_FAILURES:]
    return {
        **feed.study,
        "status": status,
        "running": not feed.ended and not feed.interrupted,
        "interrupted": feed.interrupted,
        "trials": status["trials"],
        "failed": status["failed"],
        "hosts": [dict(row._mapping) for row in rows],
        "parameters": queries.parameters_of(feed.study),
        "best": {**of_trial(best), "requested": dict(best.requested)} if best else None,
        "failures": failures,
    }


def listed(arguments: Mapping[str, str]) -> Message:
    """A page of studies, filtered by ?q= (name or number), ?verdict= and ?page=. Raises BadQuery."""
    store = current_app.extensions["feeds"].store
    verdict = choice(arguments, "verdict", _VERDICTS, "")
    page = integer(arguments, "page", 1)
    search = (arguments.get("q") or "")[:100]
    with store.reading() as connection:
        studies, total = queries.listed_studies(
            connection, search=search.replace("\0", ""), verdict=verdict, page=page, size=_PAGE_SIZE
        )
    pages = max(-(-total // _PAGE_SIZE), 1)
    return {"studies": studies, "total": total, "page": page, "pages": pages, "q": search, "verdict": verdict}


def trial_of(feed: Feed, trial_id: int) -> Message:
    """All fields of a trial, and the IDs of its neighbours. Raises UnknownTrial."""
    with feed.store.reading() as connection:
        found = queries.full_trial(connection, feed.study_id, trial_id)
    if found is None:
        raise UnknownTrial(f"study {feed.study_id} has no trial {trial_id}")
    at = bisect_left(feed.trials, trial_id, key=lambda trial: trial.id)
    around = {trial.id: trial for trial in feed.trials[max(at - 1, 0) : at + 2]}
    known = around.get(trial_id)
    return {
        **found,
        "label": known.label if known else None,
        "change_percent": known.change_percent if known else None,
        "previous": max((other for other in around if other < trial_id), default=None),
        "next": min((other for other in around if other > trial_id), default=None),
    }


def compared(ids: list[str]) -> list[Feed]:
    """The studies with these numbers. Raises BadQuery, UnknownStudy."""
    if len(ids) > _MAX_COMPARED:
        raise BadQuery(f"at most {_MAX_COMPARED} studies can be compared")
    if not all(text.isascii() and text.isdigit() and len(text) < 10 for text in ids):
        raise BadQuery("study must be the number of a study and may be repeated: ?study=1&study=2")
    return [feed_of(int(text)) for text in dict.fromkeys(ids)]
