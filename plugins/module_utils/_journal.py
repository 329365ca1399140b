# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a host remembers of values on loan: the journal of the lease, the verdict of its end, the lock over both."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils import (
    _denylist,
    _durable,
    _process_group,
    _procfs,
    _transaction,
)

RUN_DIRECTORY = "/run/autotune"
FORMAT = 1


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
    boot_id: str = field(default_factory=_procfs.boot_id)
    network_namespace: int = field(default_factory=_procfs.network_namespace)
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
                value = _procfs.read(parameter)
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


def read() -> Lease | None:
    """The lease, in force or run out, None if this boot has none; raises Failure if it cannot be understood."""
    path = _file("lease.json")
    try:
        content = _durable.read_json(path)
        if content is None or content.get("boot_id") != _procfs.boot_id():
            return None  # the values went with that boot
        if content.get("format") != FORMAT:
            raise ValueError(f"its format is {content.get('format')!r}, this release understands {FORMAT}")
        lease = Lease(**{item.name: content[item.name] for item in fields(Lease)})
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise _transaction.Failure(
            f"The journal {path} cannot be read ({error}), so the host's own values are unknown: "
            "check them, then remove the file."
        ) from None
    if lease.network_namespace != _procfs.network_namespace():
        raise _transaction.Failure(
            f"{lease.holder} holds this host from another network namespace (inode {lease.network_namespace}), "
            f"whose values cannot be put back from here; if that namespace has gone, remove {path}."
        )
    if os.geteuid() == 0 and (owner := os.stat(RUN_DIRECTORY).st_uid) != 0:
        # Where role access keeps the journal for an account with CAP_NET_ADMIN: root sets nothing else on its word.
        beyond = [parameter for parameter in lease.originals if _is_beyond_net(parameter)]
        if beyond:
            raise _transaction.Failure(
                f"The journal {path} belongs to user id {owner}, who could never have set {beyond[0]}: "
                "nothing in it is believed. Find out who wrote it, then remove it."
            )
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
        if _procfs.read_or_none(parameter) not in (None, value)
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


def write_verdict(verdict: dict[str, Any]) -> None:
    """Leave the verdict for the next contact; raises OSError."""
    _durable.write_json(_file("verdict.json"), verdict)


def read_verdict() -> dict[str, Any] | None:
    """How the last lease ended that its holder did not end himself, or None."""
    try:
        return _durable.read_json(_file("verdict.json"))
    except (ValueError, OSError):
        return None


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
def locked(seconds: float = 30, insist: bool = False) -> Iterator[None]:
    """Be the only one who works on this host's values; raises Failure after waiting for so many seconds.

    With `insist`, who still holds the lock then is killed: the watchdog must not wait for a call that hangs.
    """
    try:
        os.makedirs(RUN_DIRECTORY, mode=0o755, exist_ok=True)
        descriptor = os.open(_file("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _transaction.Failure(
            f"{RUN_DIRECTORY} cannot be used ({error.strerror}): this needs root, use become."
        ) from None
    is_mine = False
    try:
        until = now() + seconds
        while not _try_lock(descriptor):
            if now() >= until:
                pid = os.pread(descriptor, 20, 0).decode() or "unknown"
                if not insist:
                    raise _transaction.Failure(
                        f"Another call works on this host's values since {seconds} seconds (process {pid}); try again."
                    )
                if pid.isdigit():
                    os.kill(int(pid), signal.SIGKILL)
                until = now() + seconds
            time.sleep(0.02)
        is_mine = True
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        if is_mine:
            os.ftruncate(descriptor, 0)  # a number left here may be another process's by and by
        os.close(descriptor)


def _is_beyond_net(parameter: str) -> bool:
    return _procfs.components(parameter)[0] != "net" or _denylist.denied_because(parameter) is not None


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _file(name: str) -> str:
    return os.path.join(RUN_DIRECTORY, name)
