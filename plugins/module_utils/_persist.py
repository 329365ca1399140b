# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Values that stay, across reboots if requested, and rolling them back: `present`, and `restored` with a name."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping
from dataclasses import replace

from ansible_collections.autotune.kernel.plugins.module_utils import (
    _boot_files,
    _coupling,
    _denylist,
    _dropin,
    _journal,
    _kernel,
    _lease,
    _transaction,
)
from ansible_collections.autotune.kernel.plugins.module_utils._change import Change, Failure, Mismatch, Report
from ansible_collections.autotune.kernel.plugins.module_utils._transaction import Plan


def apply(
    values: Mapping[str, str],
    holder: str | None = None,
    persist: str | None = None,
    allow_unsafe: Collection[str] = (),
    check: bool = False,
    nonce: str | None = None,
) -> Report:
    """Set values to stay, and end the holder's lease if there is one. On failure restores everything, raises Failure.

    With a nonce, confirms the lease of that nonce, or raises LeaseExpired.
    """
    report = Report()
    if persist is not None:
        _dropin.check_name(persist)
    with contextlib.nullcontext() if check else _journal.locked():
        lease = _lease.own_lease(holder, report, check, nonce)
        originals = lease.originals if lease else {}
        affected = _coupling.affected(values)
        restoring = {parameter: value for parameter, value in originals.items() if parameter not in affected}
        plan = _transaction.prepare(values, allow_unsafe, originals, restoring)
        if persist is None:
            report.changes = _transaction.predicted(plan) if check else _transaction.carry_out(plan)
        else:
            _apply_and_persist(persist, plan, originals, nonce, report, check)
        if lease and not check:
            _journal.remove()
    report.warnings += [
        f"{parameter}: {change.message}" for parameter, change in report.changes.items() if change.status == "clamped"
    ]
    report.warnings += [
        f"{parameter}: rolling back will not undo this, because {reason}"
        for parameter, reason in _transaction.irreversible(plan.values, plan.before).items()
    ]
    return report


def roll_back(persist: str, holder: str | None = None, check: bool = False, nonce: str | None = None) -> Report:
    """Undo apply() under this name, values and file; raises Failure naming what could not be restored.

    With a nonce, undo only the call that confirmed the lease of that nonce, if it is the latest one under this name.
    """
    report = Report()
    _dropin.check_name(persist)
    with contextlib.nullcontext() if check else _journal.locked():
        lease = _lease.own_lease(holder, report, check)
        record = _dropin.read_record(persist)
        undone = _undone_by(record, nonce) if record else None
        if record is None or undone is None:
            return report
        _check_not_covered(persist, record, undone)
        if lease and not check:
            _lease.end(lease)
        if check and _dropin.is_edited(persist):
            report.warnings.append(_will_be_copied(persist))
        report.file = _dropin.path_of(persist), _dropin.text_of(persist), _dropin.decoded(undone.file)
        report.changes = _lease.restoration(undone.values, report)
        report.warnings += _lease.interference_warnings(_interference(record.applied, undone.values, report))
        if not check:
            _undo(persist, undone, report)
    return report


def _check_not_covered(name: str, record: _dropin.Record, undone: _dropin.Confirmation) -> None:
    """Raise Failure if a later call under another name has set one of the values since.

    Its record holds the values of this one, and would restore these.
    """
    for other in _dropin.recorded():
        later = None
        if other != name:
            with contextlib.suppress(Failure):  # it is damaged, which its own roll back tells
                later = _dropin.read_record(other)
        for parameter in undone.values:
            ours = record.applied.get(parameter)
            theirs = later.applied.get(parameter) if later and later.originals.get(parameter) == ours else None
            if theirs not in (None, ours) and _kernel.read_or_none(parameter) == theirs:
                raise Failure(
                    f"Nothing was written: {parameter} was set again under the name {other} since; roll that back "
                    f"first (state=restored persist={other}, or its rollback.yml)."
                )


def _undone_by(record: _dropin.Record, nonce: str | None) -> _dropin.Confirmation | None:
    """What a roll back restores; None if it has nothing to undo, because the latest call was another one."""
    if nonce is None:
        return _dropin.Confirmation("", record.originals, record.former, None)
    return record.last if record.last and record.last.nonce == nonce else None


def _apply_and_persist(
    name: str, plan: Plan, originals: Mapping[str, str], nonce: str | None, report: Report, check: bool
) -> None:
    """Set a plan's values and write the drop-in, or predict that; fills the report."""
    if secrets := list(filter(_denylist.holds_secret, plan.requested)):
        raise Failure(f"Nothing was written: a file that others may read would show {', '.join(secrets)}.")
    _dropin.check_is_free(name)
    former_record = _dropin.read_record(name)
    record = _extended(former_record, name, plan, originals, nonce)
    lasting = _dropin.lasting(record.requested, record.originals)
    text = _dropin.text_for(name, lasting)
    report.file = _dropin.path_of(name), _dropin.text_of(name), text
    report.warnings += [_not_persisted(name) for name in plan.requested if not _boot_files.can_express(name)]
    report.warnings += _dropin.overridden(name, lasting)
    report.warnings += _boot_files.late_warnings(lasting)
    if not check:
        _carry_out_and_persist(name, plan, text, former_record, record, report)
        return
    report.changes = _predicted(plan, former_record)
    if _dropin.is_edited(name):
        report.warnings.append(_will_be_copied(name))


def _carry_out_and_persist(
    name: str,
    plan: Plan,
    text: str,
    former_record: _dropin.Record | None,
    record: _dropin.Record,
    report: Report,
) -> None:
    """Write record, values and drop-in, in this order, so that whatever was done can be undone."""
    former_file, copy = _dropin.take(name), None
    mismatches: list[Mismatch] = []
    try:
        if record != former_record:
            _dropin.write_record(name, record)
        report.changes = _transaction.carry_out(plan)
        if text != _dropin.text_of(name):
            copy = _dropin.keep_copy(name) if _dropin.is_edited(name) else None
            _dropin.write(name, text)
    except (Failure, OSError) as error:
        if isinstance(error, OSError):
            mismatches = _transaction.restore(plan.before)
            with contextlib.suppress(OSError):
                # The disk may have failed after the new file had replaced the old one.
                if _dropin.take(name) != former_file:
                    _dropin.restore(name, former_file)
            path = _dropin.path_of(name)
            is_back = _dropin.take(name) == former_file
            ending = "everything was restored" if is_back else f"the values were restored, {path} was not"
            error = Failure(f"{error.filename or path}: {error.strerror}; {ending}.", mismatches=mismatches)
        if error.restored and _dropin.take(name) == former_file:
            with contextlib.suppress(OSError):
                if copy:
                    os.unlink(copy)
                _dropin.write_record(name, former_record) if former_record else _dropin.remove_record(name)
        raise error from None
    if copy:
        report.warnings.append(_was_copied(name, copy))
    settled = replace(record, applied={**record.applied, **_kernel.read_all(_affected(plan))})
    # If this fails, the record has the requested values, which differ only if the kernel clamped one.
    with contextlib.suppress(OSError):
        if settled != record:
            _dropin.write_record(name, settled)


def _extended(
    record: _dropin.Record | None, name: str, plan: Plan, originals: Mapping[str, str], nonce: str | None
) -> _dropin.Record:
    """The record, extended by this plan.

    What an earlier call has set stays, as long as this one does not change it: a role that was learned on a host with
    an earlier role rests on the values of that one.
    """
    affected = _affected(plan)
    found = {parameter: originals.get(parameter, plan.before[parameter]) for parameter in affected}
    requested = {parameter: plan.values[parameter] for parameter in affected if parameter in plan.values}
    former = _dropin.take(name)
    last = _dropin.Confirmation(nonce, found, former, record and replace(record, last=None)) if nonce else None
    if record is None:
        return _dropin.Record(found, requested, requested, former, last)
    fresh = {parameter: value for parameter, value in requested.items() if record.requested.get(parameter) != value}
    extended = replace(
        record,
        originals={**found, **record.originals},
        requested={**{p: value for p, value in record.requested.items() if p not in affected}, **requested},
        applied={**record.applied, **fresh},
    )
    if extended == record and all(found[p] in (value, record.applied.get(p)) for p, value in requested.items()):
        return record  # nothing is changed, so there is nothing to undo
    return replace(extended, last=last)


def _affected(plan: Plan) -> list[str]:
    return [parameter for parameter in _coupling.affected(plan.requested) if parameter in plan.before]


def _predicted(plan: Plan, record: _dropin.Record | None) -> dict[str, Change]:
    """The changes to expect; for a value that the kernel clamped the last time, the clamped one."""
    changes = _transaction.predicted(plan)
    for name, change in changes.items():
        if record and (change.requested, change.before) == (record.requested.get(name), record.applied.get(name)):
            changes[name] = Change.accepted(change.requested, record.applied[name], change.before)
    return changes


def _undo(name: str, undone: _dropin.Confirmation, report: Report) -> None:
    with _transaction.uninterrupted():
        mismatches = _transaction.restore(undone.values)
        try:
            if _dropin.is_edited(name) and _dropin.take(name) != undone.file:
                report.warnings.append(_was_copied(name, _dropin.keep_copy(name)))
            _dropin.restore(name, undone.file)
        except OSError as error:
            raise Failure(
                f"{_dropin.path_of(name)} could not be restored ({error.strerror}); "
                f"its former content is in {_dropin.record_path_of(name)}.",
                mismatches=mismatches,
            ) from None
        if mismatches:
            raise Failure(
                f"Some values of {name} could not be restored; {_dropin.record_path_of(name)} is kept.",
                mismatches=mismatches,
            )
        _dropin.write_record(name, undone.record) if undone.record else _dropin.remove_record(name)


def _interference(applied: Mapping[str, str], originals: Mapping[str, str], report: Report) -> dict[str, str]:
    """The parameters that have neither the applied nor the original value, with their values."""
    applied = _coupling.resulting(applied)
    found = {parameter: change.before or "" for parameter, change in report.changes.items()}
    return {
        parameter: value
        for parameter, value in found.items()
        if value not in (originals[parameter], applied.get(parameter, value))
    }


def _not_persisted(parameter: str) -> str:
    reason = "its name contains characters with a special meaning in sysctl.d"
    if not _kernel.kind_of(parameter).persistable:
        reason = "sysctl.d sets sysctls only"
    return f"{parameter} is set, but will not survive a reboot: {reason}. Apply it again after a reboot"


def _will_be_copied(name: str) -> str:
    return f"{_dropin.path_of(name)} has been edited since it was written; a copy will be kept beside it"


def _was_copied(name: str, copy: str) -> str:
    return (
        f"{_dropin.path_of(name)} had been edited since it was written; the edited file is now {copy}, "
        "which nothing applies: put your own lines into another file of sysctl.d"
    )
