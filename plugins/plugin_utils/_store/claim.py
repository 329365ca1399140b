# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Who runs a study: a lock that its trainer holds as long as it lives, and that ends with it however it ends."""

from __future__ import annotations

import fcntl
import struct
from typing import IO

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from .database import StoreError, cause, name_of

_STUDIES = 0x73747564  # "stud": the first of the two numbers of an advisory lock, the other being the study's
_FLOCK = "hhqqi4x"  # struct flock: type, whence, start, length, pid


class Claim:
    """One study of a store, held by this process alone. Keep it as long as the study runs."""

    def __init__(self, holder: Connection | IO[bytes] | None) -> None:
        self._holder = holder

    def release(self) -> None:
        if self._holder:
            self._holder.close()


def claim(engine: Engine, study_id: int) -> Claim | None:
    """The study for this process, or None where another one runs it. Raises StoreError.

    SQLite: a lock on one byte of a file beside the database, for whoever closes the database's own file loses SQLite's
    locks on it. PostgreSQL: an advisory lock of a connection. Another database, or none in a file: nobody else is seen.
    """
    try:
        if engine.dialect.name == "postgresql":
            return _claim_in_database(engine, study_id)
        file = engine.url.database
        if engine.dialect.name == "sqlite" and file and not file.startswith((":memory:", "file:")):
            return _claim_in_file(f"{file}.lock", study_id)
    except SQLAlchemyError as error:
        raise StoreError(f"the store {name_of(engine)} cannot be used: {cause(error)}") from None
    except OSError as error:
        raise StoreError(f"{error.filename} cannot be written: {error.strerror}") from None
    return Claim(None)


def _claim_in_database(engine: Engine, study_id: int) -> Claim | None:
    connection = engine.connect()
    connection.detach()  # closing it really closes it, and the lock with it
    got = connection.execute(text(f"SELECT pg_try_advisory_lock({_STUDIES}, {study_id})")).scalar()
    connection.commit()
    if got:
        return Claim(connection)
    connection.close()
    return None


def _claim_in_file(path: str, study_id: int) -> Claim | None:
    file = open(path, "ab")  # noqa: SIM115 (kept open as long as the claim is held)
    # A lock of the open file, not of the process: it is not lost when the process closes the file elsewhere.
    wanted = struct.pack(_FLOCK, fcntl.F_WRLCK, 0, study_id, 1, 0)
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, wanted)
    except BlockingIOError:
        file.close()
        return None
    return Claim(file)
