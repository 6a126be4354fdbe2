"""Passwords of cameras at rest: sealed in the file, migrated, rotated, and a lost key that stops no other camera."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from broker.camera import Timing
from broker.core import Hub
from broker.feed import Feed
from broker.registry import CameraRegistry, source_player
from broker.store import BrokerStore, StoredCamera
from mesh.clocks import SystemClock
from mesh.secrets_at_rest import SealingKeys, SecretLocked
from tests.support import auntil
from trueframe.v1.cameras_pb2 import CAMERA_STATE_UNAUTHORISED

GATE = StoredCamera("gate", "rtsp://admin:very-secret@h/x")
YARD = StoredCamera("yard", "rtsp://h/y?user=u&password=other-secret")
HALL = StoredCamera("hall", "rtsp://h/z")


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


async def opened(folder: Path) -> BrokerStore:
    return await BrokerStore.open(folder / "broker" / "broker.db", SealingKeys(folder / "keys" / "credentials.key"))


async def filled(folder: Path) -> None:
    store = await opened(folder)
    for camera in (GATE, YARD, HALL):
        await store.put_camera(camera)
    await store.close()


async def test_passwords_come_back_and_never_touch_the_disk(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    for camera in (GATE, YARD, HALL):
        await store.put_camera(camera)
        assert b"secret" not in bytes_below(tmp_path / "broker")
    assert await store.cameras() == [GATE, HALL, YARD]
    await store.close()


async def test_passwords_of_earlier_versions_are_sealed_at_the_start_and_gone_from_the_disk(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir(mode=0o700)
    with contextlib.closing(sqlite3.connect(folder / "broker.db")) as old:
        old.execute("PRAGMA journal_mode=WAL")
        old.execute(
            "CREATE TABLE camera (id TEXT PRIMARY KEY, source TEXT NOT NULL, display_name TEXT NOT NULL, labels TEXT"
            " NOT NULL, is_disabled INTEGER NOT NULL, is_removed INTEGER NOT NULL, version INTEGER NOT NULL) STRICT"
        )
        for camera in (GATE, YARD, HALL):
            old.execute("INSERT INTO camera VALUES (?, ?, '', '{}', 0, 0, 1)", (camera.id, camera.source))
        old.commit()
    assert b"very-secret" in bytes_below(folder)
    store = await opened(tmp_path)
    assert await store.cameras() == [GATE, HALL, YARD]
    assert b"secret" not in bytes_below(folder)
    await store.close()


async def test_without_its_key_a_camera_is_locked_kept_as_it_is_and_the_others_go_on(tmp_path: Path) -> None:
    await filled(tmp_path)
    key = tmp_path / "keys" / "credentials.key"
    kept = key.read_bytes()
    key.unlink()
    store = await opened(tmp_path)
    gate, hall, yard = await store.cameras()
    assert hall == HALL
    assert gate.locked is not None
    assert yard.locked is not None
    assert gate.source == "rtsp://h/x", "what may be shown is still known"
    assert "does not exist" in gate.locked.reason
    assert not key.exists(), "another key must not take the place of one that may come back"
    with pytest.raises(SecretLocked, match="rotate-credentials --lost"):
        await store.put_camera(GATE)
    await store.put_camera(replace(gate, display_name="North"))
    await store.close()
    key.write_bytes(kept)
    key.chmod(0o600)
    store = await opened(tmp_path)
    assert await store.cameras() == [replace(GATE, display_name="North"), HALL, YARD]
    await store.close()


async def test_a_rotation_seals_anew_and_drops_the_former_key(tmp_path: Path) -> None:
    await filled(tmp_path)
    store = await opened(tmp_path)
    keys = SealingKeys(tmp_path / "keys" / "credentials.key")
    (former,) = keys.ids
    new = keys.rotate()
    assert await store.seal_anew()
    assert keys.ids == [new]
    assert former.encode() not in bytes_below(tmp_path / "broker")
    assert await store.cameras() == [GATE, HALL, YARD]
    await store.close()


async def test_a_locked_camera_says_so_and_connects_when_the_key_is_back(tmp_path: Path) -> None:
    await filled(tmp_path)
    key = tmp_path / "keys" / "credentials.key"
    kept = key.read_bytes()
    key.write_text("0" * 64)
    seen: list[str] = []

    async def play(camera: StoredCamera, feed: Feed) -> None:
        if camera.locked is not None:
            await source_player(1.0)(camera, feed)
        seen.append(camera.source)
        await asyncio.sleep(60)

    store = await opened(tmp_path)
    cameras = CameraRegistry(Hub(), store, SystemClock(), play, Timing(), 10)
    try:
        await cameras.start([])
        gate = cameras.get("gate")
        await auntil(lambda: gate.owner.state.state == CAMERA_STATE_UNAUTHORISED)
        assert "cannot be opened" in gate.owner.state.detail
        assert "very-secret" not in gate.owner.state.detail
        await auntil(lambda: seen == [HALL.source])
        # A listing that is sent back is no wish to forget what nobody can read at present.
        await cameras.update(StoredCamera("gate", "rtsp://h/x", "North"))
        key.write_bytes(kept)
        await cameras.follow_keys()
        await auntil(lambda: GATE.source in seen and YARD.source in seen)
        assert cameras.get("gate").stored.display_name == "North"
    finally:
        await cameras.stop()
        await store.close()


async def test_a_disk_that_refuses_while_passwords_are_sealed_anew_is_tried_again(tmp_path: Path) -> None:
    await filled(tmp_path)
    store, keys = await opened(tmp_path), SealingKeys(tmp_path / "keys" / "credentials.key")
    await store._call(lambda: store._open_database().execute("PRAGMA busy_timeout=0"))
    with contextlib.closing(sqlite3.connect(tmp_path / "broker" / "broker.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        keys.rotate()
        assert not await store.seal_anew()
        assert len(keys.ids) == 2, "what is sealed still opens"
        other.rollback()
    assert await store.seal_anew()
    assert len(keys.ids) == 1
    assert await store.cameras() == [GATE, HALL, YARD]
    await store.close()
