# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Values that stay, across boots if wished, and the way back: the states `present` and, with a name, `restored`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from ansible_collections.autotune.kernel.plugins.module_utils import (
    _boot_files,
    _coupling,
    _dropin,
    _journal,
    _kernel,
    _lease,
    _transaction,
)
from ansible_collections.autotune.kernel.plugins.module_utils._change import Change
from ansible_collections.autotune.kernel.plugins.module_utils._lease import Report
from ansible_collections.autotune.kernel.plugins.module_utils._transaction import Failure, Plan


def keep(
    values: Mapping[str, str],
    holder: str | None = None,
    persist: str | None = None,
    allow_unsafe: Collection[str] = (),
    check: bool = False,
    nonce: str | None = None,
) -> Report:
    """Set values to stay, ending the holder's own lease if he has one; raises Failure with everything put back.

    With a nonce this confirms the lease of that nonce, and raises Lapsed if that has ended.
    """
    report = Report()
    if persist is not None:
        _dropin.check_name(persist)
    with contextlib.nullcontext() if check else _journal.locked():
        lease = _lease.claim(holder, report, check, nonce)
        own = lease.originals if lease else {}
        named = _coupling.with_partners(values)
        beside = {parameter: value for parameter, value in own.items() if parameter not in named}
        plan = _transaction.prepare(values, allow_unsafe, own, beside)
        if persist is None:
            report.changes = _transaction.predicted(plan) if check else _transaction.carry_out(plan)
        else:
            _keep_over_reboots(persist, plan, own, report, check)
        if lease and not check:
            _journal.end()
    report.warnings += [
        f"{parameter}: {change.said}" for parameter, change in report.changes.items() if change.status == "clamped"
    ]
    report.warnings += [
        f"{parameter}: no roll-back undoes this, since {reason}"
        for parameter, reason in _transaction.irreversible(plan.targets, plan.before).items()
    ]
    return report


def roll_back(persist: str, holder: str | None = None, check: bool = False) -> Report:
    """Undo `keep` under this name, values and file; raises Failure naming what could not be put back."""
    report = Report()
    _dropin.check_name(persist)
    with contextlib.nullcontext() if check else _journal.locked():
        lease = _lease.claim(holder, report, check)
        record = _dropin.read_record(persist)
        if record is None:
            return report
        if lease and not check:
            _lease.end(lease)
        if check and _dropin.is_edited(persist):
            report.warnings.append(_will_be_set_aside(persist))
        report.file = _dropin.path_of(persist), _dropin.text_of(persist), _dropin.former_text(record)
        report.changes = _lease.restoration(record.originals, report)
        _lease.tell_foreign(_foreign(record, report), report.warnings)
        if not check:
            _undo(persist, record, report)
    return report


def _keep_over_reboots(name: str, plan: Plan, own: Mapping[str, str], report: Report, check: bool) -> None:
    """Set the values of a plan and have them outlast a reboot, or foretell that; fills the report."""
    _dropin.check_is_free(name)
    named = {
        parameter: plan.targets[parameter]
        for parameter in _coupling.with_partners(plan.asked)
        if parameter in plan.targets
    }
    former_record = _dropin.read_record(name)
    record = _widened(former_record, name, plan, own)
    lasting = _dropin.lasting(named, record.originals)
    text = _dropin.text_for(name, lasting)
    report.file = _dropin.path_of(name), _dropin.text_of(name), text
    report.warnings += [_not_kept(parameter) for parameter in plan.asked if not _boot_files.can_express(parameter)]
    report.warnings += _dropin.overridden(name, lasting)
    if not check:
        _carry_out_and_persist(name, plan, text, former_record, record, report)
        return
    report.changes = _foretold(plan, former_record)
    if _dropin.is_edited(name):
        report.warnings.append(_will_be_set_aside(name))


def _carry_out_and_persist(
    name: str,
    plan: Plan,
    text: str,
    former_record: _dropin.Record | None,
    record: _dropin.Record,
    report: Report,
) -> None:
    """Record, values, drop-in, in this order, so that whatever was done can be undone."""
    present, copy = _dropin.take(name), None
    mismatches: list[_transaction.Mismatch] = []
    try:
        if record != former_record:
            _dropin.write_record(name, record)
        report.changes = _transaction.carry_out(plan)
        if text != _dropin.text_of(name):
            copy = _dropin.set_aside(name) if _dropin.is_edited(name) else None
            _dropin.write(name, text)
    except (Failure, OSError) as error:
        if isinstance(error, OSError):
            mismatches = _transaction.put_back(plan.before)
            with contextlib.suppress(OSError):
                # The disk may have failed only after the new file had taken the old one's place.
                if _dropin.take(name) != present:
                    _dropin.put_back(name, present)
            file_is_back = _dropin.take(name) == present
            path = _dropin.path_of(name)
            ending = "everything was put back" if file_is_back else f"the values were put back, {path} was not"
            error = Failure(f"{error.filename or path}: {error.strerror}; {ending}.", mismatches=mismatches)
        if error.restored and _dropin.take(name) == present:
            with contextlib.suppress(OSError):
                if copy:
                    os.unlink(copy)
                _dropin.write_record(name, former_record) if former_record else _dropin.remove_record(name)
        raise error from None
    if copy:
        report.warnings.append(_was_set_aside(name, copy))
    settled = replace(record, kept={**record.kept, **_read_back(_concerned(plan))})
    # Without this the record has what was asked for, which serves as well unless the kernel made something else of it.
    with contextlib.suppress(OSError):
        if settled != record:
            _dropin.write_record(name, settled)


def _widened(record: _dropin.Record | None, name: str, plan: Plan, own: Mapping[str, str]) -> _dropin.Record:
    """The record with what this plan adds; what it has already from an earlier application stays."""
    concerned = _concerned(plan)
    originals = {parameter: own.get(parameter, plan.before[parameter]) for parameter in concerned}
    asked = {parameter: plan.targets[parameter] for parameter in concerned if parameter in plan.targets}
    if record is None:
        return _dropin.Record(originals, asked, asked, _dropin.take(name))
    fresh = {parameter: value for parameter, value in asked.items() if record.asked.get(parameter) != value}
    return replace(
        record,
        originals={**originals, **record.originals},
        asked={**record.asked, **asked},
        kept={**record.kept, **fresh},
    )


def _concerned(plan: Plan) -> list[str]:
    """What the plan asks for, and what the kernel changes with that."""
    return [parameter for parameter in _coupling.with_partners(plan.asked) if parameter in plan.before]


def _foretold(plan: Plan, record: _dropin.Record | None) -> dict[str, Change]:
    """The changes to expect; of a value that the kernel makes another of, what it made of it the last time."""
    changes = _transaction.predicted(plan)
    for parameter, change in changes.items():
        if record and (change.asked, change.before) == (record.asked.get(parameter), record.kept.get(parameter)):
            changes[parameter] = Change.of(change.asked, record.kept[parameter], change.before)
    return changes


def _undo(name: str, record: _dropin.Record, report: Report) -> None:
    with _transaction.undisturbed():
        mismatches = _transaction.put_back(record.originals)
        try:
            if _dropin.is_edited(name) and _dropin.take(name) != record.former:
                report.warnings.append(_was_set_aside(name, _dropin.set_aside(name)))
            _dropin.put_back(name, record.former)
        except OSError as error:
            raise Failure(
                f"{_dropin.path_of(name)} could not be put back ({error.strerror}); "
                f"its former content is in {_dropin.record_path_of(name)}.",
                mismatches=mismatches,
            ) from None
        if mismatches:
            raise Failure(
                f"Not all values of {name} could be put back; {_dropin.record_path_of(name)} stays.",
                mismatches=mismatches,
            )
        _dropin.remove_record(name)


def _foreign(record: _dropin.Record, report: Report) -> dict[str, str]:
    """Parameters with neither the value that was applied nor the original, and what they are."""
    applied = _coupling.expected(record.kept)
    found = {parameter: change.before or "" for parameter, change in report.changes.items()}
    return {
        parameter: value
        for parameter, value in found.items()
        if value not in (record.originals[parameter], applied.get(parameter, value))
    }


def _not_kept(parameter: str) -> str:
    why = "its name has characters that mean something else in sysctl.d"
    if not _kernel.is_sysctl(parameter):
        why = "sysctl.d is for sysctls alone"
    return (
        f"{parameter} is set, but not kept over a reboot: {why}; "
        f"apply this again then, or have it set at boot by a unit or rule of yours"
    )


def _will_be_set_aside(name: str) -> str:
    return f"{_dropin.path_of(name)} has been edited since it was written; a copy of it will be left beside it"


def _was_set_aside(name: str, copy: str) -> str:
    return (
        f"{_dropin.path_of(name)} had been edited since it was written; the edited file is now {copy}, "
        "which nothing applies: put lines of your own into another file of sysctl.d"
    )


def _read_back(parameters: Iterable[str]) -> dict[str, str]:
    values = ((parameter, _kernel.read_or_none(parameter)) for parameter in parameters)
    return {parameter: value for parameter, value in values if value is not None}
