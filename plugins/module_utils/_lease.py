# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Lend values to a host and take them back: the states `leased` and `restored` of the module sysctl."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils import (
    _coupling,
    _delegate,
    _journal,
    _kernel,
    _transaction,
    _watchdog,
)
from ansible_collections.autotune.kernel.plugins.module_utils._change import Change
from ansible_collections.autotune.kernel.plugins.module_utils._transaction import Failure


@dataclass
class Report:
    """What a call did. `file` is the name, former and present content of a file, if one was concerned."""

    changes: dict[str, Change] = field(default_factory=dict)
    lease: dict[str, Any] | None = None
    originals: dict[str, str] = field(default_factory=dict)
    verdict: dict[str, Any] | None = None
    file: tuple[str, str, str] | None = None
    warnings: list[str] = field(default_factory=list)


class Lapsed(Failure):
    """The lease that the caller means has ended, so that nothing was done. `verdict` says how, if the host knows."""

    def __init__(self, nonce: str, verdict: dict[str, Any] | None) -> None:
        self.verdict = verdict if verdict and verdict["nonce"] == nonce else None
        how = "nothing here says how"
        if self.verdict and self.verdict["verified"]:
            how = f"the host put its own values back, verified, at {self.verdict['at']}"
        elif self.verdict:
            how = f"at {self.verdict['at']} the host could NOT put back all of its own values"
        super().__init__(f"The lease {nonce} has ended ({how}); nothing was written. Begin a new one without a nonce.")

    def as_result(self) -> dict[str, Any]:
        return {**super().as_result(), "lapsed": True, "verdict": self.verdict}


def lend(
    values: Mapping[str, str],
    holder: str,
    seconds: int,
    allow_unsafe: Collection[str] = (),
    check: bool = False,
    nonce: str | None = None,
    process_group: str | None = None,
) -> Report:
    """Set values until the holder gives them back or `seconds` have gone by without another call; raises Failure.

    With a nonce the lease of that nonce is renewed, or Lapsed raised if it has ended.
    """
    report = Report()
    with contextlib.nullcontext() if check else _journal.locked():
        lease = claim(holder, report, check, nonce)
        plan = _transaction.prepare(values, allow_unsafe, lease.originals if lease else {}, is_loan=True)
        if check:
            report.changes = _transaction.predicted(plan)
            return report
        expected = _coupling.expected(plan.targets)
        if lease:
            report.warnings += [
                f"somebody else had set {parameter} to {value!r} during the lease of {holder}"
                for parameter, value in lease.foreign().items()
            ]
            fresh = _journal.renewed(lease, seconds, plan.before, expected, process_group)
        else:
            own, deadline = os.urandom(16).hex(), _journal.now() + seconds
            fresh = _journal.Lease(holder, own, deadline, plan.before, expected, process_group=process_group)
            report.verdict = _journal.read_verdict()
        try:
            _journal.write(fresh)
            report.warnings += _watchdog.ensure()
            report.changes = _transaction.carry_out(plan)
        except (Failure, OSError) as error:
            _leave_as_it_was(lease, fresh, error)
        # Without this the journal still has what was asked for, which serves as well unless the kernel clamped.
        with contextlib.suppress(OSError):
            _journal.write(replace(fresh, values={**fresh.values, **_read(plan.before)}, previous={}))
            _journal.forget_verdict()
        report.lease = {"holder": holder, "nonce": fresh.nonce, "expires_in": round(fresh.expires_in, 3)}
        report.originals = fresh.originals
    return report


def give_back(holder: str | None = None, check: bool = False, nonce: str | None = None) -> Report:
    """End the lease and put the host's own values back, verified; raises Failure naming what could not be put back.

    With a nonce only the lease of that nonce; if it has ended the report has its verdict, if the host knows it.
    """
    report = Report(verdict=_journal.read_verdict())
    _end_others(holder, check, nonce, report)
    with contextlib.nullcontext() if check else _journal.locked():
        lease = _journal.read()
        if lease is None:
            return report
        refuse_other(lease, holder, unless_unnamed=True)
        if nonce not in (None, lease.nonce):
            raise Lapsed(str(nonce), report.verdict)
        tell_foreign({**lease.foreign_seen, **lease.foreign()}, report.warnings)
        report.changes = restoration(lease.originals, report)
        if not check:
            report.verdict = end(lease)
    return report


def _end_others(holder: str | None, check: bool, nonce: str | None, report: Report) -> None:
    """End the lease of the account with net.* alone, if root means that one; fills the report. Raises Failure.

    By that account's own program, which can do no harm with what the account has put into its journal.
    """
    others = _journal.read_others()
    if others is None:
        return
    refuse_other(others, holder, unless_unnamed=os.geteuid() == 0)
    if os.geteuid() != 0 or nonce not in (None, others.nonce):
        return
    if check:
        report.changes = restoration(others.originals, report)
        return
    answer = _delegate.end_lease()
    report.verdict = answer["verdict"]
    report.changes = {parameter: Change(**change) for parameter, change in answer["parameters"].items()}
    report.warnings += answer["warnings"]


def restoration(originals: Mapping[str, str], report: Report) -> dict[str, Change]:
    """The changes that putting these originals back makes; warns of parameters which have gone."""
    found = _read(originals)
    report.warnings += [
        f"{parameter} has gone from this host, so nothing of it was put back"
        for parameter in originals
        if parameter not in found and not _kernel.is_transient(parameter)
    ]
    return {
        parameter: Change(
            "unchanged" if found[parameter] == original else "applied", original, found[parameter], original
        )
        for parameter, original in originals.items()
        if parameter in found
    }


def claim(holder: str | None, report: Report, check: bool = False, nonce: str | None = None) -> _journal.Lease | None:
    """The holder's own lease, None if nobody has one; a lease that ran out is settled first.

    Raises Failure if somebody else holds the host, and Lapsed if the lease of that nonce is not in force.
    """
    _heed_others()
    lease = _settled(holder, report, check)
    if nonce is not None and (lease is None or lease.nonce != nonce):
        raise Lapsed(nonce, report.verdict or _journal.read_verdict())
    return lease


def _settled(holder: str | None, report: Report, check: bool) -> _journal.Lease | None:
    lease = _journal.read()
    if lease is None:
        return None
    if not lease.is_stale:
        refuse_other(lease, holder)
        return lease
    if check:
        report.warnings.append(f"the lease of {lease.holder} ran out; its values would be put back first")
        return None
    verdict = report.verdict = end(lease, has_run_out=True)
    report.warnings.append(
        f"the lease of {lease.holder} had run out {-lease.expires_in:.0f} seconds ago and no watchdog had ended it; "
        "the host's own values were put back first"
    )
    tell_foreign(verdict["foreign"], report.warnings)
    return None


def _heed_others() -> None:
    """Raise Failure where the account with net.* alone, or root if this is that account, has values on loan."""
    others = _journal.read_others()
    if others is None:
        return
    refuse_other(others, None)
    raise Failure(
        f"The lease of {others.holder} has run out, but its values are not back yet; nothing was written. "
        "Try again in a moment; if this does not change, root can put them back with state=restored."
    )


def refuse_other(lease: _journal.Lease, holder: str | None, unless_unnamed: bool = False) -> None:
    """Raise Failure if somebody else's lease is in force."""
    if lease.is_stale or lease.holder == holder or (holder is None and unless_unnamed):
        return
    raise Failure(
        f"{lease.holder} holds this host for another {lease.expires_in:.0f} seconds; nothing was written. "
        f"Wait, or end that lease with state=restored holder={lease.holder}."
    )


def end(lease: _journal.Lease, has_run_out: bool = False) -> dict[str, Any]:
    """Put a lease's originals back and forget it: the verdict. If one is not back, the lease stays: raises Failure."""
    with _transaction.undisturbed():
        verdict = _journal.restore(lease)
        if verdict["verified"]:
            _forget(verdict, has_run_out)
            return verdict
    mismatches = [_transaction.Mismatch(**mismatch) for mismatch in verdict["mismatches"]]
    raise Failure(
        "The host's own values could not all be put back; the journal of the lease stays.", mismatches=mismatches
    )


def _forget(verdict: dict[str, Any], has_run_out: bool) -> None:
    try:
        _journal.conclude(verdict) if has_run_out else _journal.end()
    except OSError as error:
        raise Failure(
            f"The host's own values are back, verified, but the journal of the lease cannot be removed ({error}), "
            "and whoever finds it puts them back once more. Remove it."
        ) from None


def tell_foreign(foreign: Mapping[str, str], warnings: list[str]) -> None:
    """Warn of parameters which somebody else set meanwhile.

    They are put back all the same: the value from before is what a lease owes, and the other one is not lost if told.
    """
    warnings += [
        f"somebody else had set {parameter} to {value!r} meanwhile; it was put back to the value from before, "
        f"if the other one is meant run: {_transaction.by_hand(parameter, foreign)}"
        for parameter, value in foreign.items()
    ]


def _leave_as_it_was(lease: _journal.Lease | None, fresh: _journal.Lease, error: Failure | OSError) -> None:
    """After a failed attempt, make the journal say what holds. It stays if a value could not be put back."""
    if isinstance(error, OSError):
        failure = Failure(
            f"The lease could not be put on record in {_journal.RUN_DIRECTORY} ({error.strerror}); nothing was written."
        )
    else:
        failure = error
    if failure.restored:
        with contextlib.suppress(OSError):
            if lease:
                _journal.write(replace(lease, deadline=fresh.deadline, foreign_seen=fresh.foreign_seen))
            else:
                _journal.end()
    raise failure from None


def _read(parameters: Collection[str]) -> dict[str, str]:
    found = {}
    for parameter in parameters:
        with contextlib.suppress(OSError):
            found[parameter] = _kernel.read(parameter)
    return found
