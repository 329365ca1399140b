# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The OpenAPI description of the API, served at /api/openapi.json."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from . import schemas
from .trial_table import ORDERS, SORTS

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_REFERENCE = "#/components/schemas/{model}"
_ID: Schema = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
_STUDY = {"name": "id", "in": "path", "required": True, "schema": _ID, "description": "number of the study"}
_TRIAL = {"name": "trial", "in": "path", "required": True, "schema": _ID, "description": "number of the trial"}


def _query(name: str, description: str, **schema: Any) -> Schema:
    return {"name": name, "in": "query", "description": description, "schema": schema or _TEXT}


_STUDIES = _query(
    "study",
    "numbers of studies",
    type="array",
    items={"type": "integer", "minimum": 0, "maximum": 999_999_999},
    maxItems=6,
)
_PAGE = _query("page", "from 1", type="integer", minimum=1, maximum=1_000_000)
_AFTER = _query("after", "cursor of an earlier message; the answer has what is new since", type="string")


def _get(summary: str, content: Schema, *parameters: Schema, unknown: bool = True, bad_query: bool = False) -> Schema:
    refusals = {"401": "token missing", "403": "host name not allowed", "503": "store not available"}
    if unknown:
        refusals["404"] = "no such study, trial or chart"
    if bad_query:
        refusals["400"] = "invalid query parameter, named in the error"
    errors = {code: {"description": text} for code, text in refusals.items()}
    answer = {"200": {"description": summary, "content": content}}
    return {"get": {"summary": summary, "parameters": list(parameters), "responses": {**answer, **errors}}}


def _json(model: type[BaseModel], *, many: bool = False) -> Schema:
    schema: Schema = {"$ref": _REFERENCE.format(model=model.__name__)}
    return {"application/json": {"schema": {"type": "array", "items": schema} if many else schema}}


def document(prefix: str) -> Schema:
    """The OpenAPI 3.1 document. prefix: the path under which a proxy serves the dashboard."""
    definitions = models_json_schema([(model, "serialization") for model in schemas.MODELS], ref_template=_REFERENCE)[1]
    filters = [
        _query("sort", "column", enum=list(SORTS)),
        _query("order", "", enum=list(ORDERS)),
        _query("phase", "only this phase"),
        _query("host", "only this host"),
        _query("failed", "only failed trials, or only others", enum=["true", "false"]),
        _PAGE,
    ]
    limits = [
        _query(name, "number of a trial", type="integer", minimum=0, maximum=999_999_999) for name in ("from", "to")
    ]
    chart = {"name": "name", "in": "path", "required": True, "schema": _TEXT}
    stream = _get(
        "Server-Sent Events: message, reset, end, ping",
        {"text/event-stream": {"schema": _TEXT}},
        _STUDY,
        _AFTER,
    )
    stream["get"]["responses"]["204"] = {"description": "the study has ended, nothing more will come"}
    paths = {
        "/studies": _get(
            "studies, latest first",
            _json(schemas.Studies),
            _query("q", "part of the workload name, or the number of a study"),
            _query("verdict", "", enum=["running", "interrupted", "improved", "no_improvement", "failed", "stopped"]),
            _PAGE,
            unknown=False,
            bad_query=True,
        ),
        "/studies/{id}": _get("a study without its trials and events", _json(schemas.Study), _STUDY),
        "/studies/{id}/data": _get(
            "status, and the latest or new trials and events", _json(schemas.Message), _STUDY, _AFTER
        ),
        "/studies/{id}/stream": stream,
        "/studies/{id}/charts/{name}": _get(
            "a chart for Plotly", _json(schemas.Chart), _STUDY, chart, *limits, bad_query=True
        ),
        "/studies/{id}/trials": _get("a page of trials", _json(schemas.Table), _STUDY, *filters, bad_query=True),
        "/studies/{id}/trials/{trial}": _get("all fields of a trial", _json(schemas.FullTrial), _STUDY, _TRIAL),
        "/studies/{id}/trials.csv": _get("all trials", {"text/csv": {"schema": _TEXT}}, _STUDY),
        "/studies/{id}/trials.json": _get("all trials with all fields", _json(schemas.FullTrial, many=True), _STUDY),
        "/compare": _get("a chart of several studies", _json(schemas.Chart), _STUDIES, bad_query=True),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "autotune.kernel", "version": "1", "description": "Everything that the dashboard shows."},
        "servers": [{"url": f"{prefix}/api"}],
        "paths": paths,
        "components": {"schemas": definitions["$defs"]},
    }
