# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a host remembers of values on loan: the journal of the lease, the verdict of its end, the lock over both."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils import (
    _durable,
    _kernel,
    _lock,
    _process_group,
    _transaction,
    _trust,
    _value,
)

RUN_DIRECTORY = "/run/autotune"
FORMAT = 1
_NETWORK = "network"  # below that, the folder of the account to which role access gives net.* alone
_TEXTS = ("originals", "values", "previous", "foreign_seen")


@dataclass(frozen=True)
class Lease:
    """Values on loan to a host.

    deadline: in seconds of CLOCK_BOOTTIME. previous: the values before the lease was renewed, which a parameter may
    still have if the renewal was cut short. foreign_seen: what others were found to have set. process_group: the file
    that names the process group of the benchmark that runs under the lease.
    """

    holder: str
    nonce: str
    deadline: float
    originals: dict[str, str]
    values: dict[str, str]
    previous: dict[str, str] = field(default_factory=dict)
    foreign_seen: dict[str, str] = field(default_factory=dict)
    process_group: str | None = None
    boot_id: str = field(default_factory=_kernel.boot_id)
    network_namespace: int = field(default_factory=_kernel.network_namespace)
    format: int = FORMAT

    @property
    def expires_in(self) -> float:
        return self.deadline - now()

    @property
    def is_stale(self) -> bool:
        return self.expires_in <= 0

    def foreign(self) -> dict[str, str]:
        """Parameters to which somebody else gave a value, with that value."""
        found = {}
        for parameter, original in self.originals.items():
            with contextlib.suppress(OSError):
                value = _kernel.read(parameter)
                if value not in (
                    original,
                    self.values.get(parameter, original),
                    self.previous.get(parameter, original),
                ):
                    found[parameter] = value
        return found


def now() -> float:
    """Seconds since boot, suspension included: nobody can set this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def folder() -> str:
    """Where this process keeps its lease: a folder of root's, or that of the account which is not root."""
    return RUN_DIRECTORY if os.geteuid() == 0 else os.path.join(RUN_DIRECTORY, _NETWORK)


def read() -> Lease | None:
    """The lease, in force or run out, None if this boot has none; raises Failure if it cannot be understood."""
    return _lease_in(_file("lease.json"))


def read_others() -> Lease | None:
    """The lease of the account with net.* alone, for root; root's, for such an account.

    Root has to heed it, but does not obey it: any process of that account can have written it. Raises Failure.
    """
    is_root = os.geteuid() == 0
    return _lease_in(os.path.join(RUN_DIRECTORY, *[_NETWORK] * is_root, "lease.json"), anybodys=is_root)


def told() -> Lease | None:
    """The lease that this host has, whoever holds it, for anybody who asks: to be told, not to be obeyed.

    Raises Failure.
    """
    networks = os.path.join(RUN_DIRECTORY, _NETWORK, "lease.json")
    return _lease_in(os.path.join(RUN_DIRECTORY, "lease.json")) or _lease_in(networks, anybodys=True)


def _lease_in(path: str, anybodys: bool = False) -> Lease | None:
    try:
        content = _durable.read_json(path, anybodys)
        if content is None or content.get("boot_id") != _kernel.boot_id():
            return None  # the values went with that boot
        if content.get("format") != FORMAT:
            raise ValueError(f"its format is {content.get('format')!r}, this release understands {FORMAT}")
        lease = _checked(Lease(**{item.name: content[item.name] for item in fields(Lease)}))
    except _trust.Untrusted as error:
        rest = "remove it" if error.filename == path else "give it back to root (chown root, chmod go-w)"
        raise _transaction.Failure(
            f"{error.filename}: {error.strerror}, so the journal of a lease in it is not believed. "
            f"Find out who wrote it, check the host's values, then {rest}."
        ) from None
    except (ValueError, TypeError, KeyError, ArithmeticError, OSError) as error:
        if isinstance(error, PermissionError) and os.geteuid() != 0:
            raise _transaction.Failure(f"{path} is not for user id {os.geteuid()} to read: use become.") from None
        raise _transaction.Failure(
            f"The journal {path} cannot be read ({error}), so the host's own values are unknown: "
            "check them, then remove the file."
        ) from None
    if lease.network_namespace != _kernel.network_namespace():
        raise _transaction.Failure(
            f"{lease.holder} holds this host from another network namespace (inode {lease.network_namespace}), "
            f"whose values cannot be put back from here; if that namespace has gone, remove {path}."
        )
    return lease


def _checked(lease: Lease) -> Lease:
    """The lease, if it is of the types that it should be; raises ValueError, TypeError or ArithmeticError."""
    if not math.isfinite(lease.deadline):
        raise ValueError("its deadline is not a time")
    if not all(isinstance(text, str) and text.isprintable() for text in (lease.holder, lease.nonce)):
        raise ValueError("its holder is not a name")
    if not isinstance(lease.network_namespace, int):
        raise TypeError("its network namespace is not a number")
    if not isinstance(lease.process_group, (str, type(None))):
        raise TypeError("its process group is not a file")
    for name in _TEXTS:
        _value.stored(name, getattr(lease, name))
    return lease


def write(lease: Lease) -> None:
    """Put the lease on record; returns once it is safe. Raises OSError."""
    _durable.write_json(_file("lease.json"), asdict(lease))


def end() -> None:
    """Forget the lease; raises OSError."""
    _durable.remove(_file("lease.json"))


def restore(lease: Lease) -> dict[str, Any]:
    """Put the host's own values back and verify them: the verdict. The journal stays, for the caller to end.

    What is left of the benchmark ends first: it could set values itself, and it was measuring others.
    """
    ended = _process_group.end(lease.process_group) if lease.process_group else 0
    foreign = {**lease.foreign_seen, **lease.foreign()}
    differing = [
        parameter
        for parameter, value in lease.originals.items()
        if _kernel.read_or_none(parameter) not in (None, value)
    ]
    mismatches = _transaction.put_back(lease.originals)
    ended += _process_group.end_strays(lease.process_group) if lease.process_group else 0
    wrong = {mismatch.parameter for mismatch in mismatches}
    return {
        "holder": lease.holder,
        "nonce": lease.nonce,
        "restored": [parameter for parameter in differing if parameter not in wrong],
        "verified": not mismatches,
        "mismatches": [asdict(mismatch) for mismatch in mismatches],
        "foreign": foreign,
        "missing": _transaction.gone(lease.originals),
        "processes_ended": ended,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def conclude(verdict: dict[str, Any]) -> None:
    """Leave the verdict for the next contact, and forget the lease if its values are back.

    What is owed are the values: a verdict that cannot be written keeps no lease alive. Raises OSError if the journal
    cannot be removed.
    """
    is_told = _tell(verdict)
    if verdict["verified"]:
        end()
        if not is_told:
            _tell(verdict)  # where there was no space, the journal may have left some


def _tell(verdict: dict[str, Any]) -> bool:
    try:
        _durable.write_json(_file("verdict.json"), verdict)
    except OSError:
        return False
    return True


def read_verdict() -> dict[str, Any] | None:
    """How the last lease ended that its holder did not end himself, or None."""
    return _verdict_in(_file("verdict.json"))


def told_verdict() -> dict[str, Any] | None:
    """The same for anybody who asks, whose lease it may not have been."""
    return read_verdict() or _verdict_in(os.path.join(RUN_DIRECTORY, "verdict.json"))


def _verdict_in(path: str) -> dict[str, Any] | None:
    try:
        verdict = _durable.read_json(path)
    except (ValueError, OSError):
        return None
    return verdict if verdict and {"nonce", "verified", "at"} <= verdict.keys() else None


def forget_verdict() -> None:
    """Remove the verdict, once it has been told; raises OSError."""
    _durable.remove(_file("verdict.json"))


def renewed(
    lease: Lease, seconds: float, originals: dict[str, str], values: dict[str, str], process_group: str | None
) -> Lease:
    """The lease prolonged and widened to further values; the originals it has stay."""
    return replace(
        lease,
        deadline=now() + seconds,
        foreign_seen={**lease.foreign_seen, **lease.foreign()},
        process_group=process_group or lease.process_group,
        originals={**originals, **lease.originals},
        values={**lease.values, **values},
        previous=lease.values,
    )


@contextlib.contextmanager
def locked(seconds: float = 30, is_overdue: Callable[[], bool] | None = None) -> Iterator[None]:
    """Be the only one who works on this host's values; raises Failure after waiting for so many seconds.

    With `is_overdue`, who still holds the lock when that is true is killed instead: values that are to be put back
    do not wait for a call that hangs.
    """
    descriptor = _opened_lock()
    try:
        until = now() + seconds
        while not _lock.take(descriptor):
            if now() >= until:
                if is_overdue is None or not is_overdue():
                    raise _transaction.Failure(
                        f"Another call has been working on this host's values for {seconds:g} seconds "
                        f"(process {_lock.owner(descriptor) or 'unknown'}); try again."
                    )
                _lock.kill_owner(descriptor)
                until = now() + seconds
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def _opened_lock() -> int:
    try:
        with contextlib.suppress(FileExistsError):
            os.makedirs(folder())
            os.chmod(folder(), 0o755)  # noqa: S103 (whatever the umask: every account may ask who holds the host)
        _trust.check_folder(folder())
        return _lock.opened(os.path.join(RUN_DIRECTORY, "lock"))  # one for root and the account with net.* alone
    except _trust.Untrusted as error:
        raise _transaction.Failure(
            f"{error.filename}: {error.strerror}, so nothing is kept there. Find out how that came about, "
            "then give it back to root (chown root, chmod go-w)."
        ) from None
    except OSError as error:
        hint = ": this needs root, use become" if isinstance(error, PermissionError) else ""
        raise _transaction.Failure(f"{RUN_DIRECTORY} cannot be used ({error.strerror}){hint}.") from None


def _file(name: str) -> str:
    return os.path.join(folder(), name)
