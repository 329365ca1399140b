# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Leasing values to a host and restoring its originals: the states `leased` and `restored` of the module sysctl."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils import (
    _coupling,
    _gate_client,
    _journal,
    _kernel,
    _transaction,
    _verdict,
    _watchdog,
)
from ansible_collections.autotune.kernel.plugins.module_utils._change import Change, Failure, Mismatch, Report


class LeaseExpired(Failure):
    """The lease of the caller's nonce has ended, so nothing was done. `verdict` says how, if the host knows."""

    def __init__(self, nonce: str, verdict: dict[str, Any] | None) -> None:
        self.verdict = verdict if verdict and verdict["nonce"] == nonce else None
        how = "the host does not know how"
        if self.verdict and self.verdict["verified"]:
            how = f"the host restored and verified its original values at {self.verdict['at']}"
        elif self.verdict:
            how = f"at {self.verdict['at']} the host could NOT restore all of its original values"
        super().__init__(f"The lease {nonce} has ended ({how}); nothing was written. Start a new one without a nonce.")

    def as_result(self) -> dict[str, Any]:
        return {**super().as_result(), "expired": True, "verdict": self.verdict}


def acquire(
    values: Mapping[str, str],
    holder: str,
    seconds: int,
    allow_unsafe: Collection[str] = (),
    check: bool = False,
    nonce: str | None = None,
    process_group: str | None = None,
) -> Report:
    """Set values until the holder ends the lease, or `seconds` pass without another call; raises Failure.

    With a nonce, renews the lease of that nonce, or raises LeaseExpired.
    """
    report = Report()
    with contextlib.nullcontext() if check else _journal.locked():
        lease = own_lease(holder, report, check, nonce)
        plan = _transaction.prepare(values, allow_unsafe, lease.originals if lease else {}, is_lease=True)
        if check:
            report.changes = _transaction.predicted(plan)
            return report
        resulting = _coupling.resulting(plan.values)
        if lease:
            found = lease.current_interference()
            report.warnings += [
                f"another process set {parameter} to {value!r} during the lease of {holder}"
                for parameter, value in found.items()
            ]
            seen = replace(lease, interference={**lease.interference, **found})
            fresh = _journal.renewed(seen, seconds, plan.before, resulting, process_group)
        else:
            new_nonce, deadline = os.urandom(16).hex(), _journal.now() + seconds
            fresh = _journal.Lease(holder, new_nonce, deadline, plan.before, resulting, process_group=process_group)
            report.verdict = _verdict.read()
        try:
            _journal.write(fresh)
            report.warnings += _watch_over()
            report.changes = _transaction.carry_out(plan)
        except (Failure, OSError) as error:
            _undo_journal(lease, fresh, error)
        # If this fails, the journal has the requested values, which differ only if the kernel clamped one.
        with contextlib.suppress(OSError):
            _journal.write(replace(fresh, applied={**fresh.applied, **_kernel.read_all(plan.before)}, previous={}))
            _verdict.remove()
        report.lease = fresh.summary()
        report.originals = fresh.originals
    return report


def release(holder: str | None = None, check: bool = False, nonce: str | None = None) -> Report:
    """End the lease, and restore and verify the originals; raises Failure naming what could not be restored.

    With a nonce, only the lease of that nonce. Without a lease, the report has the verdict of the last one, if any.
    """
    report = Report(verdict=_verdict.read())
    _release_other(holder, check, nonce, report)
    with contextlib.nullcontext() if check else _journal.locked():
        lease = _journal.read()
        if lease is None:
            return report
        check_holder(lease, holder, or_unnamed=True)
        if nonce not in (None, lease.nonce):
            raise LeaseExpired(str(nonce), report.verdict)
        report.warnings += interference_warnings(lease.all_interference())
        report.changes = restoration(lease.originals, report)
        if not check:
            report.verdict = end(lease)
    return report


def _release_other(holder: str | None, check: bool, nonce: str | None, report: Report) -> None:
    """For root: end the lease of the network account, if that one is meant; fills the report. Raises Failure.

    The account's own gate does it, which keeps root from acting on what the account has written into its journal.
    """
    other = _journal.read_other()
    if other is None:
        return
    check_holder(other, holder, or_unnamed=os.geteuid() == 0)
    if os.geteuid() != 0 or nonce not in (None, other.nonce):
        return
    if check:
        report.changes = restoration(other.originals, report)
        return
    answer = _gate_client.end_lease()
    report.verdict = answer["verdict"]
    report.changes = {parameter: Change(**change) for parameter, change in answer["parameters"].items()}
    report.warnings += answer["warnings"]


def restoration(originals: Mapping[str, str], report: Report) -> dict[str, Change]:
    """The changes that restoring these makes; warns of parameters that no longer exist."""
    found = _kernel.read_all(originals)
    report.warnings += [
        f"{parameter} no longer exists on this host, so it was not restored"
        for parameter in originals
        if parameter not in found and not _kernel.is_transient(parameter)
    ]
    return {
        name: Change.accepted(original, found[name], original) for name, original in originals.items() if name in found
    }


def own_lease(
    holder: str | None, report: Report, check: bool = False, nonce: str | None = None
) -> _journal.Lease | None:
    """The holder's lease, or None; an expired one is ended first, whoever held it.

    Raises Failure if somebody else holds a lease, and LeaseExpired if that of the nonce is not in force.
    """
    _check_other()
    lease = _in_force(holder, report, check)
    if nonce is not None and (lease is None or lease.nonce != nonce):
        raise LeaseExpired(nonce, report.verdict or _verdict.read())
    return lease


def _in_force(holder: str | None, report: Report, check: bool) -> _journal.Lease | None:
    lease = _journal.read()
    if lease is None:
        return None
    if not lease.is_expired:
        check_holder(lease, holder)
        return lease
    if check:
        report.warnings.append(f"the lease of {lease.holder} has expired; its originals would be restored first")
        return None
    verdict = report.verdict = end(lease, has_expired=True)
    report.warnings.append(
        f"the lease of {lease.holder} expired {-lease.expires_in:.0f} seconds ago and its watchdog had not ended it; "
        "the original values were restored first"
    )
    report.warnings += interference_warnings(verdict["interference"])
    return None


def _check_other() -> None:
    """Raise Failure if the network account has a lease, or root, if this is that account."""
    other = _journal.read_other()
    if other is None:
        return
    check_holder(other, None)
    raise Failure(
        f"The lease of {other.holder} has expired, but its originals are not restored yet; nothing was written. "
        "Try again in a few seconds; if this persists, let root run state=restored."
    )


def check_holder(lease: _journal.Lease, holder: str | None, or_unnamed: bool = False) -> None:
    """Raise Failure if the lease is in force and somebody else's. or_unnamed: no holder means anybody's."""
    if lease.is_expired or lease.holder == holder or (holder is None and or_unnamed):
        return
    raise Failure(
        f"{lease.holder} holds a lease on this host for another {lease.expires_in:.0f} seconds; nothing was written. "
        f"Wait, or end that lease with state=restored holder={lease.holder}."
    )


def end(lease: _journal.Lease, has_expired: bool = False) -> dict[str, Any]:
    """Restore a lease's originals and remove its journal: the verdict. If a value is not restored, raises Failure."""
    with _transaction.uninterrupted():
        verdict = _verdict.restore(lease)
        if verdict["verified"]:
            try:
                _verdict.conclude(verdict) if has_expired else _journal.remove()
            except OSError as error:
                raise Failure(
                    "The original values were restored and verified, but the lease journal could not be removed "
                    f"({error}). Remove it, or they will be restored again."
                ) from None
            return verdict
    mismatches = [Mismatch(**mismatch) for mismatch in verdict["mismatches"]]
    raise Failure("Some original values could not be restored; the lease journal is kept.", mismatches=mismatches)


def interference_warnings(values: Mapping[str, str]) -> list[str]:
    """Warnings about parameters that another process has set.

    A lease promises the original, so that is restored all the same; the warning says how to get the other value back.
    """
    return [
        f"another process had set {parameter} to {value!r}; the value from before the lease was restored. "
        f"If the other one is right, run: {_kernel.command_to_set(parameter, value)}"
        for parameter, value in values.items()
    ]


def _watch_over() -> list[str]:
    """Start the watchdog unless it runs: warnings. Raises Failure."""
    try:
        return _watchdog.ensure()
    except OSError as error:
        raise Failure(f"The lease's watchdog could not be started ({error}); no value was changed.") from None


def _undo_journal(lease: _journal.Lease | None, fresh: _journal.Lease, error: Failure | OSError) -> None:
    """After a failed attempt, make the journal match the host. It stays if a value could not be restored."""
    if isinstance(error, OSError):
        failure = Failure(
            f"The lease journal could not be written to {_journal.RUN_DIRECTORY} ({error.strerror}); "
            "no value was changed."
        )
    else:
        failure = error
    if failure.restored:
        with contextlib.suppress(OSError):
            if lease:
                _journal.write(replace(lease, deadline=fresh.deadline, interference=fresh.interference))
            else:
                _journal.remove()
    raise failure from None
