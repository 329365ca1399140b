# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The database behind the store: SQLite or PostgreSQL, opened, completed, and shown without its password."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, InterfaceError, NoSuchModuleError, OperationalError, SQLAlchemyError

from .tables import Base, EventRow
from .url import shown

# An idle connection whose server has gone is noticed within half a minute, as one that is being used.
_POSTGRESQL = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
    "application_name": "autotune",
}
_PREPARING = 0x6175746F  # "auto": whoever completes a database's tables holds the advisory lock of this number


class StoreError(Exception):
    """The store cannot be used; the message says why and which setting to change."""


def open_store(url: str) -> Engine:
    """The store at a SQLAlchemy URL, with its tables; raises StoreError where that cannot be had."""
    try:
        parsed = with_driver(make_url(url))
        # A file: URI is no path, and its folder is for whoever writes one to make.
        if parsed.get_backend_name() == "sqlite" and parsed.database and not parsed.database.startswith("file:"):
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, **options_of(parsed))
    except ModuleNotFoundError as error:
        hint = "pip install autotune-kernel[postgresql]" if error.name == "psycopg" else "install it, or set `store`"
        raise StoreError(f"the store '{shown(url)}' needs the Python package {error.name}: {hint}") from None
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise StoreError(
            f"the store '{shown(url)}' is no SQLAlchemy URL that works here: {error}; set `store`"
        ) from None
    except OSError as error:
        raise StoreError(
            f"the store's folder cannot be made: {error}; set `store` to a place that is writable"
        ) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    try:
        with engine.begin() as connection:
            _alone(connection)
            check_tables(connection, shown(url))
            Base.metadata.create_all(connection)
            # Tables that exist already prove nothing about writing; find out before any host is touched.
            connection.execute(EventRow.__table__.delete().where(EventRow.id < 0))  # type: ignore[attr-defined]
    except SQLAlchemyError as error:
        raise StoreError(
            f"the store {shown(url)} cannot be written: {cause(error)}; set `store` to one that can"
        ) from None
    return engine


def with_driver(url: URL) -> URL:
    """`postgresql://` means the driver that is declared, whichever SQLAlchemy would take."""
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def options_of(url: URL) -> dict[str, Any]:
    """What create_engine() needs beside the URL, so that a server that went away is noticed."""
    if url.drivername != "postgresql+psycopg":
        return {"pool_pre_ping": True} if url.get_backend_name() != "sqlite" else {}
    own = {name: value for name, value in _POSTGRESQL.items() if name not in url.query}
    return {"pool_pre_ping": True, "connect_args": own}


def _alone(connection: Connection) -> None:
    """Two controllers may make the tables of one database at the same moment: one after the other."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_PREPARING})"))


def check_tables(connection: Connection, name: str) -> None:
    """Raise StoreError if the store was written by a version with other tables. name: of the store, for the message."""
    inspector = inspect(connection)
    tables = Base.metadata.tables.values()
    there = set(inspector.get_table_names())
    missing = [table.name for table in tables if table.name not in there]
    if len(missing) == len(tables):
        return
    for table in tables:
        if table.name in there:
            known = {column["name"] for column in inspector.get_columns(table.name)}
            missing += [f"{table.name}.{column.name}" for column in table.columns if column.name not in known]
    if missing:
        raise StoreError(
            f"the store {name} was written by another version of autotune.kernel (it lacks {', '.join(missing)}); "
            f"set `store` to a new one"
        )


def _prepare_sqlite(connection: Any, dummy: Any) -> None:
    # FULL costs a millisecond an evaluation, and a power cut then loses none that was acknowledged.
    for pragma in (
        "busy_timeout=10000",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "trusted_schema=OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")


def name_of(engine: Engine) -> str:
    """The URL for messages."""
    return shown(engine.url.render_as_string(hide_password=False))


def cause(error: SQLAlchemyError) -> str:
    """The database's own words, in one line."""
    return str(getattr(error, "orig", None) or error).splitlines()[0]


def is_passing(error: SQLAlchemyError, engine: Engine) -> bool:
    """Whether it may be over soon, as when a database server is started again. A file that fails, fails for good."""
    return engine.dialect.name != "sqlite" and isinstance(error, (OperationalError, InterfaceError))
