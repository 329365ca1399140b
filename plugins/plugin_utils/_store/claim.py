# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The lock on a study that its trainer holds while it runs. It ends with the process, however that ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO

from sqlalchemy import Connection, Engine, bindparam, text
from sqlalchemy.exc import SQLAlchemyError

from .._file_lock import is_taken, take
from .database import StoreError, cause, name_of

_PATIENCE = 10.0  # seconds, within which a server can restart
_STUDIES = 0x73747564  # "stud": the first of the two numbers of an advisory lock, the other being the study's
_HELD = text(
    "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = :studies "
    "AND objid IN :ids AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
).bindparams(bindparam("ids", expanding=True), studies=_STUDIES)


class Claim:
    """The right of this process to run a study, exclusively. Keep a reference to it while the study runs."""

    def __init__(self, holder: Connection | IO[bytes] | None) -> None:
        self._holder = holder
        self._released = False
        self._lock = threading.Lock()

    @property
    def holder(self) -> Connection | IO[bytes] | None:
        return self._holder

    @property
    def released(self) -> bool:
        return self._released

    def hold(self, holder: Connection | None) -> None:
        """Replace the connection that holds the lock, unless the claim was released meanwhile."""
        with self._lock:
            if self._released and holder:
                holder.close()
            else:
                self._holder = holder

    def release(self) -> None:
        with self._lock:
            self._released = True
            if self._holder:
                self._holder.close()

    def keep(self, engine: Engine, study_id: int, notify: Callable[[str], None], interval: float = 1.0) -> None:
        """From now on, take the lock again whenever it is lost, since a database server forgets locks when it restarts.

        notify: called with a line for the user if the lock cannot be taken for a while, and when it is held again.
        """
        if isinstance(self._holder, Connection):
            keeper = _ClaimKeeper(self, engine, study_id, notify)
            threading.Thread(target=keeper.run, args=(interval,), daemon=True).start()


@dataclass
class _ClaimKeeper:
    """Renews a claim in a database. A loss is reported once it has lasted for _PATIENCE seconds."""

    claim: Claim
    engine: Engine
    study_id: int
    notify: Callable[[str], None]
    lost_since: float | None = None
    reported: bool = False

    def run(self, interval: float) -> None:
        while not self.claim.released:
            self.check(time.monotonic())
            time.sleep(interval)

    def check(self, now: float) -> None:
        """Take the claim again if it is lost, and report a long loss and its end."""
        reason = self._why_lost()
        if reason is None:
            if self.reported:
                self.notify(f"study {self.study_id} is locked for this run again")
            self.lost_since, self.reported = None, False
            return
        self.lost_since = now if self.lost_since is None else self.lost_since
        if not self.reported and now - self.lost_since >= _PATIENCE:
            self.reported = True
            self.notify(f"lost the lock on study {self.study_id}: {reason}; do not resume it elsewhere")

    def _why_lost(self) -> str | None:
        holder = self.claim.holder
        try:
            if isinstance(holder, Connection):
                holder.execute(text("SELECT 1"))
                holder.commit()
                return None
            self.claim.hold(_claim_in_database(self.engine, self.study_id))
        except SQLAlchemyError as error:
            self.claim.hold(None)
            return f"the store {name_of(self.engine)} does not answer: {cause(error)}"
        if self.claim.holder is None:
            # Usually our own previous connection, whose end the server has not noticed yet.
            return "another connection to the store holds it"
        return None


def claim(engine: Engine, study_id: int) -> Claim | None:
    """Claim a study for this process; None if another process runs it. Raises StoreError.

    SQLite: a lock on one byte of a file beside the database (closing the database file itself would drop SQLite's own
    locks on it). PostgreSQL: a connection's advisory lock. For other databases and those in memory there is no lock.
    """
    try:
        if engine.dialect.name == "postgresql":
            held = _claim_in_database(engine, study_id)
            return Claim(held) if held else None
        with engine.connect() as connection:
            path = _lock_file(connection)
        return _claim_in_file(path, study_id) if path else Claim(None)
    except SQLAlchemyError as error:
        raise StoreError(f"the store {name_of(engine)} cannot be used: {cause(error)}") from None
    except OSError as error:
        raise StoreError(f"{error.filename} cannot be written: {error.strerror}") from None


def claimed(connection: Connection, study_ids: Iterable[int]) -> set[int] | None:
    """Which of the studies are running now; None if that cannot be determined. Writes nothing.

    Raises SQLAlchemyError.
    """
    ids = list(study_ids)
    if connection.dialect.name == "postgresql":
        return set(connection.execute(_HELD, {"ids": ids}).scalars()) if ids else set()
    path = _lock_file(connection)
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            return {study_id for study_id in ids if is_taken(file, study_id)}
    except FileNotFoundError:
        return set()
    except OSError:
        return None


def _claim_in_database(engine: Engine, study_id: int) -> Connection | None:
    connection = engine.connect()
    connection.detach()  # from the pool, so that close() really closes it and releases the lock
    locked = connection.execute(text(f"SELECT pg_try_advisory_lock({_STUDIES}, {study_id})")).scalar()
    connection.commit()
    if locked:
        return connection
    connection.close()
    return None


def _lock_file(connection: Connection) -> str | None:
    """Beside the file of a SQLite database, whatever path that was opened by; None for another database."""
    if connection.dialect.name != "sqlite":
        return None
    file = connection.execute(text("SELECT file FROM pragma_database_list WHERE name = 'main'")).scalar()
    return f"{file}.lock" if file else None


def _claim_in_file(path: str, study_id: int) -> Claim | None:
    file = open(path, "ab")  # noqa: SIM115 (kept open as long as the claim is held)
    if take(file, study_id):
        return Claim(file)
    file.close()
    return None
