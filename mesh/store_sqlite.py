"""The store port on SQLite: one file per service, one writer process, WAL, synchronous=FULL.

One thread writes. What waits for it is committed together, so that a burst costs one sync and not one each; a caller
still returns only after the commit that holds its write. A second thread reads, on a connection of its own.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from mesh.errors import (
    DataLoss,
    FailedPrecondition,
    ResourceExhausted,
    TrueframeError,
    Unavailable,
)
from mesh.logs import get_logger
from mesh.store_collection import SqliteCollection
from mesh.store_sql import make_collection
from mesh.store_values import Indexes, declared

T = TypeVar("T")
log = get_logger("mesh.store")

_APPLICATION_ID = 0x54464D53
_FORMAT = 1
_MAX_WAITING_WRITES = 4096
_WRITES_PER_COMMIT = 256

Write = Callable[[sqlite3.Connection], Any]


class SqliteStore:
    """A store in one file. Raises at `open`: FailedPrecondition (another process has it, or it is no store of ours)."""

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._lock_descriptor = -1
        self._waiting: queue.Queue[tuple[Write, Future[Any]] | None] = queue.Queue(_MAX_WAITING_WRITES)
        self._writer: threading.Thread | None = None
        self._reader = ThreadPoolExecutor(1, thread_name_prefix=f"read {self._path.name}")
        self._read_connection: sqlite3.Connection | None = None
        self._collections: dict[str, SqliteCollection] = {}
        self.commits = 0

    @property
    def thing(self) -> str:
        """Its name in messages."""
        return f"store {self._path}"

    async def open(self) -> SqliteStore:
        """Opens the file, creating it with mode 0600."""
        await asyncio.to_thread(self._open)
        return self

    async def __aenter__(self) -> SqliteStore:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def collection(self, name: str, indexes: Sequence[str] = ()) -> SqliteCollection:
        """The collection, made if need be."""
        wanted = declared(name, indexes)
        known = self._collections.get(name)
        if known is None or not wanted <= known.indexes:
            await self.write(lambda connection: make_collection(connection, name, wanted))
            known = SqliteCollection(self, name, wanted | (known.indexes if known else Indexes()))
            self._collections[name] = known
        return known

    async def collections(self) -> dict[str, list[str]]:
        """What is in the file, of this process or an earlier one: names, with the indexes as they were declared."""
        rows = await self.read(
            lambda connection: connection.execute(
                "SELECT type, name, tbl_name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
            ).fetchall()
        )
        found: dict[str, list[str]] = {name: [] for kind, name, _ in rows if kind == "table" and " holds " not in name}
        for kind, name, table in rows:
            if kind == "index":
                found[table].append(name.removeprefix(f"{table} by "))
            elif kind == "table" and " holds " in name:
                table, _, index = name.partition(" holds ")
                one, _, by = index.partition(" by ")
                found[table].append(f"{one}[] by {by}" if by else f"{one}[]")
        return {name: sorted(indexes) for name, indexes in found.items()}

    async def check(self) -> str:
        """What is wrong with the file, by SQLite's own check; "" if nothing is."""
        rows = await self.read(lambda connection: connection.execute("PRAGMA integrity_check(10)").fetchall())
        found = "; ".join(str(row[0]) for row in rows)
        return "" if found == "ok" else found

    async def close(self) -> None:
        """Commits what waits and closes the file. Idempotent."""
        await asyncio.to_thread(self._close)

    # --- for collections ---------------------------------------------------------------------------------------------

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` in the writer thread and returns its result after the commit.

        `work` raises before it changes anything.
        """
        if self._writer is None:
            raise FailedPrecondition(self.thing, "is not open")
        future: Future[T] = Future()
        try:
            self._waiting.put_nowait((work, future))
        except queue.Full:
            raise ResourceExhausted(self.thing, "too many writes wait", "Is the disk slow?") from None
        return await asyncio.wrap_future(future)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` in the reader thread."""
        connection = self._read_connection
        if connection is None:
            raise FailedPrecondition(self.thing, "is not open")

        def run() -> T:
            try:
                return work(connection)
            except sqlite3.Error as error:
                raise self._translated(error) from None

        return await asyncio.get_running_loop().run_in_executor(self._reader, run)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._writer is not None:
            return
        try:
            self._lock_descriptor = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FailedPrecondition(self.thing, f"cannot be opened ({error.strerror})") from None
        try:
            fcntl.flock(self._lock_descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # SQLite gives its side files the mode of the main one: documents may hold camera credentials.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            connection = self._connect()
            self._read_connection = self._connect()
        except BlockingIOError:
            self._unlock()
            raise FailedPrecondition(self.thing, "is used by another process", "Stop that one.") from None
        except sqlite3.Error as error:
            self._unlock()
            raise self._translated(error) from None
        except BaseException:
            self._unlock()
            raise
        # Daemon: a store that nobody closed must not keep a failed process from ending; commits are atomic anyhow.
        self._writer = threading.Thread(
            target=self._run, args=(connection,), name=f"write {self._path.name}", daemon=True
        )
        self._writer.start()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=5.0)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            if application == 0 and tables == 0:
                connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {_FORMAT}")
            elif application != _APPLICATION_ID:
                raise FailedPrecondition(self.thing, "is another program's database")
            elif version > _FORMAT:
                raise FailedPrecondition(self.thing, f"has format {version}, newer than this trueframe's")
        except BaseException:
            connection.close()
            raise
        return connection

    def _run(self, connection: sqlite3.Connection) -> None:
        ending = False
        while not ending:
            batch: list[tuple[Write, Future[Any]]] = []
            taken = self._waiting.get()
            while taken is not None:
                if taken[1].set_running_or_notify_cancel():
                    batch.append(taken)
                if len(batch) >= _WRITES_PER_COMMIT:
                    break
                try:
                    taken = self._waiting.get_nowait()
                except queue.Empty:
                    break
            ending = taken is None
            if batch:
                self._commit(connection, batch)
        connection.close()

    def _commit(self, connection: sqlite3.Connection, batch: list[tuple[Write, Future[Any]]]) -> None:
        done: list[tuple[Future[Any], Any]] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for work, future in batch:
                try:
                    done.append((future, work(connection)))
                except TrueframeError as error:
                    future.set_exception(error)
            connection.execute("COMMIT")
            self.commits += 1
        except BaseException as error:
            failure = self._translated(error) if isinstance(error, sqlite3.Error) else error
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            log.error("store could not commit", path=str(self._path), error=type(error).__name__, reason=str(failure))
            for _, future in batch:
                if not future.done():
                    future.set_exception(failure)
            return
        for future, result in done:
            future.set_result(result)

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            self._waiting.put(None)
            writer.join()
        self._reader.shutdown(wait=True)
        if self._read_connection is not None:
            self._read_connection.close()
            self._read_connection = None
        self._unlock()

    def _unlock(self) -> None:
        if self._lock_descriptor >= 0:
            os.close(self._lock_descriptor)
            self._lock_descriptor = -1

    def _translated(self, error: sqlite3.Error) -> TrueframeError:
        name = getattr(error, "sqlite_errorname", "") or ""
        thing = self.thing
        if name.startswith("SQLITE_FULL"):
            return ResourceExhausted(thing, "the disk is full", "Make space; nothing was changed.")
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return DataLoss(thing, f"is damaged or no database ({name})", "Restore it from a backup.")
        return Unavailable(thing, f"could not be used ({name or type(error).__name__}: {error})")
