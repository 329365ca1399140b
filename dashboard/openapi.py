# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""/api/openapi.json: what programs may ask, and what they are told."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_TEXT_OR_NOTHING: Schema = {"type": ["string", "null"]}
_NUMBER: Schema = {"type": ["number", "null"]}
_WHOLE: Schema = {"type": "integer"}
_MOMENT: Schema = {"type": ["string", "null"], "format": "date-time"}
_ANY: Schema = {"type": ["object", "null"], "additionalProperties": True}
_LIST: Schema = {"type": ["array", "null"]}
_YES: Schema = {"type": "boolean"}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _many(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_OUTLINE = _object(
    id=_WHOLE,
    workload_name=_TEXT,
    seed=_WHOLE,
    started=_MOMENT,
    finished=_MOMENT,
    phase=_TEXT,
    evaluations_planned=_WHOLE,
    verdict=_TEXT_OR_NOTHING,
    reason=_TEXT_OR_NOTHING,
    metric=_TEXT,
    direction={"enum": ["maximise", "minimise"]},
    running=_YES,
    interrupted=_YES,
    evaluations=_WHOLE,
    failed=_WHOLE,
)["properties"]
_SCHEMAS: dict[str, Schema] = {
    "Error": _object(error=_TEXT),
    "Evaluation": _object(
        id=_WHOLE,
        number=_WHOLE,
        phase=_TEXT,
        host=_TEXT,
        metric=_NUMBER,
        change_percent=_NUMBER,
        reward=_NUMBER,
        stability=_NUMBER,
        error=_TEXT_OR_NOTHING,
        finished=_MOMENT,
    ),
    "WholeEvaluation": {
        **_object(
            number=_WHOLE, phase=_TEXT, host=_TEXT, metric=_NUMBER, asked=_ANY, actual=_ANY, error=_TEXT_OR_NOTHING
        ),
        "additionalProperties": True,
    },
    "Event": _object(id=_WHOLE, at=_MOMENT, host=_TEXT_OR_NOTHING, text=_TEXT),
    "Host": _object(
        name=_TEXT,
        doing=_TEXT_OR_NOTHING,
        since=_MOMENT,
        lost=_TEXT_OR_NOTHING,
        evaluations=_WHOLE,
        failures=_WHOLE,
        baseline_metric=_NUMBER,
    ),
    "Status": _object(
        phase=_TEXT,
        verdict=_TEXT_OR_NOTHING,
        reason=_TEXT_OR_NOTHING,
        interrupted=_YES,
        evaluations=_WHOLE,
        evaluations_planned=_WHOLE,
        failed=_WHOLE,
        best_percent=_NUMBER,
        best_number={"type": ["integer", "null"]},
        reward=_NUMBER,
        best_reward=_NUMBER,
        episode=_WHOLE,
        elapsed_seconds=_NUMBER,
        left_seconds=_NUMBER,
        updated=_MOMENT,
        asked=_ANY,
    ),
    "Message": _object(
        cursor={"type": "string", "pattern": r"^\d+-\d+$"},
        status=_ref("Status"),
        hosts=_many(_ref("Host")),
        evaluations=_many(_ref("Evaluation")),
        events=_many(_ref("Event")),
    ),
    "Study": _object(
        **_OUTLINE,
        study=_ANY,
        result=_ANY,
        status=_ref("Status"),
        hosts=_many(_ANY),
        baseline_values=_ANY,
        parameters=_many(_TEXT),
        best=_ANY,
        failures=_many(_ref("Evaluation")),
    ),
    "Summary": _object(
        **_OUTLINE,
        hosts=_WHOLE,
        improvement=_NUMBER,
        interval=_LIST,
        confidence=_NUMBER,
        pairs=_NUMBER,
        best_config=_ANY,
    ),
    "Studies": _object(studies=_many(_ref("Summary")), total=_WHOLE, page=_WHOLE, pages=_WHOLE, q=_TEXT, verdict=_TEXT),
    "Table": _object(
        evaluations=_many(_ref("Evaluation")),
        total=_WHOLE,
        page=_WHOLE,
        pages=_WHOLE,
        sort=_TEXT,
        order=_TEXT,
        phase=_TEXT,
        host=_TEXT,
        failed=_TEXT,
    ),
    "Picture": _object(name=_TEXT, figure=_object(data=_LIST, layout=_ANY), summary=_TEXT, shown=_WHOLE, total=_WHOLE),
}

_ID: Schema = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
_STUDY = {"name": "id", "in": "path", "required": True, "schema": _ID, "description": "the study's number"}
_NUMBERED = {"name": "number", "in": "path", "required": True, "schema": _ID, "description": "the evaluation's number"}


def _asked(name: str, description: str, **schema: Any) -> Schema:
    return {"name": name, "in": "query", "description": description, "schema": schema or _TEXT}


_PAGE = _asked("page", "from 1", type="integer", minimum=1, maximum=1_000_000)
_AFTER = _asked("after", "a message's cursor; what is new since then is told", type="string")


def _get(summary: str, content: Schema, *parameters: Schema, unknown: bool = True, senseless: bool = False) -> Schema:
    refusals = {"401": "the token is missing", "403": "not under this name", "503": "the store cannot be read just now"}
    if unknown:
        refusals["404"] = "there is no such study, evaluation or picture"
    if senseless:
        refusals["400"] = "an argument makes no sense; the error says which"
    errors = {code: {"description": text} for code, text in refusals.items()}
    answer = {"200": {"description": summary, "content": content}}
    return {"get": {"summary": summary, "parameters": list(parameters), "responses": {**answer, **errors}}}


def _json(name: str) -> Schema:
    return {"application/json": {"schema": _ref(name)}}


def document(prefix: str) -> Schema:
    """The OpenAPI 3.1 document. prefix: the path below which a proxy has put the page."""
    sort = _asked(
        "sort",
        "the column",
        enum=["number", "phase", "host", "metric", "change_percent", "reward", "stability", "error", "finished"],
    )
    chosen = [
        sort,
        _asked("order", "", enum=["ascending", "descending"]),
        _asked("phase", "only this phase"),
        _asked("host", "only this host"),
        _asked("failed", "only failed ones, or only others", enum=["true", "false"]),
        _PAGE,
    ]
    limits = [
        _asked(name, "an evaluation's number", type="integer", minimum=0, maximum=999_999_999)
        for name in ("from", "to")
    ]
    picture = {"name": "name", "in": "path", "required": True, "schema": _TEXT}
    stream = _get(
        "messages as Server-Sent Events: message, reset, end, ping",
        {"text/event-stream": {"schema": _TEXT}},
        _STUDY,
        _AFTER,
    )
    stream["get"]["responses"]["204"] = {"description": "the study has ended, and nothing is left to tell"}
    paths = {
        "/studies": _get(
            "all studies, the latest first",
            _json("Studies"),
            _asked("q", "part of a workload's name, or a study's number"),
            _asked("verdict", "", enum=["running", "interrupted", "improved", "no_improvement", "failed", "stopped"]),
            _PAGE,
            unknown=False,
            senseless=True,
        ),
        "/studies/{id}": _get("everything about a study but its evaluations", _json("Study"), _STUDY),
        "/studies/{id}/data": _get("what is new, or where the study is", _json("Message"), _STUDY, _AFTER),
        "/studies/{id}/stream": stream,
        "/studies/{id}/pictures/{name}": _get(
            "a picture, for Plotly", _json("Picture"), _STUDY, picture, *limits, senseless=True
        ),
        "/studies/{id}/evaluations": _get("a page of the evaluations", _json("Table"), _STUDY, *chosen, senseless=True),
        "/studies/{id}/evaluations/{number}": _get(
            "everything known of one evaluation", _json("WholeEvaluation"), _STUDY, _NUMBERED
        ),
        "/studies/{id}/evaluations.csv": _get("all evaluations", {"text/csv": {"schema": _TEXT}}, _STUDY),
        "/studies/{id}/evaluations.json": _get(
            "all evaluations", {"application/json": {"schema": _many(_ref("WholeEvaluation"))}}, _STUDY
        ),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "autotune.kernel", "version": "1", "description": "Studies, as the page has them."},
        "servers": [{"url": f"{prefix}/api"}],
        "paths": paths,
        "components": {"schemas": _SCHEMAS},
    }
