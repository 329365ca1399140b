# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The pages themselves; templates/ says how they look."""

from __future__ import annotations

import gzip
from functools import cache
from typing import Any

from flask import Blueprint, Response, current_app, redirect, render_template, request, url_for
from plotly.offline import get_plotlyjs
from werkzeug.wrappers import Response as AnyResponse

from ..plugins.plugin_utils._store.page_requests import Kind
from .api import json_of
from .security import csrf_token, forged, may_act
from .settings import Settings
from .studies import compared, evaluation_of, feed_of, listed, study_of
from .study_view import report, side_by_side
from .table import table
from .updates import first_message

pages = Blueprint("pages", __name__)


@pages.get("/")
def studies() -> str:
    return render_template("studies.html", **listed(request.args))


@pages.get("/studies/<id:study_id>")
def study(study_id: int) -> str:
    feed = feed_of(study_id)
    return render_template("study.html", study=study_of(feed), message=first_message(feed), **report(feed))


@pages.get("/studies/<id:study_id>/evaluations")
def evaluations(study_id: int) -> str:
    feed = feed_of(study_id)
    data = feed.data()
    phases = list(dict.fromkeys(evaluation.phase for evaluation in data.evaluations))
    hosts = [host.name for host in data.hosts]
    found = table(data, request.args)
    rows = found.pop("evaluations")
    return render_template("evaluations.html", study=study_of(feed), rows=rows, phases=phases, hosts=hosts, **found)


@pages.get("/studies/<id:study_id>/evaluations/<id:number>")
def evaluation(study_id: int, number: int) -> str:
    feed = feed_of(study_id)
    found = evaluation_of(feed, number)
    around = {name: found.pop(name) for name in ("previous", "next")}
    return render_template("evaluation.html", study=study_of(feed), evaluation=found, **around)


@pages.get("/compare")
def compare() -> str:
    """?study=1&study=2: the template gets `studies`, in that order, and their `configurations` side by side."""
    studies = compared(request.args.getlist("study"))
    leaders = [feed_of(study["id"]).best for study in studies]
    return render_template("compare.html", studies=studies, configurations=side_by_side(studies, leaders))


@pages.post("/studies/<id:study_id>/stop")
def stop(study_id: int) -> AnyResponse:
    return _ask(study_id, "stop")


@pages.post("/studies/<id:study_id>/restore")
def restore(study_id: int) -> AnyResponse:
    return _ask(study_id, "restore")


def _ask(study_id: int, kind: Kind) -> AnyResponse:
    settings = _settings()
    if not may_act(settings):
        return _answer("this page is for reading only", 403)
    if reason := forged(settings):
        return _answer(reason, 403)
    feed = feed_of(study_id)
    if feed.ended:
        return _answer("the study has ended already", 409)
    if feed.interrupted:
        return _answer("nobody runs this study any more; its hosts put their own values back by themselves", 409)
    feed.store.ask(study_id, kind, request.remote_addr or "unknown")
    feed.refresh()
    if _is_program():
        return json_of({"asked": kind}, 202)
    return redirect(url_for("pages.study", study_id=study_id), 303)


def _answer(text: str, code: int) -> Response:
    if _is_program():
        return json_of({"error": text}, code)
    return Response(render_template("error.html", code=code, title="Not done", text=f"Nothing was done: {text}."), code)


def _is_program() -> bool:
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"


def rights() -> dict[str, Any]:
    """What every template gets: the visitor's token for forms, and whether he may act."""
    return {"csrf_token": csrf_token(), "may_act": may_act(_settings())}


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings


@pages.get("/static/plotly.min.js")
def plotly() -> Response:
    """The library that draws the charts, as its Python package has it."""
    script, packed = _plotly()
    accepted = request.accept_encodings.quality("gzip") > 0
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    if accepted:
        headers["Content-Encoding"] = "gzip"
    return Response(packed if accepted else script, mimetype="text/javascript", headers=headers)


@cache
def _plotly() -> tuple[bytes, bytes]:
    script = get_plotlyjs().encode()
    return script, gzip.compress(script, compresslevel=6, mtime=0)
