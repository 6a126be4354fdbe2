"""What the broker keeps: its cameras with their credentials, and the last epoch of each. One SQLite file, mode 0600.

A source with credentials is sealed (`credentials`): the column `source` holds what is shown of it.

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

from broker.credentials import Locked, at_rest, from_rest, holds_credentials
from broker.kinds import Transport
from mesh.errors import FailedPrecondition
from mesh.files import private_folder
from mesh.logs import get_logger, rate_limited
from mesh.masks import Masks
from mesh.masks import decode as masks_from
from mesh.masks import encode as masks_text
from mesh.secrets_at_rest import SealingKeys, SecretLocked
from trueframe.v1.cameras_pb2 import TRANSPORT_UNSPECIFIED

T = TypeVar("T")
log = get_logger("broker.store")

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
    device TEXT NOT NULL DEFAULT '',
    sealed TEXT NOT NULL DEFAULT '',
    masks TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE TABLE IF NOT EXISTS epoch (camera TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT;
"""
# Columns that files of earlier versions lack; they read as their defaults.
_LATER_COLUMNS = {
    "transport": "INTEGER NOT NULL DEFAULT 0",
    "tls_sha256": "TEXT NOT NULL DEFAULT ''",
    "device": "TEXT NOT NULL DEFAULT ''",
    "sealed": "TEXT NOT NULL DEFAULT ''",
    "masks": "TEXT NOT NULL DEFAULT '[]'",
}


@dataclass(frozen=True, slots=True)
class StoredCamera:
    """One camera as an administrator described it. `source` holds credentials and is shown by nobody.

    `locked`: its credentials cannot be opened; then `source` is what may be shown of it.
    """

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
    locked: Locked | None = None
    masks: Masks = ()


class BrokerStore:
    """The file. Open it with `await BrokerStore.open(path)`."""

    def __init__(self, path: Path, keys: SealingKeys | None = None) -> None:
        self._path = path
        self._keys = keys or SealingKeys(path.with_name("credentials.key"))
        self._keys_seen: tuple[int, int, int] | str | None = "never"
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="broker-store")
        self._database: sqlite3.Connection | None = None
        self._lock = -1

    @classmethod
    async def open(cls, path: Path, keys: SealingKeys | None = None) -> BrokerStore:
        """Opens or creates the file, and seals what earlier versions left in the clear.

        `keys`: what seals credentials; by default a file beside this one. Raises FailedPrecondition naming what is
        wrong with the file. A key that is missing or another one is no reason: its cameras are `locked`.
        """
        store = cls(path, keys)
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
        """Stores a camera; on disk when this returns. Raises SecretLocked: its credentials cannot be sealed."""
        await self._call(lambda: self._write_camera(camera))

    async def seal_anew(self) -> bool:
        """Seals everything with the present key and drops former ones, if the key file changed; whether it did."""
        return await self._call(self._seal_anew)

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
        self._seal_anew()

    def _seal_anew(self) -> bool:
        if self._keys.stamp == self._keys_seen:
            return False
        try:
            self._seal_rows()
        except SecretLocked as error:
            log.error("camera passwords cannot be sealed or opened", reason=str(error))
        except sqlite3.OperationalError as error:
            # A full disk must not end the broker: cameras go on, and it is tried again at the next look.
            if rate_limited("broker store sealing", 10.0):
                log.error("camera passwords cannot be sealed anew", reason=str(error))
            return False
        # Noted even when it failed: it is tried again when the file is another one.
        self._keys_seen = self._keys.stamp
        return True

    def _seal_rows(self) -> None:
        database = self._open_database()
        rows = database.execute("SELECT id, source, sealed FROM camera WHERE NOT is_removed").fetchall()
        in_the_clear = [id_ for id_, source, sealed in rows if not sealed and holds_credentials(source)]
        if in_the_clear and not any(sealed for *_, sealed in rows):
            self._keys.make_if_absent()
        if not in_the_clear and not any(sealed for *_, sealed in rows):
            return
        written = unopened = 0
        with self._keys.changing():
            for id_, shown, sealed in rows:
                if id_ not in in_the_clear and (not sealed or self._keys.is_current(sealed)):
                    continue
                source, locked = from_rest(id_, shown, sealed, self._keys)
                if locked is not None:
                    unopened += 1
                    continue
                database.execute(
                    "UPDATE camera SET source = ?, sealed = ? WHERE id = ?",
                    (*at_rest(id_, source, None, self._keys), id_),
                )
                written += 1
            if written:
                # What was in the clear, or under a key that goes, must not stay behind in the log of SQLite.
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                log.info("camera passwords sealed", cameras=written, key=self._keys.ids[0])
            if not unopened:
                self._keys.keep_first()

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
            "SELECT id, source, display_name, labels, is_disabled, is_removed, version, transport, tls_sha256, device,"
            " sealed, masks FROM camera ORDER BY id"
        )
        cameras = []
        for id_, shown, name, labels, disabled, removed, version, transport, tls_sha256, device, sealed, masks in rows:
            source, locked = from_rest(id_, shown, sealed, self._keys)
            cameras.append(
                StoredCamera(
                    id_,
                    source,
                    name,
                    json.loads(labels),
                    bool(disabled),
                    bool(removed),
                    version,
                    transport,
                    tls_sha256,
                    device,
                    locked,
                    masks_from(masks),
                )
            )
        return cameras

    def _write_camera(self, camera: StoredCamera) -> None:
        if camera.locked is None and holds_credentials(camera.source) and not self._has_sealed():
            self._keys.make_if_absent()
        shown, sealed = at_rest(camera.id, camera.source, camera.locked, self._keys)
        row = (
            camera.id,
            shown,
            camera.display_name,
            json.dumps(dict(camera.labels), ensure_ascii=False),
            int(camera.is_disabled),
            int(camera.is_removed),
            camera.version,
            camera.transport,
            camera.tls_sha256,
            camera.device,
            sealed,
            masks_text(camera.masks),
        )
        # By name: in a file of an earlier version the later columns stand where they were added.
        self._open_database().execute(
            "INSERT OR REPLACE INTO camera (id, source, display_name, labels, is_disabled, is_removed, version,"
            " transport, tls_sha256, device, sealed, masks) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )

    def _has_sealed(self) -> bool:
        """Then a key that is missing was lost, and no other may take its place unasked."""
        return self._open_database().execute("SELECT 1 FROM camera WHERE sealed != '' LIMIT 1").fetchone() is not None

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
