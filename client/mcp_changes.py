# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The tools of the MCP server that change something, each after consent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.resolve import Elicit, Resolve
from pydantic import BaseModel, Field

from . import mcp_answers as answers
from .mcp_planning import change_of
from .mcp_plans import Kind, PlanRefused
from .mcp_processes import start
from .mcp_reading import NoStudy
from .mcp_served import WHY_NOT, Ctx, StudyId, client_of, consent_by, served_by, told
from .playbooks import shown

PlanId = Annotated[str, Field(max_length=100, description="plan_id from plan(); it serves once, for some minutes")]


_RUN: tuple[Kind, ...] = ("run",)
_ROLLOUTS: tuple[Kind, ...] = ("rollout", "rollback")


class Consent(BaseModel):
    """What the user is asked before anything is changed."""

    agree: bool = Field(title="Do it", description="Whether to do what the message says")


def _ask_to_run(plan_id: str, ctx: Ctx) -> Consent | Elicit[Consent]:
    return _ask(ctx, lambda: _question(ctx, plan_id, _RUN))


def _ask_to_change(plan_id: str, ctx: Ctx) -> Consent | Elicit[Consent]:
    return _ask(ctx, lambda: _question(ctx, plan_id, _ROLLOUTS))


def _ask_to_stop(study_id: int, ctx: Ctx) -> Consent | Elicit[Consent]:
    return _ask(ctx, lambda: f"Stop study {study_id}: no more trials; every host gets its original values back.")


def _question(ctx: Ctx, plan_id: str, kinds: tuple[Kind, ...]) -> str:
    with told():
        return served_by(ctx).plans.look(plan_id, kinds).change.question


def _ask(ctx: Ctx, question: Callable[[], str]) -> Consent | Elicit[Consent]:
    by = consent_by(served_by(ctx).site, ctx.client_capabilities)
    if by is None:
        raise ToolError(WHY_NOT)
    text = question()  # refuses a plan that is used, expired or of another kind
    return Elicit(text, Consent) if by == "user" else Consent(agree=True)


def _agreed(consent: ElicitationResult[Consent]) -> bool:
    return isinstance(consent, AcceptedElicitation) and consent.data.agree


def start_run(
    ctx: Ctx, plan_id: PlanId, consent: Annotated[ElicitationResult[Consent], Resolve(_ask_to_run)]
) -> answers.Begun:
    """Start the run of a plan. It goes on in the background; its hosts get their original values back at its end,
    whatever happens. Follow it with get_status."""
    return _carry_out(ctx, plan_id, _RUN, consent)


def change_hosts(
    ctx: Ctx, plan_id: PlanId, consent: Annotated[ElicitationResult[Consent], Resolve(_ask_to_change)]
) -> answers.Begun:
    """Carry out the plan of a rollout or a rollback, which changes hosts for good: a canary first, then batches; an
    unhealthy batch is rolled back. It goes on in the background. Follow it with get_status."""
    return _carry_out(ctx, plan_id, _ROLLOUTS, consent)


def _carry_out(ctx: Ctx, plan_id: str, kinds: tuple[Kind, ...], consent: ElicitationResult[Consent]) -> answers.Begun:
    served = served_by(ctx)
    with told():
        made = served.plans.take(plan_id, kinds)
        if not _agreed(consent):
            raise PlanRefused("the user did not agree; nothing was changed. Ask what the user wants instead")
        made.check(change_of(served.site, made.change.request))
        client = client_of(ctx.request_context)

        def ended(code: int) -> None:
            served.audit.write(client, made.change.kind, {}, f"ended with exit code {code}", plan_id)

        process = start(served.site, made, ended)
    served.processes.append(process)
    return answers.Begun(
        plan_id=plan_id,
        command=shown(list(process.command)),
        log=str(process.log),
        next_step="get_status() every half a minute, until the process has an exit_code",
    )


def stop_run(
    ctx: Ctx,
    study_id: StudyId,
    consent: Annotated[ElicitationResult[Consent], Resolve(_ask_to_stop)],
) -> answers.Stopping:
    """Stop a running study after the trials that are under way. Its hosts get their original values back, and it can
    be resumed."""
    served = served_by(ctx)
    if not _agreed(consent):
        raise ToolError("the user did not agree; the study goes on")
    with told():
        feed = served.reading.feed(study_id)
        if feed.ended:
            raise NoStudy(f"study {study_id} has already ended; see get_result")
        if feed.interrupted:
            raise NoStudy(
                f"the trainer of study {study_id} is not running; its hosts restore their original values on their own"
            )
        if not feed.request or feed.request["taken_at"]:  # what the trainer took may be from before it was resumed
            feed.store.ask(study_id, "stop", f"{client_of(ctx.request_context)} (MCP)"[:200])
    return answers.Stopping(
        study_id=study_id, requested="stop", next_step=f"get_status(study_id={study_id}) until it has a verdict"
    )
