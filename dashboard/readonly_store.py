# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The store, opened read-only, so that the dashboard never blocks a running study."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from ..plugins.plugin_utils._store.database import cause, check_tables, options_of, why, with_driver
from ..plugins.plugin_utils._store.page_requests import Kind, ask
from ..plugins.plugin_utils._store.store import StoreError, open_store, shown
from ..plugins.plugin_utils._store.tables import StudyRow


class ReadOnlyStore:
    """An existing store. Raises StoreError if there is none.

    edition: increases when another file takes the place of a SQLite file, so that its studies are others.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.shown = shown(url)
        self.edition = 0
        self._checking = threading.Lock()
        self._engine = _engine(url)
        parsed = make_url(url)
        self._path = Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None
        self._file = self._find_file()
        try:
            with self._engine.connect() as connection:
                check_tables(connection, self.shown)
                is_store = inspect(connection).has_table(StudyRow.__tablename__)
        except SQLAlchemyError as error:
            raise StoreError(f"cannot read the store {self.shown}: {cause(error)}; see --store") from None
        if not is_store:
            raise StoreError(f"{self.shown} is not a store of autotune.kernel: it has no table of studies; see --store")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for a short time: SQLite's write-ahead log grows while a reader has a transaction open."""
        self.check_edition()
        with self._engine.connect() as connection:
            yield connection

    def check_edition(self) -> int:
        """The edition now. An open file stays readable when it is removed, and would be shown for ever."""
        with self._checking:
            found = self._find_file()
            if found not in (None, self._file):
                self._engine.dispose()
                self._file = found
                self.edition += 1
            return self.edition

    def _find_file(self) -> tuple[int, int] | None:
        """What tells the SQLite file from another one in its place; None if there is none, or it is no file."""
        try:
            status = self._path.stat() if self._path else None
        except OSError:
            return None
        return (status.st_dev, status.st_ino) if status else None

    def ask(self, study_id: int, kind: Kind, by: str) -> None:
        """Leave a request for the trainer, the only thing that the dashboard writes. Raises StoreError."""
        if self._file != self._find_file():
            raise StoreError(f"the store {self.shown} was removed or replaced; reload the page")
        engine = open_store(self.url)
        try:
            ask(engine, study_id, kind, by)
        except SQLAlchemyError as error:
            raise StoreError(f"cannot write the request to the store {self.shown}: {cause(error)}") from None
        finally:
            engine.dispose()


def _engine(url: str) -> Engine:
    try:
        parsed = with_driver(make_url(url))
        if parsed.get_backend_name() != "sqlite":
            return create_engine(parsed, pool_size=4, max_overflow=8, **options_of(parsed))
        engine = create_engine(_read_only(parsed), poolclass=QueuePool, pool_size=4, max_overflow=8)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError) as error:
        raise StoreError(f"the store '{shown(url)}' cannot be used: {why(error)}; see --store") from None
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _read_only(url: URL) -> URL:
    """The SQLite file opened read-only. Raises StoreError if it does not exist."""
    name = url.database
    if not name or name == ":memory:" or name.startswith("file:"):
        raise StoreError(f"the store {url} is not a file; see --store")
    path = Path(name).absolute()
    if not path.is_file():
        raise StoreError(f"there is no store {path}; name one that a study has written, see --store")
    return url.set(database=f"file:{quote(str(path))}", query={"mode": "ro", "uri": "true"})


def _prepare_sqlite(connection: Any, dummy: Any) -> None:
    for pragma in ("busy_timeout=10000", "query_only=ON", "trusted_schema=OFF"):
        connection.execute(f"PRAGMA {pragma}")
