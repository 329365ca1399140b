# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Who runs a study: a lock that its trainer holds as long as it lives, and that ends with it however it ends."""

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

_PATIENCE = 10.0  # seconds, in which a server can be started again
_STUDIES = 0x73747564  # "stud": the first of the two numbers of an advisory lock, the other being the study's
_HELD = text(
    "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = :studies "
    "AND objid IN :ids AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
).bindparams(bindparam("ids", expanding=True), studies=_STUDIES)


class Claim:
    """One study of a store, held by this process alone. Keep it as long as the study runs."""

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
        """By this connection from now on, unless it was released meanwhile."""
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

    def keep(self, engine: Engine, study_id: int, tell: Callable[[str], None], interval: float = 1.0) -> None:
        """From now on, take it again whenever it is lost: a database server that is started again forgets its locks.

        tell: hears in one line that it could not be had for a while, why, and that it is there again.
        """
        if isinstance(self._holder, Connection):
            keeping = _Keeping(self, engine, study_id, tell)
            threading.Thread(target=keeping.go_on, args=(interval,), daemon=True).start()


@dataclass
class _Keeping:
    """A claim in a database, looked after. What could be over in a moment is told once it has lasted for _PATIENCE."""

    claim: Claim
    engine: Engine
    study_id: int
    tell: Callable[[str], None]
    lost_since: float | None = None
    told: bool = False

    def go_on(self, interval: float) -> None:
        while not self.claim.released:
            self.look(time.monotonic())
            time.sleep(interval)

    def look(self, now: float) -> None:
        """Take the claim again if it is lost, and tell what there is to tell."""
        why = self._why_lost()
        if why is None:
            if self.told:
                self.tell(f"study {self.study_id} is this run's again")
            self.lost_since, self.told = None, False
            return
        self.lost_since = now if self.lost_since is None else self.lost_since
        if not self.told and now - self.lost_since >= _PATIENCE:
            self.told = True
            self.tell(f"study {self.study_id} cannot be kept for this run alone, and another one may take it: {why}")

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
            # Mostly our own, of which the server has not noticed yet that it is gone.
            return "another connection to the store holds it"
        return None


def claim(engine: Engine, study_id: int) -> Claim | None:
    """The study for this process, or None where another one runs it. Raises StoreError.

    SQLite: a lock on one byte of a file beside the database, for whoever closes the database's own file loses SQLite's
    locks on it. PostgreSQL: an advisory lock of a connection. Another database, or none in a file: nobody else is seen.
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
    """Those of the studies that somebody runs at this moment; None where that cannot be seen. Writes nothing.

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
    connection.detach()  # closing it really closes it, and the lock with it
    got = connection.execute(text(f"SELECT pg_try_advisory_lock({_STUDIES}, {study_id})")).scalar()
    connection.commit()
    if got:
        return connection
    connection.close()
    return None


def _lock_file(connection: Connection) -> str | None:
    """The one beside the file of a SQLite database, by whatever name that was opened."""
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
