# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The Flask application: studies while they run and afterwards. It reads the store and does not need Ansible."""

from __future__ import annotations

from importlib.metadata import version
from threading import BoundedSemaphore
from typing import Any

from flask import Flask, Response, render_template, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException
from werkzeug.routing import IntegerConverter

from ..plugins.plugin_utils._store.store import StoreError
from .api import api, json_of
from .charts import UnknownChart
from .feed import UnknownStudy
from .feeds import Feeds
from .formatting import FILTERS
from .pages import common_context, pages
from .readonly_store import ReadOnlyStore
from .render_cache import RenderCache
from .security import protect
from .settings import Settings
from .stream import streams
from .studies import UnknownTrial
from .trial_table import BadQuery


class _Id(IntegerConverter):
    """An ID that a database can hold."""

    def __init__(self, map: Any) -> None:
        super().__init__(map, min=0, max=2**31 - 1)

    def to_python(self, value: str) -> int:
        return int(super().to_python(value if len(value) < 11 else str(2**31)))


def create_app(store_url: str, settings: Settings | None = None) -> Flask:
    """The dashboard of the store at a SQLAlchemy URL. Raises StoreError if there is no store."""
    settings = settings or Settings()
    app = Flask(__name__)
    app.url_map.converters["id"] = _Id
    app.jinja_env.filters.update(FILTERS)
    # Browsers keep Plotly for a year: another version needs another address.
    app.jinja_env.globals["plotly_version"] = version("plotly")
    app.jinja_options = {**app.jinja_options, "autoescape": True}
    app.extensions["settings"] = settings
    app.extensions["feeds"] = Feeds(ReadOnlyStore(store_url), settings.poll)
    app.extensions["stream_slots"] = BoundedSemaphore(settings.max_streams)
    app.extensions["render_cache"] = RenderCache()
    protect(app, settings)
    app.context_processor(common_context)
    for blueprint in (pages, api, streams):
        app.register_blueprint(blueprint)
    _handle_errors(app)
    return app


def _handle_errors(app: Flask) -> None:
    """Answer errors as JSON or as a page, without a traceback."""

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        return _answer(error.code or 500, error.name, error.description or "")

    @app.errorhandler(UnknownStudy)
    @app.errorhandler(UnknownTrial)
    @app.errorhandler(UnknownChart)
    def unknown(error: Exception) -> Response:
        return _answer(404, "Not Found", str(error))

    @app.errorhandler(BadQuery)
    def bad_query(error: BadQuery) -> Response:
        return _answer(400, "Bad Request", str(error))

    @app.errorhandler(StoreError)
    def store_error(error: StoreError) -> Response:
        return _answer(503, "Store not available", str(error))

    @app.errorhandler(SQLAlchemyError)
    def database_error(error: SQLAlchemyError) -> Response:
        app.logger.error("cannot read the store: %s", error)
        return _answer(503, "Store not available", "cannot read the store at the moment; see the dashboard's log")


def _answer(code: int, title: str, text: str) -> Response:
    if request.path.startswith("/api/"):
        return json_of({"error": text}, code)
    return Response(render_template("error.html", code=code, title=title, text=text), code)
