# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The HTML pages."""

from __future__ import annotations

from functools import cache
from typing import Any

from flask import Blueprint, Response, current_app, redirect, render_template, request, url_for
from plotly.offline import get_plotlyjs
from werkzeug.wrappers import Response as AnyResponse

from ..plugins.plugin_utils._store.page_requests import Kind
from .api import json_of
from .feed import Feed, is_over
from .render_cache import Content, RenderCache
from .security import csrf_token, forged, may_act
from .settings import Settings
from .studies import compared, feed_of, listed, study_of, trial_of
from .study_view import best_and_failures, evidence, side_by_side
from .trial_table import table
from .updates import first_message

pages = Blueprint("pages", __name__)


@pages.get("/")
def studies() -> str:
    return render_template("studies.html", **listed(request.args))


@pages.get("/studies/<id:study_id>")
def study(study_id: int) -> str:
    return render_template("study.html", **_study_context(feed_of(study_id)))


@pages.get("/studies/<id:study_id>/live")
def live(study_id: int) -> Response:
    """The parts of a study's page that change while the study runs."""
    feed = feed_of(study_id)
    render_cache: RenderCache = current_app.extensions["render_cache"]
    content = render_cache.get(
        feed, ("live", request.script_root, is_over(feed)), lambda: render_template("live.html", **_study_context(feed))
    )
    return content.respond("text/html")


def _study_context(feed: Feed) -> dict[str, Any]:
    with feed.changed:
        message = first_message(feed)
        return {
            **message,
            **best_and_failures(feed),
            "study": feed.study,
            "here": _path(feed),
            "evidence": evidence(feed.study["result"] or {}),
            "over": is_over(feed),
        }


def _path(feed: Feed) -> str:
    return url_for("pages.study", study_id=feed.study_id)


@pages.get("/studies/<id:study_id>/trials")
def trials(study_id: int) -> str:
    feed = feed_of(study_id)
    data = feed.data()
    phases = list(dict.fromkeys(trial.phase for trial in data.trials))
    hosts = [host.name for host in data.hosts]
    found = table(data, request.args)
    rows = found.pop("trials")
    context = {
        "study": {**feed.study, "trials": len(data.trials)},
        "here": _path(feed),
        "rows": rows,
        "phases": phases,
        "hosts": hosts,
    }
    return render_template("trials.html", **context, **found)


@pages.get("/studies/<id:study_id>/trials/<id:trial_id>")
def trial(study_id: int, trial_id: int) -> str:
    feed = feed_of(study_id)
    found = trial_of(feed, trial_id)
    around = {name: found.pop(name) for name in ("previous", "next")}
    return render_template("trial.html", study=feed.study, here=_path(feed), trial=found, **around)


@pages.get("/compare")
def compare() -> str:
    feeds = compared(request.args.getlist("study"))
    studies = [study_of(feed) for feed in feeds]
    return render_template("compare.html", studies=studies, configurations=side_by_side(feeds))


@pages.post("/studies/<id:study_id>/stop")
def stop(study_id: int) -> AnyResponse:
    return _request(study_id, "stop")


@pages.post("/studies/<id:study_id>/restore")
def restore(study_id: int) -> AnyResponse:
    return _request(study_id, "restore")


def _request(study_id: int, kind: Kind) -> AnyResponse:
    settings = _settings()
    if not may_act(settings):
        return _refuse("this dashboard is read-only", 403)
    if reason := forged(settings):
        return _refuse(reason, 403)
    feed = feed_of(study_id)
    if request.form.get("started", default=(started := feed.study["started"].isoformat())) != started:
        return _refuse("this number is that of another study by now; reload the page", 409)
    if feed.ended:
        return _refuse("the study has already ended", 409)
    if feed.interrupted:
        return _refuse("the study's trainer is not running; its hosts restore their original values on their own", 409)
    feed.store.ask(study_id, kind, request.remote_addr or "unknown")
    feed.refresh()
    if _wants_json():
        return json_of({"requested": kind}, 202)
    return redirect(_path(feed), 303)


def _refuse(text: str, code: int) -> Response:
    if _wants_json():
        return json_of({"error": text}, code)
    return Response(
        render_template("error.html", code=code, title="Request refused", text=f"{text.capitalize()}."), code
    )


def _wants_json() -> bool:
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"


def common_context() -> dict[str, Any]:
    """What every template gets."""
    return {"root": request.script_root, "csrf_token": csrf_token, "may_act": may_act(_settings())}


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings


@pages.get("/static/plotly.min.js")
def plotly() -> Response:
    """Plotly's JavaScript from its Python package."""
    return _plotly().respond("text/javascript", "public, max-age=31536000, immutable")


@cache
def _plotly() -> Content:
    return Content.of(get_plotlyjs().encode())
