# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Plans of changes to hosts: what a plan is bound to, and that it serves once and expires."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from ..plugins.plugin_utils._plain import brief, few, plain_line
from .playbooks import shown

Kind = Literal["run", "rollout", "rollback"]

LIFETIME = 600.0  # seconds: a person has to read the plan and agree
_MOST_OPEN = 100
_AGAIN = "make a new plan"
_HEADINGS: dict[Kind, str] = {
    "run": "Run study {workload}: benchmark candidates on these hosts; each gets its original values back",
    "rollout": "Roll out the values learned for {workload}, for good",
    "rollback": "Roll back {workload}: restore the values and files that each host had before",
}


class PlanRefused(ValueError):
    """A plan that cannot be carried out; the message is one line that says why and what to do."""


@dataclass(frozen=True)
class Request:
    """subject: the path of a study to run, or the workload whose learned role is meant. inventory: its path; None for
    this machine, without SSH. target: hosts or groups of the inventory; None for all."""

    kind: Kind
    subject: str
    inventory: str | None = None
    target: str | None = None


@dataclass(frozen=True)
class Change:
    """What a plan changes, where and with what.

    hosts: the name of each with its connection variables. values: of a run, the range of each parameter. files: the
    SHA-256 of what the command reads, by path. command: as ansible-playbook takes it. load_generators: the hosts, as in
    `hosts`, on which benchmarks run in their place.
    """

    request: Request
    workload: str
    hosts: Mapping[str, Mapping[str, object]]
    values: Mapping[str, str]
    files: Mapping[str, str]
    command: tuple[str, ...]
    load_generators: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        return self.request.kind

    @property
    def digest(self) -> str:
        text = json.dumps(asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def question(self) -> str:
        """What the user is asked to agree to: everything that the plan is bound to, in plain text."""
        return "\n".join(
            [
                _HEADINGS[self.kind].format(workload=brief(self.workload)) + ".",
                f"Hosts ({len(self.hosts)}): {', '.join(brief(name) for name in self.hosts)}",
                *(
                    [f"Load generated on: {', '.join(map(brief, self.load_generators))}"]
                    if self.load_generators
                    else []
                ),
                *(f"  {plain_line(name)}: {plain_line(value)}" for name, value in self.values.items()),
                f"Command: {plain_line(shown(list(self.command)))}",
            ]
        )


@dataclass(frozen=True)
class Plan:
    """id: to be given once to the tool that carries the plan out. expires: by the clock of its Plans."""

    id: str
    change: Change
    expires: float

    def check(self, now: Change) -> None:
        """Raise PlanRefused if the plan would change something else by now."""
        was = self.change
        if sorted(now.hosts) != sorted(was.hosts):
            hosts = few([brief(name) for name in now.hosts]) or "none"
            raise PlanRefused(f"the plan is for other hosts than the inventory has now ({hosts}); {_AGAIN}")
        if (now.hosts, now.load_generators) != (was.hosts, was.load_generators):
            raise PlanRefused(f"the inventory reaches the plan's hosts otherwise than before; {_AGAIN}")
        if now.digest != was.digest:
            changed = [name for name in {**was.files, **now.files} if was.files.get(name) != now.files.get(name)]
            what = few([plain_line(name) for name in changed]) or "its values"
            raise PlanRefused(f"{what} changed since the plan was made; {_AGAIN}")


@dataclass
class Plans:
    """The plans that can still be carried out, in memory. lifetime: seconds."""

    lifetime: float = LIFETIME
    clock: Callable[[], float] = time.monotonic
    _open: dict[str, Plan] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def issue(self, change: Change) -> Plan:
        nonce = secrets.token_hex(16)
        name = hashlib.sha256(f"{nonce}{change.digest}".encode()).hexdigest()[:24]
        plan = Plan(f"{change.kind}-{name}", change, self.clock() + self.lifetime)
        with self._lock:
            self._open[plan.id] = plan
            for oldest in list(self._open)[:-_MOST_OPEN]:
                del self._open[oldest]
        return plan

    def look(self, plan_id: str, kinds: Collection[Kind]) -> Plan:
        """The plan, which stays open. Raises PlanRefused if it is used, expired, unknown or of another kind."""
        with self._lock:
            return self._find(plan_id, kinds)

    def take(self, plan_id: str, kinds: Collection[Kind]) -> Plan:
        """The same, but no one gets this plan again."""
        with self._lock:
            plan = self._find(plan_id, kinds)
            del self._open[plan_id]
            return plan

    def _find(self, plan_id: str, kinds: Collection[Kind]) -> Plan:
        plan = self._open.get(plan_id)
        if plan is None:
            raise PlanRefused(f"there is no open plan '{brief(plan_id)}': each can be used once; {_AGAIN}")
        if self.clock() >= plan.expires:
            del self._open[plan_id]
            raise PlanRefused(f"plan {plan_id} expired {self.lifetime / 60:.0f} minutes after it was made; {_AGAIN}")
        if plan.change.kind not in kinds:
            raise PlanRefused(f"plan {plan_id} is of a {plan.change.kind}; give it to the tool for that")
        return plan
