# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The API under /api, described by openapi.py."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, request

from . import queries
from .charts import chart_json, compare
from .export import as_csv, as_json_list, file_name
from .feed import Cursor
from .openapi import document
from .render_cache import RenderCache
from .studies import compared, feed_of, listed, study_of, trial_of
from .trial_table import integer, table
from .updates import as_json, first_message, message_after

api = Blueprint("api", __name__, url_prefix="/api")


def json_of(content: Any, code: int = 200) -> Response:
    return Response(as_json(content) + "\n", code, mimetype="application/json")


@api.get("/openapi.json")
def openapi() -> Response:
    return json_of(document(request.script_root))


@api.get("/studies")
def studies() -> Response:
    return json_of(listed(request.args))


@api.get("/studies/<id:study_id>")
def study(study_id: int) -> Response:
    return json_of(study_of(feed_of(study_id)))


@api.get("/studies/<id:study_id>/data")
def data(study_id: int) -> Response:
    """For clients that poll."""
    feed, after = feed_of(study_id), request.args.get("after")
    return json_of(first_message(feed) if after is None else message_after(feed, Cursor.parse(after)))


@api.get("/studies/<id:study_id>/charts/<name>")
def chart(study_id: int, name: str) -> Response:
    """?from= and ?to=: the trials between which every point is shown."""
    first, last = _trial_limit("from"), _trial_limit("to")
    feed = feed_of(study_id)
    render_cache: RenderCache = current_app.extensions["render_cache"]
    content = render_cache.get(feed, (name, first, last), lambda: chart_json(feed, name, first, last))
    return content.respond("application/json")


def _trial_limit(name: str) -> int | None:
    if not request.args.get(name):
        return None
    return integer(request.args, name, 0, minimum=0, maximum=999_999_999)


@api.get("/compare")
def compare_studies() -> Response:
    """?study=1&study=2."""
    feeds = compared(request.args.getlist("study"))
    return json_of({"name": "compare", **vars(compare([feed.data() for feed in feeds]))})


@api.get("/studies/<id:study_id>/trials")
def trials(study_id: int) -> Response:
    return json_of(table(feed_of(study_id).data(), request.args))


@api.get("/studies/<id:study_id>/trials/<id:trial_id>")
def trial(study_id: int, trial_id: int) -> Response:
    return json_of(trial_of(feed_of(study_id), trial_id))


@api.get("/studies/<id:study_id>/trials.csv")
def trials_csv(study_id: int) -> Response:
    feed = feed_of(study_id)
    text = as_csv(queries.parameters_of(feed.study), queries.full_trials(feed.store, study_id))
    return _download(text, file_name(feed.study, "csv"), "text/csv; charset=utf-8")


@api.get("/studies/<id:study_id>/trials.json")
def trials_json(study_id: int) -> Response:
    feed = feed_of(study_id)
    text = as_json_list(queries.full_trials(feed.store, study_id))
    return _download(text, file_name(feed.study, "json"), "application/json")


def _download(text: Any, name: str, kind: str) -> Response:
    return Response(text, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
