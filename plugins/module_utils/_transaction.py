# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Set many parameters or none: validate, read, write, read back; restore everything if the kernel refuses a value."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from ansible_collections.autotune.kernel.plugins.module_utils import (
    _coupling,
    _denylist,
    _kernel,
    _lro,
    _validation,
    _value,
)
from ansible_collections.autotune.kernel.plugins.module_utils._change import Change, Failure, Mismatch

_ROUNDS = 6  # a value that depends on another one succeeds in the round after it
_CHAIN = 2  # one write changes a second parameter, and that a third


@dataclass(frozen=True)
class Plan:
    """Validated values.

    requested: what the caller asked for. values: everything to set, with what is restored in the same transaction.
    before: what was found of everything that this changes.
    """

    requested: dict[str, str]
    values: dict[str, str]
    before: dict[str, str]


def prepare(
    requested: Mapping[str, str],
    allow_unsafe: Collection[str] = (),
    originals: Mapping[str, str] | None = None,
    restoring: Mapping[str, str] | None = None,
    is_lease: bool = False,
) -> Plan:
    """Validate every value and read what is there. Nothing is written. Raises Failure naming every fault.

    Names and values are canonical. originals: those of the lease in force. restoring: originals to restore in the same
    transaction; they are not validated, and parameters that no longer exist are ignored. is_lease: a value that cannot
    be undone is a fault.
    """
    originals = originals or {}
    faults: dict[str, Change] = {}
    before: dict[str, str] = {}
    for parameter, value in requested.items():
        fault = _validation.fault_of(parameter, value, allow_unsafe)
        if isinstance(fault, Change):
            faults[parameter] = fault
        else:
            before[parameter] = fault
    requested = {
        name: _value.as_wide_as(before[name], name, value) if name in before else value
        for name, value in requested.items()
    }
    changing = {
        parameter: value
        for parameter, value in requested.items()
        if parameter in before and value != before[parameter] and parameter not in allow_unsafe
    }
    if changing:
        for parameter, message in _validation.beyond_this_machine(changing, {**before, **originals}).items():
            found = before[parameter]
            faults[parameter] = Change("denied", changing[parameter], found, found, message)
    for parameter in _coupling.affected([*requested, *(restoring or {})]):
        if parameter not in before and (current := _kernel.read_or_none(parameter)) is not None:
            before[parameter] = current
    present = {name: value for name, value in {**(restoring or {}), **requested}.items() if name in before}
    values = _coupling.completed(present, originals)
    messages = _coupling.conflicts(values, before, originals)
    if is_lease:
        for parameter, reason in irreversible(values, before).items():
            message = f"{parameter} cannot be leased, as it could not be undone: {reason} (state=present can set it)"
            messages.setdefault(parameter, message)
        for parameter in filter(_denylist.holds_secret, requested):
            messages.setdefault(
                parameter, f"{parameter} cannot be leased: the journal, which others may read, would show it"
            )
    for parameter, message in messages.items():
        found = before[parameter]
        faults.setdefault(parameter, Change("rejected", values.get(parameter, found), found, found, message))
    if faults:
        sound = {
            parameter: Change("unchanged", value, before[parameter], before[parameter])
            for parameter, value in requested.items()
            if parameter not in faults
        }
        reasons = "; ".join(fault.message for fault in faults.values())
        raise Failure(f"Nothing was written: {reasons}.", {**sound, **faults})
    return Plan(dict(requested), values, before)


def irreversible(values: Mapping[str, str], before: Mapping[str, str]) -> dict[str, str]:
    """Those values that restoring the former ones would not undo, with the reason."""
    reasons = {
        parameter: _denylist.irreversible_because(parameter, value) or _lro.lost_by(parameter, value)
        for parameter, value in values.items()
        if before.get(parameter) != value
    }
    return {parameter: reason for parameter, reason in reasons.items() if reason}


def carry_out(plan: Plan) -> dict[str, Change]:
    """Write a plan and read it back. If the kernel refuses a value, restores everything and raises Failure."""
    with uninterrupted():
        refused = _write_all(plan) or _not_read_back(plan)
        if not refused:
            return {
                parameter: Change.accepted(value, plan.before[parameter], _kernel.read_or_none(parameter))
                for parameter, value in plan.requested.items()
            }
        mismatches = restore(plan.before)
    parameters = {
        parameter: Change("unchanged", value, plan.before[parameter], _kernel.read_or_none(parameter))
        for parameter, value in plan.requested.items()
    }
    for parameter, change in refused.items():
        parameters[parameter] = replace(change, applied=_kernel.read_or_none(parameter))
    reasons = "; ".join(change.message for change in refused.values())
    ending = "NOT everything could be restored" if mismatches else "everything was restored"
    raise Failure(f"{reasons}; {ending}.", parameters, mismatches)


def predicted(plan: Plan) -> dict[str, Change]:
    """What carry_out() returns if the kernel accepts every value unchanged: for check mode."""
    return {
        parameter: Change.accepted(value, plan.before[parameter], value) for parameter, value in plan.requested.items()
    }


def restore(originals: Mapping[str, str]) -> list[Mismatch]:
    """Write what differs, verify it, and return what could not be restored. Parameters that are gone are ignored."""
    errors: dict[str, str] = {}
    wrong: dict[str, str | None] = {}
    for attempt in range(_ROUNDS):
        current = {parameter: _kernel.read_or_none(parameter) for parameter in originals}
        existing = {
            parameter: value
            for parameter, value in originals.items()
            if current[parameter] is not None or _kernel.exists(parameter)
        }
        wrong = {parameter: current[parameter] for parameter, value in existing.items() if current[parameter] != value}
        if not wrong or attempt == _ROUNDS - 1:
            break
        readable = {parameter: value for parameter, value in current.items() if value is not None}
        # What changes others goes first and alone: the others may then be right, and follow it as before.
        dependent = _dependent(wrong) if attempt < _CHAIN else set()
        due = {parameter: value for parameter, value in existing.items() if parameter not in dependent}
        for parameter, value in _coupling.writes(due, readable):
            try:
                _kernel.write(parameter, value)
            except OSError as error:
                errors[parameter] = os.strerror(error.errno or 0)  # it may succeed in the next round
    return [
        Mismatch(
            parameter,
            found,
            originals[parameter],
            errors.get(parameter, "the kernel kept another value"),
            _kernel.command_to_set(parameter, originals[parameter]),
        )
        for parameter, found in wrong.items()
    ]


def gone(originals: Mapping[str, str]) -> list[str]:
    """The parameters that no longer exist, as after a module was unloaded or an interface removed."""
    return [parameter for parameter in originals if not _kernel.exists(parameter)]


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Defer the signals that would end the process."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _write_all(plan: Plan) -> dict[str, Change]:
    """Write what differs, then again what these writes changed; returns what the kernel refused."""
    differing = [parameter for parameter, value in plan.values.items() if plan.before[parameter] != value]
    dependent = _dependent(differing) - set(plan.requested)
    first = {parameter: value for parameter, value in plan.values.items() if parameter not in dependent}
    written = _coupling.writes(first, plan.before)
    if refused := _write(written, plan):
        return refused
    # A requested value that was written and now differs was changed by the kernel: it is not written again.
    settled = set(plan.requested) & {parameter for parameter, dummy in written}
    current = _kernel.read_all(plan.values)
    remaining = {name: value for name, value in plan.values.items() if name in current and name not in settled}
    return _write(_coupling.writes(remaining, current), plan)


def _write(pending: list[tuple[str, str]], plan: Plan) -> dict[str, Change]:
    """Write these in turn; returns what the kernel refused, at the first refusal that no later write can cure."""
    while pending:
        refused: dict[str, Change] = {}
        for parameter, value in pending:
            try:
                _kernel.write(parameter, value)
            except OSError as error:
                message = _validation.explain(parameter, value, error)
                refused[parameter] = Change("rejected", value, plan.before[parameter], None, message)
                if error.errno != errno.EINVAL:
                    return {parameter: refused[parameter]}
        still_pending = [(parameter, value) for parameter, value in pending if parameter in refused]
        if len(still_pending) == len(pending):
            return refused
        pending = still_pending  # a value may be invalid only until another one is written
    return {}


def _dependent(parameters: Collection[str]) -> set[str]:
    """Those of these that writing another of them may change."""
    return {other for parameter in parameters for other in _coupling.side_effects(parameter)} & set(parameters)


def _not_read_back(plan: Plan) -> dict[str, Change]:
    """Values that can no longer be read, and originals that the kernel did not accept."""
    found = {}
    for parameter, value in plan.values.items():
        applied = _kernel.read_or_none(parameter)
        if applied is None or (parameter not in plan.requested and applied != value):
            message = f"{parameter}: {value!r} was written, the kernel has {applied!r}"
            found[parameter] = Change("rejected", value, plan.before[parameter], applied, message)
    return found
