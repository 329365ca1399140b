# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Who runs a study: a lock that its trainer holds as long as it lives, and that ends with it however it ends."""

from __future__ import annotations

import fcntl
import struct
import threading
import time
from collections.abc import Iterable
from typing import IO

from sqlalchemy import Connection, Engine, bindparam, text
from sqlalchemy.exc import SQLAlchemyError

from .database import StoreError, cause, name_of

_STUDIES = 0x73747564  # "stud": the first of the two numbers of an advisory lock, the other being the study's
_FLOCK = "hhqqi4x"  # struct flock: type, whence, start, length, pid
_HELD = text(
    "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = :studies "
    "AND objid IN :ids AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
).bindparams(bindparam("ids", expanding=True), studies=_STUDIES)


class Claim:
    """One study of a store, held by this process alone. Keep it as long as the study runs."""

    def __init__(self, holder: Connection | IO[bytes] | None) -> None:
        self._holder = holder
        self._released = False

    def release(self) -> None:
        self._released = True
        if self._holder:
            self._holder.close()

    def keep(self, engine: Engine, study_id: int, interval: float = 1.0) -> None:
        """From now on, take it again whenever it is lost: a database server that is started again forgets its locks."""
        if isinstance(self._holder, Connection):
            threading.Thread(target=self._keep, args=(engine, study_id, interval), daemon=True).start()

    def _keep(self, engine: Engine, study_id: int, interval: float) -> None:
        holder = self._holder
        while not self._released:
            try:
                if isinstance(holder, Connection):
                    holder.execute(text("SELECT 1"))
                    holder.commit()
                else:
                    self._holder = holder = _claim_in_database(engine, study_id)
            except SQLAlchemyError:
                holder = None
            time.sleep(interval)


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
            return {study_id for study_id in ids if _is_locked(file, study_id)}
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
    try:
        # A lock of the open file, not of the process: it is not lost when the process closes the file elsewhere.
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _byte(study_id))
    except BlockingIOError:
        file.close()
        return None
    return Claim(file)


def _is_locked(file: IO[bytes], study_id: int) -> bool:
    answer = fcntl.fcntl(file, fcntl.F_OFD_GETLK, _byte(study_id))
    return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)


def _byte(study_id: int) -> bytes:
    return struct.pack(_FLOCK, fcntl.F_WRLCK, 0, study_id, 1, 0)
