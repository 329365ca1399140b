# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Set many parameters or none: validate, take what is there, write, read back; put everything back on a failure."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils import (
    _coupling,
    _denylist,
    _kernel,
    _offload,
    _refusal,
    _side_effects,
    _value,
)
from ansible_collections.autotune.kernel.plugins.module_utils._change import Change

_ROUNDS = 6  # what depends on another value takes its turn after it
_CHAIN = 2  # one write changes a second parameter, and that a third


@dataclass(frozen=True)
class Mismatch:
    """A parameter which could not be put back: what it is, what it should be, why, and the command for a human."""

    parameter: str
    found: str | None
    expected: str
    said: str
    command: str


class Failure(Exception):
    """Nothing was set. `restored` is False if a value could not be put back; the message then says which and how."""

    def __init__(
        self,
        message: str,
        parameters: Mapping[str, Change] | None = None,
        mismatches: Collection[Mismatch] = (),
    ) -> None:
        super().__init__(message + "".join(f"\n{line}" for line in needs_attention(mismatches)))
        self.parameters = dict(parameters or {})
        self.mismatches = list(mismatches)

    @property
    def restored(self) -> bool:
        return not self.mismatches

    def as_result(self) -> dict[str, Any]:
        """What the module returns beside its message."""
        return {
            "restored": self.restored,
            "parameters": {parameter: asdict(change) for parameter, change in self.parameters.items()},
            "mismatches": [asdict(mismatch) for mismatch in self.mismatches],
        }


@dataclass(frozen=True)
class Plan:
    """Validated values: those asked for, all to be written with them, and what was there of whatever that changes."""

    asked: dict[str, str]
    targets: dict[str, str]
    before: dict[str, str]


def prepare(
    asked: Mapping[str, str],
    allow_unsafe: Collection[str] = (),
    own: Mapping[str, str] | None = None,
    beside: Mapping[str, str] | None = None,
    is_loan: bool = False,
) -> Plan:
    """Validate every value and take what is there; nothing is written. Raises Failure naming every fault.

    Names and values are canonical. `own` are the host's values before a lease. `beside` are some of these that are
    put back in the same transaction; they are not validated, and those which have gone are left out. For a loan, what
    could not be undone is a fault.
    """
    own = own or {}
    faults: dict[str, Change] = {}
    before: dict[str, str] = {}
    for parameter, value in asked.items():
        found = _refusal.fault_of(parameter, value, allow_unsafe)
        if isinstance(found, Change):
            faults[parameter] = found
        else:
            before[parameter] = found
    asked = {
        name: _value.as_wide_as(before[name], name, value) if name in before else value for name, value in asked.items()
    }
    for parameter in _coupling.with_partners([*asked, *(beside or {})]):
        if parameter not in before and (value_now := _kernel.read_or_none(parameter)) is not None:
            before[parameter] = value_now
    wanted = {parameter: value for parameter, value in {**(beside or {}), **asked}.items() if parameter in before}
    targets = _coupling.completed(wanted, own)
    for parameter, message in _coupling.conflicts(targets, before, own).items():
        value = targets.get(parameter, before[parameter])
        faults.setdefault(parameter, Change("rejected", value, before[parameter], before[parameter], message))
    if is_loan:
        for parameter, reason in irreversible(targets, before).items():
            said = f"{parameter} cannot be lent, since it could not be undone: {reason} (state=present sets it to stay)"
            faults.setdefault(
                parameter, Change("rejected", targets[parameter], before[parameter], before[parameter], said)
            )
    if faults:
        sound = {
            parameter: Change("unchanged", value, before[parameter], before[parameter])
            for parameter, value in asked.items()
            if parameter not in faults
        }
        said = "; ".join(fault.said for fault in faults.values())
        raise Failure(f"Nothing was written: {said}.", {**sound, **faults})
    return Plan(dict(asked), targets, before)


def irreversible(targets: Mapping[str, str], before: Mapping[str, str]) -> dict[str, str]:
    """Those targets which putting back the former values would not undo, with the reason."""
    changing = {parameter: value for parameter, value in targets.items() if before.get(parameter) != value}
    reasons = {
        parameter: _denylist.irreversible_because(parameter, value) or _offload.lost_by(parameter, value)
        for parameter, value in changing.items()
    }
    return {parameter: reason for parameter, reason in reasons.items() if reason}


def carry_out(plan: Plan) -> dict[str, Change]:
    """Write a plan and read it back. Raises Failure, with everything put back, if the kernel refuses a value."""
    with undisturbed():
        refused = _write_all(plan) or _not_read_back(plan)
        if not refused:
            return {
                parameter: Change.of(value, plan.before[parameter], _kernel.read_or_none(parameter))
                for parameter, value in plan.asked.items()
            }
        mismatches = put_back(plan.before)
    parameters = {
        parameter: Change("unchanged", value, plan.before[parameter], _kernel.read_or_none(parameter))
        for parameter, value in plan.asked.items()
    }
    for parameter, change in refused.items():
        parameters[parameter] = replace(change, after=_kernel.read_or_none(parameter))
    said = "; ".join(change.said for change in refused.values())
    ending = "NOT everything could be put back" if mismatches else "everything was put back"
    raise Failure(f"{said}; {ending}.", parameters, mismatches)


def predicted(plan: Plan) -> dict[str, Change]:
    """What carry_out would return if the kernel takes every value as it is: for check mode."""
    return {parameter: Change.of(value, plan.before[parameter], value) for parameter, value in plan.asked.items()}


def put_back(originals: Mapping[str, str]) -> list[Mismatch]:
    """Write back what differs, verify it, and tell what could not be done. A parameter that has gone needs nothing."""
    said: dict[str, str] = {}
    wrong: dict[str, str | None] = {}
    for attempt in range(_ROUNDS):
        current = {parameter: _kernel.read_or_none(parameter) for parameter in originals}
        there = {
            parameter: value
            for parameter, value in originals.items()
            if current[parameter] is not None or _kernel.exists(parameter)
        }
        wrong = {parameter: current[parameter] for parameter, value in there.items() if current[parameter] != value}
        if not wrong or attempt == _ROUNDS - 1:
            break
        known = {parameter: value for parameter, value in current.items() if value is not None}
        # First alone what changes others: they may come right by themselves, and follow it as before.
        following = _following(wrong) if attempt < _CHAIN else set()
        due = {parameter: value for parameter, value in there.items() if parameter not in following}
        for parameter, value in _coupling.writes(due, known):
            try:
                _kernel.write(parameter, value)
            except OSError as error:
                # What depends on another value's order succeeds in the next round.
                said[parameter] = os.strerror(error.errno or 0)
    return [
        Mismatch(
            parameter,
            found,
            originals[parameter],
            said.get(parameter, "the kernel kept another value"),
            by_hand(parameter, originals),
        )
        for parameter, found in wrong.items()
    ]


def gone(originals: Mapping[str, str]) -> list[str]:
    """Those parameters which this kernel no longer has, as when a module was unloaded or an interface removed."""
    return [parameter for parameter in originals if not _kernel.exists(parameter)]


def by_hand(parameter: str, originals: Mapping[str, str]) -> str:
    """The shell command that gives one parameter its value of these."""
    return _kernel.command_to_set(parameter, originals[parameter])


def needs_attention(mismatches: Collection[Mismatch]) -> list[str]:
    """One line for each parameter a human must put back."""
    return [
        f"NEEDS ATTENTION: {mismatch.parameter} is {mismatch.found!r} and should be {mismatch.expected!r} "
        f"({mismatch.said}); run: {mismatch.command}"
        for mismatch in mismatches
    ]


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Hold back the signals that would end the process in the middle, until after."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _write_all(plan: Plan) -> dict[str, Change]:
    """Write what differs, then again what these writes changed; returns what the kernel refused."""
    differing = [parameter for parameter, value in plan.targets.items() if plan.before[parameter] != value]
    following = _following(differing) - set(plan.asked)
    first = {parameter: value for parameter, value in plan.targets.items() if parameter not in following}
    written = _coupling.writes(first, plan.before)
    if refused := _write(written, plan):
        return refused
    # What was asked for and written differs only where the kernel made another value of it.
    settled = set(plan.asked) & {parameter for parameter, dummy in written}
    current = {name: now for name in plan.targets if (now := _kernel.read_or_none(name)) is not None}
    left = {name: value for name, value in plan.targets.items() if name in current and name not in settled}
    return _write(_coupling.writes(left, current), plan)


def _write(pending: list[tuple[str, str]], plan: Plan) -> dict[str, Change]:
    """Write these in turn; returns what the kernel refused, at the first refusal that a later write cannot cure."""
    while pending:
        refused: dict[str, Change] = {}
        for parameter, value in pending:
            try:
                _kernel.write(parameter, value)
            except OSError as error:
                said = _refusal.explain(parameter, value, error)
                refused[parameter] = Change("rejected", value, plan.before[parameter], None, said)
                if error.errno != errno.EINVAL:
                    return {parameter: refused[parameter]}
        still_pending = [(parameter, value) for parameter, value in pending if parameter in refused]
        if len(still_pending) == len(pending):
            return refused
        pending = still_pending  # a value may be invalid only until another one is written
    return {}


def _following(parameters: Collection[str]) -> set[str]:
    """Those of these which a write to another of them may change: they may come right by themselves."""
    return {other for parameter in parameters for other in _side_effects.of(parameter)} & set(parameters)


def _not_read_back(plan: Plan) -> dict[str, Change]:
    """Targets which can no longer be read, and own values among them which the kernel did not take back."""
    found = {}
    for parameter, value in plan.targets.items():
        after = _kernel.read_or_none(parameter)
        if after is None or (parameter not in plan.asked and after != value):
            said = f"{parameter}: {value!r} was written and the kernel has {after!r}"
            found[parameter] = Change("rejected", value, plan.before[parameter], after, said)
    return found
