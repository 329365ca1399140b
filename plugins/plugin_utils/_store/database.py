# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Opens the database of a store, SQLite or PostgreSQL, creates its tables, and describes its errors."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, InterfaceError, NoSuchModuleError, OperationalError, SQLAlchemyError

from .tables import Base, EventRow
from .url import shown

# The loss of a server is noticed within half a minute, by idle connections too.
_POSTGRESQL = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
    "application_name": "autotune",
}
_BUSY_SECONDS = 10.0  # for which a call waits for another process that writes to a SQLite file
_SCHEMA_LOCK = 0x6175746F  # "auto": the number of the advisory lock that is held while tables are created


class StoreError(Exception):
    """The store cannot be used. The message gives the reason and, where one helps, the setting to change."""


def open_store(url: str) -> Engine:
    """Open the store at a SQLAlchemy URL and create its tables if necessary. Raises StoreError."""
    engine = _engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        _create_folder(engine.url.database or "")
    try:
        with engine.begin() as connection:
            _lock_schema(connection)
            check_tables(connection, shown(url))
            Base.metadata.create_all(connection)
            # Existing tables do not show that the store is writable; find out before any host is changed.
            connection.execute(EventRow.__table__.delete().where(EventRow.id < 0))  # type: ignore[attr-defined]
    except SQLAlchemyError as error:
        raise StoreError(
            f"the store {shown(url)} cannot be written: {cause(error)}; set `store` to a writable one"
        ) from None
    return engine


def _create_folder(database: str) -> None:
    """Of a SQLite file. A file: URI is not a path; the user creates its folder."""
    if not database.startswith("file:"):
        try:
            Path(database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the store's folder cannot be created: {error}; set `store` to a writable path") from None


def check_server(url: str) -> None:
    """Raise StoreError if the server of a store does not answer, or another version wrote it. Writes nothing."""
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            check_tables(connection, shown(url))
    except SQLAlchemyError as error:
        raise StoreError(f"the store {shown(url)} does not answer: {cause(error)}") from None
    finally:
        engine.dispose()


def _engine(url: str) -> Engine:
    try:
        parsed = with_driver(make_url(url))
        return create_engine(parsed, **options_of(parsed))
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError) as error:
        raise StoreError(f"the store '{shown(url)}' cannot be used: {why(error)}; set `store`") from None


def with_driver(url: URL) -> URL:
    """`postgresql://` means psycopg, on which the package depends, not SQLAlchemy's default driver."""
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def options_of(url: URL) -> dict[str, Any]:
    """Arguments of create_engine() with which the loss of a server is noticed."""
    if url.drivername != "postgresql+psycopg":
        return {"pool_pre_ping": True} if url.get_backend_name() != "sqlite" else {}
    defaults = {name: value for name, value in _POSTGRESQL.items() if name not in url.query}
    return {"pool_pre_ping": True, "connect_args": defaults}


def _lock_schema(connection: Connection) -> None:
    """Until the end of the transaction, so that only one controller at a time creates the tables of a database."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})"))


def check_tables(connection: Connection, name: str) -> None:
    """Raise StoreError if a version with different tables wrote the store. name: of the store, for the message."""
    inspector = inspect(connection)
    tables = Base.metadata.tables.values()
    present = set(inspector.get_table_names())
    missing = [table.name for table in tables if table.name not in present]
    if len(missing) == len(tables):
        return
    for table in tables:
        if table.name in present:
            known = {column["name"] for column in inspector.get_columns(table.name)}
            missing += [f"{table.name}.{column.name}" for column in table.columns if column.name not in known]
    if missing:
        raise StoreError(
            f"the store {name} was written by another version of autotune.kernel (missing: {', '.join(missing)}); "
            f"set `store` to a new one"
        )


def _prepare_sqlite(connection: Any, dummy: Any) -> None:
    # FULL costs a millisecond per trial; a power failure then loses no acknowledged trial.
    for pragma in (
        f"busy_timeout={_BUSY_SECONDS * 1000:.0f}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "trusted_schema=OFF",
    ):
        _execute_patiently(connection, f"PRAGMA {pragma}")


def _execute_patiently(connection: Any, statement: str) -> None:
    """Switching a new file to WAL fails at once if another process writes to it, whatever busy_timeout is."""
    limit = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > limit:
                raise
            time.sleep(0.05)


def name_of(engine: Engine) -> str:
    """The URL without its password, for messages."""
    return shown(engine.url.render_as_string(hide_password=False))


def why(error: Exception) -> str:
    """What is wrong with a URL, without a part of its password: SQLAlchemy quotes what it takes for the port."""
    if isinstance(error, ModuleNotFoundError):
        hint = "; pip install autotune-kernel[postgresql]" if error.name == "psycopg" else ""
        return f"the Python module {error.name} is not installed{hint}"
    if isinstance(error, (ArgumentError, NoSuchModuleError)):
        return str(error)
    return "its port is not a number; in a password, write @ as %40, : as %3A and / as %2F"


def cause(error: SQLAlchemyError) -> str:
    """The first line of the database's own message."""
    return str(getattr(error, "orig", None) or error).splitlines()[0]


def is_transient(error: SQLAlchemyError, engine: Engine) -> bool:
    """Whether a retry may succeed, as after the restart of a database server. Errors of a file are permanent."""
    return engine.dialect.name != "sqlite" and isinstance(error, (OperationalError, InterfaceError))
