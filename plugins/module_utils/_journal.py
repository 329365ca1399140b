# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The journal of leased values, and the lock under which values are set. How a lease ended: _verdict.py.

There may be two accounts that lease values: root, and the network account, to which role `access` grants net.* only
(`access_scope: network`). Each has a journal, and both share the lock.
"""

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
    _trust,
    _value,
)
from ansible_collections.autotune.kernel.plugins.module_utils._change import Failure

RUN_DIRECTORY = "/run/autotune"
FORMAT = 2
_NETWORK = "network"  # the folder of the network account in RUN_DIRECTORY


@dataclass(frozen=True)
class Lease:
    """Values leased to a host.

    deadline: in seconds of CLOCK_BOOTTIME. previous: the values before the last renewal, which a parameter may still
    have if the renewal was interrupted. interference: values that others were found to have set. process_group: the
    file that names the process group of the benchmark that runs under the lease.
    """

    holder: str
    nonce: str
    deadline: float
    originals: dict[str, str]
    applied: dict[str, str]
    previous: dict[str, str] = field(default_factory=dict)
    interference: dict[str, str] = field(default_factory=dict)
    process_group: str | None = None
    boot_id: str = field(default_factory=_kernel.boot_id)
    network_namespace: int = field(default_factory=_kernel.network_namespace)
    format: int = FORMAT

    @property
    def expires_in(self) -> float:
        return self.deadline - now()

    @property
    def is_expired(self) -> bool:
        return self.expires_in <= 0

    def summary(self) -> dict[str, Any]:
        """What callers are told of it."""
        return {"holder": self.holder, "nonce": self.nonce, "expires_in": round(self.expires_in, 3)}

    def current_interference(self) -> dict[str, str]:
        """The parameters that another process has set, with their values."""
        found = {}
        for parameter, original in self.originals.items():
            value = _kernel.read_or_none(parameter)
            ours = (original, self.applied.get(parameter), self.previous.get(parameter))
            if value is not None and value not in ours:
                found[parameter] = value
        return found

    def all_interference(self) -> dict[str, str]:
        """The same, with what was found earlier."""
        return {**self.interference, **self.current_interference()}


def now() -> float:
    """Seconds since boot, suspension included. Nobody can set this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def folder() -> str:
    """Where this process keeps its journal: root's folder, or that of the network account."""
    return RUN_DIRECTORY if os.geteuid() == 0 else os.path.join(RUN_DIRECTORY, _NETWORK)


def read() -> Lease | None:
    """The lease, in force or expired; None if there is none from this boot. Raises Failure if it is unreadable."""
    return _lease_in(_file("lease.json"))


def read_other() -> Lease | None:
    """For root, the lease of the network account, and the other way round. Raises Failure.

    Root respects that lease but must not act on its content, which any process of that account can have written.
    """
    is_root = os.geteuid() == 0
    return _lease_in(os.path.join(RUN_DIRECTORY, *[_NETWORK] * is_root, "lease.json"), any_owner=is_root)


def read_any() -> Lease | None:
    """The lease that this host has, whoever holds it: to be shown, not to be acted on. Raises Failure."""
    network = os.path.join(RUN_DIRECTORY, _NETWORK, "lease.json")
    return _lease_in(os.path.join(RUN_DIRECTORY, "lease.json")) or _lease_in(network, any_owner=True)


def _lease_in(path: str, any_owner: bool = False) -> Lease | None:
    try:
        content = _durable.read_json(path, any_owner)
        if content is None or content.get("boot_id") != _kernel.boot_id():
            return None  # the reboot has restored the values
        if (found := content.get("format")) != FORMAT:
            if isinstance(found, int) and not isinstance(found, bool):
                raise Failure(
                    f"The lease journal {path} is from another release (its format is {found}, this release reads "
                    f"{FORMAT}). Do not remove it: its watchdog restores the values when the lease expires."
                )
            raise ValueError(f"its format is {found!r}, this release reads {FORMAT}")
        lease = _checked(Lease(**{item.name: content[item.name] for item in fields(Lease)}))
    except _trust.Untrusted as error:
        remedy = "remove it" if error.filename == path else "return it to root (chown root, chmod go-w)"
        raise Failure(
            f"{error.filename}: {error.strerror}, so the lease journal in it is not trusted. "
            f"Find out who wrote it, check the host's values, then {remedy}."
        ) from None
    except (ValueError, TypeError, KeyError, ArithmeticError, OSError) as error:
        if isinstance(error, PermissionError) and os.geteuid() != 0:
            raise Failure(f"User id {os.geteuid()} may not read {path}: use become.") from None
        raise Failure(
            f"The lease journal {path} cannot be read ({error}), so the original values are unknown: "
            "check the host's values, then remove the file."
        ) from None
    if lease.network_namespace != _kernel.network_namespace():
        raise Failure(
            f"{lease.holder} holds a lease in another network namespace (inode {lease.network_namespace}), "
            f"whose values cannot be restored from here. If that namespace no longer exists, remove {path}."
        )
    return lease


def _checked(lease: Lease) -> Lease:
    """The lease, if its fields have the right types; raises ValueError, TypeError or ArithmeticError."""
    if not math.isfinite(lease.deadline):
        raise ValueError("deadline: not a time")
    if not all(isinstance(text, str) and text.isprintable() for text in (lease.holder, lease.nonce)):
        raise ValueError("holder or nonce: not printable")
    if not isinstance(lease.network_namespace, int):
        raise TypeError("network_namespace: not a number")
    if not isinstance(lease.process_group, (str, type(None))):
        raise TypeError("process_group: not a path")
    for name in ("originals", "applied", "previous", "interference"):
        _value.checked(name, getattr(lease, name))
    return lease


def write(lease: Lease) -> None:
    """Write the journal; returns once it is durable. Raises OSError."""
    _durable.write_json(_file("lease.json"), asdict(lease))


def remove() -> None:
    """Remove the journal; raises OSError."""
    _durable.remove(_file("lease.json"))


def renewed(
    lease: Lease, seconds: float, originals: dict[str, str], values: dict[str, str], process_group: str | None
) -> Lease:
    """The lease, prolonged and extended by further values; its originals stay."""
    return replace(
        lease,
        deadline=now() + seconds,
        process_group=process_group or lease.process_group,
        originals={**originals, **lease.originals},
        applied={**lease.applied, **values},
        previous=lease.applied,
    )


@contextlib.contextmanager
def locked(seconds: float = 30, is_overdue: Callable[[], bool] | None = None) -> Iterator[None]:
    """Hold the lock on this host's values; raises Failure after waiting this long.

    With `is_overdue`, a process that still holds the lock while that is true is killed instead: the restore of an
    expired lease does not wait for a call that hangs.
    """
    descriptor = _open_lock()
    try:
        until = now() + seconds
        while not _lock.take(descriptor):
            if now() >= until:
                if is_overdue is None or not is_overdue():
                    raise Failure(
                        f"Another call (process {_lock.owner(descriptor) or 'unknown'}) has been working on this "
                        f"host's values for {seconds:g} seconds; nothing was written. Try again."
                    )
                _lock.kill_owner(descriptor)
                until = now() + seconds
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def _open_lock() -> int:
    try:
        with contextlib.suppress(FileExistsError):
            os.makedirs(folder())
            os.chmod(folder(), 0o755)  # noqa: S103 (whatever the umask: every account may ask who holds the host)
        _trust.check_folder(folder())
        return _lock.opened(os.path.join(RUN_DIRECTORY, "lock"))
    except _trust.Untrusted as error:
        raise Failure(
            f"{error.filename}: {error.strerror}, so no journal is kept there. Find out how that happened, "
            "then return it to root (chown root, chmod go-w)."
        ) from None
    except OSError as error:
        hint = ": root is required, use become" if isinstance(error, PermissionError) else ""
        raise Failure(f"{RUN_DIRECTORY} cannot be used ({error.strerror}){hint}.") from None


def _file(name: str) -> str:
    return os.path.join(folder(), name)
