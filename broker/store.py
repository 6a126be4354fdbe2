"""What the broker keeps: its cameras with their credentials, and the last epoch of each. One SQLite file, mode 0600.

Belongs here: the file. Does not belong here: what the values mean. Frames never come near it.

One thread writes; every write is on disk (WAL, synchronous=FULL) when its call returns. Rows of removed cameras stay
without their source: their ids are never given again.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from broker.kinds import Transport
from mesh.errors import FailedPrecondition
from mesh.files import private_folder
from trueframe.v1.cameras_pb2 import TRANSPORT_UNSPECIFIED

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS camera (
    id TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    display_name TEXT NOT NULL,
    labels TEXT NOT NULL,
    is_disabled INTEGER NOT NULL,
    is_removed INTEGER NOT NULL,
    version INTEGER NOT NULL,
    transport INTEGER NOT NULL DEFAULT 0,
    tls_sha256 TEXT NOT NULL DEFAULT '',
    device TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE IF NOT EXISTS epoch (camera TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT;
"""
# Columns that files of earlier versions lack; they read as their defaults.
_LATER_COLUMNS = {
    "transport": "INTEGER NOT NULL DEFAULT 0",
    "tls_sha256": "TEXT NOT NULL DEFAULT ''",
    "device": "TEXT NOT NULL DEFAULT ''",
}


@dataclass(frozen=True, slots=True)
class StoredCamera:
    """One camera as an administrator described it. `source` holds credentials and is shown by nobody."""

    id: str
    source: str = field(repr=False)
    display_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    is_disabled: bool = False
    is_removed: bool = False
    version: int = 1
    transport: Transport = TRANSPORT_UNSPECIFIED
    tls_sha256: str = ""
    device: str = ""


class BrokerStore:
    """The file. Open it with `await BrokerStore.open(path)`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="broker-store")
        self._database: sqlite3.Connection | None = None
        self._lock = -1

    @classmethod
    async def open(cls, path: Path) -> BrokerStore:
        """Opens or creates the file. Raises FailedPrecondition naming what is wrong with it."""
        store = cls(path)
        try:
            await store._call(store._open)
        except FailedPrecondition:
            store._executor.shutdown(wait=False)
            raise
        except (sqlite3.Error, OSError) as error:
            store._executor.shutdown(wait=False)
            raise FailedPrecondition(
                f"broker store {path}",
                f"cannot be opened ({error})",
                "Check the disk and the permissions of the data folder.",
            ) from error
        return store

    async def close(self) -> None:
        """Closes the file."""
        await self._call(self._close)
        self._executor.shutdown()

    async def cameras(self) -> list[StoredCamera]:
        """All that were ever added, removed ones included."""
        return await self._call(self._read_cameras)

    async def put_camera(self, camera: StoredCamera) -> None:
        """Stores a camera; on disk when this returns."""
        await self._call(lambda: self._write_camera(camera))

    async def load(self) -> Mapping[str, int]:
        """The last epoch of every camera."""
        return await self._call(lambda: dict(self._open_database().execute("SELECT camera, last FROM epoch")))

    async def save(self, last: Mapping[str, int]) -> None:
        """Stores last epochs in one write; on disk when this returns."""
        await self._call(lambda: self._write_epochs(last))

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _open(self) -> None:
        private_folder(self._path.parent)
        self._lock = os.open(self._path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            # Two brokers over one set of cameras would open every connection twice (law 1).
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise FailedPrecondition(
                f"broker store {self._path}",
                "belongs to a running broker",
                "Stop that one, or give another data folder.",
            ) from None
        # Created with its mode before SQLite sees it; SQLite gives its -wal and -shm files the same.
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        self._path.chmod(0o600)
        database = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("PRAGMA secure_delete=ON")
        database.executescript(_SCHEMA)
        present = {row[1] for row in database.execute("PRAGMA table_info(camera)")}
        for column, kind in _LATER_COLUMNS.items():
            if column not in present:
                database.execute(f"ALTER TABLE camera ADD COLUMN {column} {kind}")
        self._database = database

    def _close(self) -> None:
        self._open_database().close()
        self._database = None
        os.close(self._lock)

    def _open_database(self) -> sqlite3.Connection:
        if self._database is None:
            raise FailedPrecondition(f"broker store {self._path}", "is closed")
        return self._database

    def _read_cameras(self) -> list[StoredCamera]:
        rows = self._open_database().execute(
            "SELECT id, source, display_name, labels, is_disabled, is_removed, version, transport, tls_sha256, device"
            " FROM camera ORDER BY id"
        )
        return [
            StoredCamera(id_, source, name, json.loads(labels), bool(disabled), bool(removed), *others)
            for id_, source, name, labels, disabled, removed, *others in rows
        ]

    def _write_camera(self, camera: StoredCamera) -> None:
        row = (
            camera.id,
            camera.source,
            camera.display_name,
            json.dumps(dict(camera.labels), ensure_ascii=False),
            int(camera.is_disabled),
            int(camera.is_removed),
            camera.version,
            camera.transport,
            camera.tls_sha256,
            camera.device,
        )
        # By name: in a file of an earlier version the later columns stand where they were added.
        self._open_database().execute(
            "INSERT OR REPLACE INTO camera (id, source, display_name, labels, is_disabled, is_removed, version,"
            " transport, tls_sha256, device) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )

    def _write_epochs(self, last: Mapping[str, int]) -> None:
        database = self._open_database()
        database.execute("BEGIN IMMEDIATE")
        try:
            # Never smaller than what is there, whoever wrote it.
            database.executemany(
                "INSERT INTO epoch VALUES (?, ?) ON CONFLICT (camera) DO UPDATE SET last = max(last, excluded.last)",
                list(last.items()),
            )
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")
