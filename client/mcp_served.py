# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The state of the MCP server; who agrees to changes; what every call of a tool goes through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, ClientCapabilities
from pydantic import Field
from sqlalchemy.exc import SQLAlchemyError

from ..plugins.plugin_utils._outcome.learned_role import ForeignFileError
from ..plugins.plugin_utils._outcome.result import ResultError
from ..plugins.plugin_utils._plain import plain, plain_line
from ..plugins.plugin_utils._store.store import StoreError
from ..plugins.plugin_utils._study.errors import StudyError
from .mcp_audit import Audit
from .mcp_planning import NoPlan
from .mcp_plans import PlanRefused, Plans
from .mcp_processes import Process
from .mcp_reading import NoStudy, Reading
from .mcp_site import PathRefused, Site

WHY_NOT = (
    "this server may not change anything: the client cannot ask its user (MCP elicitation), and the server was started "
    "without --allow-apply; the user can start it with that, or type the command"
)
WRITING = {"start_run", "stop_run", "change_hosts"}


@dataclass
class Served:
    """The state of the server."""

    site: Site
    audit: Audit
    reading: Reading
    plans: Plans = field(default_factory=Plans)
    processes: list[Process] = field(default_factory=list)


Ctx = Context[Served, Any]
StudyId = Annotated[int, Field(ge=1, lt=2**63, description="the ID of a study, from list_studies")]


async def gate(ctx: ServerRequestContext[Served, Any], call_next: CallNext) -> HandlerResult:
    """Logs every call of a tool, and lists only tools that this client may use."""
    served = ctx.lifespan_context
    if ctx.method == "tools/list":
        result = await call_next(ctx)
        if consent_by(served.site, ctx.session.client_capabilities) is None and isinstance(result, dict):
            result = {**result, "tools": [tool for tool in result["tools"] if tool["name"] not in WRITING]}
        return result
    if ctx.method != "tools/call":
        return await call_next(ctx)
    called = ctx.params or {}
    name, given = str(called.get("name")), called.get("arguments")
    arguments = given if isinstance(given, dict) else {}
    found = arguments.get("plan_id")

    def log(outcome: str, plan_id: object = found) -> None:
        try:
            served.audit.write(client_of(ctx), name, arguments, outcome, None if plan_id is None else str(plan_id))
        except OSError as error:
            message = f"the audit log cannot be written, so nothing more is done: {error}"
            raise MCPError(INTERNAL_ERROR, message) from None

    if name in WRITING:
        log("called")
    try:
        result = await call_next(ctx)
    except MCPError as error:
        log(f"refused: {error}")
        raise
    wire = result if isinstance(result, dict) else {}
    text = " ".join(str(part.get("text", "")) for part in wire.get("content") or () if isinstance(part, dict))
    if wire.get("resultType") == "input_required":
        log("the user is asked")
    elif wire.get("isError"):
        log(f"error: {text}")
    else:
        made = (wire.get("structuredContent") or {}).get("plan_id", found)
        log("done", made)
    return result


def client_of(ctx: ServerRequestContext[Served, Any]) -> str:
    parameters = ctx.session.client_params
    return f"{parameters.client_info.name} {parameters.client_info.version}" if parameters else "unknown"


def consent_by(site: Site, capabilities: ClientCapabilities | None) -> Literal["user", "option"] | None:
    """Who agrees to a change: the user, whom the client asks, or --allow-apply; None if nobody can."""
    asks = capabilities.elicitation if capabilities else None
    if asks is not None and (asks.form is not None or asks.url is None):  # as the SDK reads it
        return "user"
    return "option" if site.allow_apply else None


@contextmanager
def told() -> Iterator[None]:
    """A user's mistake is told in its own words; anything else stays on the server."""
    try:
        yield
    except (PathRefused, PlanRefused, NoPlan, NoStudy, StudyError, ResultError, ForeignFileError, StoreError) as error:
        raise ToolError(plain(error)) from None
    except SQLAlchemyError as error:
        raise ToolError(f"the store cannot be read: {plain_line(error)}; try again") from None
    except OSError as error:
        raise ToolError(f"{plain_line(error)}; nothing was started") from None


def served_by(ctx: Ctx) -> Served:
    return ctx.request_context.lifespan_context
