"""The broker's own file."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from broker.store import BrokerStore, StoredCamera
from mesh.errors import FailedPrecondition
from trueframe.v1.cameras_pb2 import TRANSPORT_TCP


async def test_cameras_and_epochs_come_back(tmp_path: Path) -> None:
    store = await BrokerStore.open(tmp_path / "broker" / "broker.db")
    gate = StoredCamera("gate", "rtsp://u:p@h/x", "Nordtor ⛩", {"floor": "1"}, False, False, 3)
    await store.put_camera(gate)
    await store.put_camera(StoredCamera("old", "", is_removed=True, version=2))
    await store.save({"gate": 7, "old": 5})
    await store.save({"gate": 6, "yard": 1})
    await store.close()
    store = await BrokerStore.open(tmp_path / "broker" / "broker.db")
    assert await store.cameras() == [gate, StoredCamera("old", "", is_removed=True, version=2)]
    assert await store.load() == {"gate": 7, "old": 5, "yard": 1}, "an epoch never shrinks"
    await store.close()


async def test_nobody_else_can_read_the_file(tmp_path: Path) -> None:
    store = await BrokerStore.open(tmp_path / "broker" / "broker.db")
    await store.put_camera(StoredCamera("gate", "rtsp://u:p@h/x"))
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "broker").iterdir()}
    assert set(modes.values()) == {0o600}, modes
    assert (tmp_path / "broker").stat().st_mode & 0o777 == 0o700
    await store.close()


async def test_credentials_of_a_removed_camera_are_gone_from_the_disk(tmp_path: Path) -> None:
    store = await BrokerStore.open(tmp_path / "broker" / "broker.db")
    await store.put_camera(StoredCamera("gate", "rtsp://u:very-secret@h/x"))
    await store.put_camera(StoredCamera("gate", "", is_removed=True, version=2))
    await store.close()
    assert b"very-secret" not in b"".join(p.read_bytes() for p in (tmp_path / "broker").iterdir())


def test_a_stored_camera_does_not_show_its_source() -> None:
    assert "very-secret" not in repr(StoredCamera("gate", "rtsp://u:very-secret@h/x"))


async def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    (tmp_path / "broker" / "broker.db").write_text("this is not a database, it is a letter to somebody" * 10)
    with pytest.raises(FailedPrecondition, match=r"broker\.db"):
        await BrokerStore.open(tmp_path / "broker" / "broker.db")


async def test_a_second_broker_over_the_same_cameras_is_refused(tmp_path: Path) -> None:
    first = await BrokerStore.open(tmp_path / "broker" / "broker.db")
    with pytest.raises(FailedPrecondition, match="belongs to a running broker"):
        await BrokerStore.open(tmp_path / "broker" / "broker.db")
    await first.close()
    again = await BrokerStore.open(tmp_path / "broker" / "broker.db")
    await again.close()


async def test_a_file_of_an_earlier_version_is_read_with_defaults_and_written_in_full(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir(mode=0o700)
    with contextlib.closing(sqlite3.connect(folder / "broker.db")) as old:
        old.execute(
            "CREATE TABLE camera (id TEXT PRIMARY KEY, source TEXT NOT NULL, display_name TEXT NOT NULL, labels TEXT"
            " NOT NULL, is_disabled INTEGER NOT NULL, is_removed INTEGER NOT NULL, version INTEGER NOT NULL) STRICT"
        )
        old.execute("INSERT INTO camera VALUES ('gate', 'rtsp://cam/x', '', '{}', 0, 0, 7)")
        old.commit()
    store = await BrokerStore.open(folder / "broker.db")
    assert await store.cameras() == [StoredCamera("gate", "rtsp://cam/x", version=7)]
    yard = StoredCamera("yard", "rtsps://cam/y", transport=TRANSPORT_TCP, tls_sha256="ab" * 32, device="rear")
    await store.put_camera(yard)
    await store.close()
    store = await BrokerStore.open(folder / "broker.db")
    assert (await store.cameras())[1] == yard
    await store.close()
