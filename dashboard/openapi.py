# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""/api/openapi.json: what programs may ask, and what they are told."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_KINDS: dict[str, Schema] = {
    "text": _TEXT,
    "text?": {"type": ["string", "null"]},
    "whole": {"type": "integer"},
    "whole?": {"type": ["integer", "null"]},
    "number?": {"type": ["number", "null"]},
    "moment?": {"type": ["string", "null"], "format": "date-time"},
    "any?": {"type": ["object", "null"], "additionalProperties": True},
    "list?": {"type": ["array", "null"]},
    "yes": {"type": "boolean"},
    "yes?": {"type": ["boolean", "null"]},
    "cursor": {"type": "string", "pattern": r"^\d+-\d+$"},
}


def _schema(kind: str) -> Schema:
    """whole: a number; number?: one or null; [Event]: many of those; Event: another schema of _SCHEMAS."""
    if kind.startswith("["):
        return {"type": "array", "items": _schema(kind[1:-1])}
    return _KINDS.get(kind) or {"$ref": f"#/components/schemas/{kind}"}


def _object(fields: str, **more: Schema) -> Schema:
    """fields: "name:kind other:kind", all of which are there."""
    properties = {name: _schema(kind) for name, dummy, kind in (field.partition(":") for field in fields.split())}
    properties |= more
    return {"type": "object", "properties": properties, "required": list(properties)}


_OUTLINE = """id:whole workload_name:text seed:whole started:moment? finished:moment? phase:text
    evaluations_planned:whole verdict:text? reason:text? metric:text running:yes interrupted:yes
    evaluations:whole failed:whole"""
_DIRECTION: Schema = {"enum": ["maximise", "minimise"]}
_PAGE_OF = "total:whole page:whole pages:whole"
_SCHEMAS: dict[str, Schema] = {
    "Error": _object("error:text"),
    "Trial": _object(
        """id:whole phase:text label:text host:text metric:number? change_percent:number? reward:number?
        stability:number? error:text? finished:moment?"""
    ),
    "WholeTrial": {
        **_object("id:whole phase:text host:text metric:number? requested:any? applied:any? state:text error:text?"),
        "additionalProperties": True,
    },
    "Event": _object("id:whole at:moment? host:text? text:text"),
    "Host": _object(
        """name:text doing:text? since:moment? lost:text? evaluations:whole failures:whole baseline_metric:number?
        restored:yes?"""
    ),
    "Status": _object(
        """phase:text verdict:text? reason:text? interrupted:yes evaluations:whole evaluations_planned:whole
        not_needed:whole failed:whole best_percent:number? best_number:whole? reward:number? best_reward:number?
        episode:whole elapsed_seconds:number? left_seconds:number? updated:moment? asked:any?"""
    ),
    "Message": _object("cursor:cursor status:Status hosts:[Host] evaluations:[Trial] events:[Event]"),
    "Study": _object(
        f"""{_OUTLINE} study:any? result:any? status:Status hosts:[any?] baseline_values:any? parameters:[text]
        best:any? failures:[Trial]""",
        direction=_DIRECTION,
    ),
    "Summary": _object(
        f"""{_OUTLINE} hosts:whole improvement:number? interval:list? confidence:number? pairs:number? proved:yes
        best_config:any?""",
        direction=_DIRECTION,
    ),
    "Studies": _object(f"studies:[Summary] {_PAGE_OF} q:text verdict:text"),
    "Table": _object(f"evaluations:[Trial] {_PAGE_OF} sort:text order:text phase:text host:text failed:text"),
    "Chart": _object("name:text summary:text shown:whole total:whole", figure=_object("data:list? layout:any?")),
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
        refusals["404"] = "there is no such study, evaluation or chart"
    if senseless:
        refusals["400"] = "an argument makes no sense; the error says which"
    errors = {code: {"description": text} for code, text in refusals.items()}
    answer = {"200": {"description": summary, "content": content}}
    return {"get": {"summary": summary, "parameters": list(parameters), "responses": {**answer, **errors}}}


def _json(name: str) -> Schema:
    return {"application/json": {"schema": _schema(name)}}


def document(prefix: str) -> Schema:
    """The OpenAPI 3.1 document. prefix: the path below which a proxy has put the page."""
    sort = _asked(
        "sort",
        "the column",
        enum=["id", "phase", "host", "metric", "change_percent", "reward", "stability", "error", "finished"],
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
    chart = {"name": "name", "in": "path", "required": True, "schema": _TEXT}
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
        "/studies/{id}/charts/{name}": _get(
            "a chart, for Plotly", _json("Chart"), _STUDY, chart, *limits, senseless=True
        ),
        "/studies/{id}/evaluations": _get("a page of the evaluations", _json("Table"), _STUDY, *chosen, senseless=True),
        "/studies/{id}/evaluations/{number}": _get(
            "everything known of one evaluation", _json("WholeTrial"), _STUDY, _NUMBERED
        ),
        "/studies/{id}/evaluations.csv": _get("all evaluations", {"text/csv": {"schema": _TEXT}}, _STUDY),
        "/studies/{id}/evaluations.json": _get(
            "all evaluations", {"application/json": {"schema": _schema("[WholeTrial]")}}, _STUDY
        ),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "autotune.kernel", "version": "1", "description": "Studies, as the page has them."},
        "servers": [{"url": f"{prefix}/api"}],
        "paths": paths,
        "components": {"schemas": _SCHEMAS},
    }
