# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The Flask application: a study while it runs and for ever after. It reads the store, and knows nothing of Ansible."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from flask import Flask, Response, render_template, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException
from werkzeug.routing import IntegerConverter

from ..plugins.plugin_utils._store.store import StoreError
from .api import api, json_of
from .chart_cache import ChartCache, UnknownChart
from .feed import Feeds, UnknownStudy
from .formatting import FILTERS
from .pages import pages, rights
from .readonly_store import ReadOnlyStore
from .security import protect
from .settings import Settings
from .stream import Places, streams
from .studies import UnknownEvaluation
from .table import BadQuery


class _Id(IntegerConverter):
    """What a database can have as an id; more digits are no page of ours."""

    def __init__(self, map: Any) -> None:
        super().__init__(map, min=0, max=2**31 - 1)

    def to_python(self, value: str) -> int:
        return int(super().to_python(value if len(value) < 11 else str(2**31)))


def create_app(store_url: str, settings: Settings | None = None) -> Flask:
    """The page for the store at a SQLAlchemy URL. Raises StoreError where there is none."""
    settings = settings or Settings()
    app = Flask(__name__)
    app.url_map.converters["id"] = _Id
    app.jinja_env.filters.update(FILTERS)
    # Browsers keep the library for a year: another version has another address.
    app.jinja_env.globals["plotly_version"] = version("plotly")
    app.jinja_options = {**app.jinja_options, "autoescape": True}
    app.extensions["settings"] = settings
    app.extensions["feeds"] = Feeds(ReadOnlyStore(store_url), settings.poll)
    app.extensions["places"] = Places(settings.max_streams)
    app.extensions["charts"] = ChartCache()
    protect(app, settings)
    app.context_processor(rights)
    for blueprint in (pages, api, streams):
        app.register_blueprint(blueprint)
    _answer_errors(app)
    return app


def _answer_errors(app: Flask) -> None:
    """Every error in the words and the form of whoever asked, and no traceback."""

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        return _answer(error.code or 500, error.name, error.description or "")

    @app.errorhandler(UnknownStudy)
    @app.errorhandler(UnknownEvaluation)
    @app.errorhandler(UnknownChart)
    def unknown(error: Exception) -> Response:
        return _answer(404, "Not Found", str(error))

    @app.errorhandler(BadQuery)
    def senseless(error: BadQuery) -> Response:
        return _answer(400, "Bad Request", str(error))

    @app.errorhandler(StoreError)
    def unwritable(error: StoreError) -> Response:
        return _answer(503, "Store not available", str(error))

    @app.errorhandler(SQLAlchemyError)
    def unreadable(error: SQLAlchemyError) -> Response:
        app.logger.error("the store cannot be read: %s", error)
        return _answer(503, "Store not available", "the store cannot be read just now; the server's log says why")


def _answer(code: int, title: str, text: str) -> Response:
    if request.path.startswith("/api/"):
        return json_of({"error": text}, code)
    return Response(render_template("error.html", code=code, title=title, text=text), code)
