# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""/api: what the page uses itself, for programs. Described in openapi.py."""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, Response, current_app, request

from . import queries, stream
from .chart_cache import chart_json
from .export import as_csv, as_json_list, file_name
from .openapi import document
from .studies import evaluation_of, feed_of, listed, study_of
from .table import BadQuery, table
from .updates import as_json

api = Blueprint("api", __name__, url_prefix="/api")

_WHOLE = re.compile(r"\d{1,9}", re.ASCII)


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
    return json_of(stream.data(feed_of(study_id), request.args.get("after")))


@api.get("/studies/<id:study_id>/charts/<name>")
def chart(study_id: int, name: str) -> Response:
    limits = [_limit("from"), _limit("to")]
    text = chart_json(current_app.extensions["charts"], feed_of(study_id), name, *limits)
    return Response(text, mimetype="application/json")


def _limit(name: str) -> int | None:
    """The numbers of the evaluations between which a chart shows all there is."""
    text = request.args.get(name)
    if text is None or text == "":
        return None
    if not _WHOLE.fullmatch(text):
        raise BadQuery(f"{name} is the number of an evaluation")
    return int(text)


@api.get("/studies/<id:study_id>/evaluations")
def evaluations(study_id: int) -> Response:
    return json_of(table(feed_of(study_id).data(), request.args))


@api.get("/studies/<id:study_id>/evaluations/<id:number>")
def evaluation(study_id: int, number: int) -> Response:
    return json_of(evaluation_of(feed_of(study_id), number))


@api.get("/studies/<id:study_id>/evaluations.csv")
def evaluations_csv(study_id: int) -> Response:
    feed = feed_of(study_id)
    text = as_csv(feed.data(), queries.whole_evaluations(feed.store, study_id))
    return _download(text, file_name(feed.study, "csv"), "text/csv; charset=utf-8")


@api.get("/studies/<id:study_id>/evaluations.json")
def evaluations_json(study_id: int) -> Response:
    feed = feed_of(study_id)
    text = as_json_list(queries.whole_evaluations(feed.store, study_id))
    return _download(text, file_name(feed.study, "json"), "application/json")


def _download(text: Any, name: str, kind: str) -> Response:
    return Response(text, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
