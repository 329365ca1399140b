# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The end of a lease: restoring the original values, and the verdict on that, kept until the next call reports it."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils import (
    _durable,
    _journal,
    _kernel,
    _process_group,
    _transaction,
)


def restore(lease: _journal.Lease) -> dict[str, Any]:
    """Restore the originals and verify them: the verdict. The journal stays, for the caller to remove.

    What is left of the benchmark is killed first: it may set values itself, and it measured the leased ones.
    """
    ended = _process_group.end(lease.process_group) if lease.process_group else 0
    interference = lease.all_interference()
    differing = [
        parameter
        for parameter, value in lease.originals.items()
        if _kernel.read_or_none(parameter) not in (None, value)
    ]
    mismatches = _transaction.restore(lease.originals)
    ended += _process_group.end_strays(lease.process_group) if lease.process_group else 0
    wrong = {mismatch.parameter for mismatch in mismatches}
    return {
        "holder": lease.holder,
        "nonce": lease.nonce,
        "restored": [parameter for parameter in differing if parameter not in wrong],
        "verified": not mismatches,
        "mismatches": [asdict(mismatch) for mismatch in mismatches],
        "interference": interference,
        "missing": _transaction.gone(lease.originals),
        "processes_ended": ended,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def conclude(verdict: dict[str, Any]) -> None:
    """Leave the verdict for the next call, and remove the journal if the originals are restored.

    A verdict that cannot be written does not keep a lease alive. Raises OSError if the journal cannot be removed.
    """
    is_written = _write(verdict)
    if verdict["verified"]:
        _journal.remove()
        if not is_written:
            _write(verdict)  # on a full disk, removing the journal may have made room


def _write(verdict: dict[str, Any]) -> bool:
    try:
        _durable.write_json(_file(), verdict)
    except OSError:
        return False
    return True


def read() -> dict[str, Any] | None:
    """How the last lease ended that its holder did not end, or None."""
    return _verdict_in(_file())


def read_any() -> dict[str, Any] | None:
    """The verdict that this account can see, whoever held the lease, or None."""
    return read() or _verdict_in(os.path.join(_journal.RUN_DIRECTORY, "verdict.json"))


def _verdict_in(path: str) -> dict[str, Any] | None:
    try:
        verdict = _durable.read_json(path)
    except (ValueError, OSError):
        return None
    return verdict if verdict and {"nonce", "verified", "at"} <= verdict.keys() else None


def remove() -> None:
    """Remove the verdict once it has been reported; raises OSError."""
    _durable.remove(_file())


def _file() -> str:
    return os.path.join(_journal.folder(), "verdict.json")
