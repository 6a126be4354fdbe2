"""The set of cameras: what is stored outranks the configuration, and ids are never reused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from broker.camera import Timing
from broker.core import Hub
from broker.errors import CameraIdUsed, NoSuchCamera
from broker.feed import Feed
from broker.registry import CameraRegistry, StateChange
from broker.store import BrokerStore, StoredCamera
from mesh.clocks import SystemClock
from mesh.errors import InvalidArgument


@asynccontextmanager
async def registry(
    folder: Path, *seeds: StoredCamera, changes: list[StateChange] | None = None
) -> AsyncIterator[CameraRegistry]:
    async def play(source: str, feed: Feed) -> None:
        await asyncio.sleep(60)

    store = await BrokerStore.open(folder / "broker.db")
    changes: list[StateChange] = []
    cameras = CameraRegistry(Hub(), store, SystemClock(), play, Timing(), 10, changes.append)
    try:
        await cameras.start(seeds)
        yield cameras
    finally:
        await cameras.stop()
        await store.close()


def ids(cameras: CameraRegistry) -> list[str]:
    return [entry.stored.id for entry in cameras.entries()]


async def test_seeds_are_added_once_and_the_store_outranks_them(tmp_path: Path) -> None:
    seeds = [StoredCamera("gate", "first.mp4"), StoredCamera("yard", "yard.mp4")]
    async with registry(tmp_path, *seeds) as cameras:
        await cameras.update(StoredCamera("gate", "second.mp4", "North gate"))
        await cameras.remove("yard")
    async with registry(tmp_path, *seeds) as cameras:
        assert ids(cameras) == ["gate"], "a removed camera does not come back from the configuration"
        assert cameras.get("gate").stored.source == "second.mp4"
        with pytest.raises(CameraIdUsed):
            await cameras.add(StoredCamera("yard", "yard.mp4"))


async def test_an_ill_formed_seed_keeps_no_other_from_starting(tmp_path: Path) -> None:
    seeds = [StoredCamera("NOT A SLUG", "a.mp4"), StoredCamera("b", "ftp://x/y"), StoredCamera("c", "c.mp4")]
    async with registry(tmp_path, *seeds) as cameras:
        assert ids(cameras) == ["c"]


async def test_a_change_that_changes_nothing_is_none(tmp_path: Path) -> None:
    async with registry(tmp_path, StoredCamera("gate", "a.mp4", "Gate")) as cameras:
        before = cameras.get("gate").stored.version
        await cameras.update(StoredCamera("gate", "", "Gate"))
        assert cameras.get("gate").stored.version == before
        await cameras.update(StoredCamera("gate", "", "Other"))
        assert cameras.get("gate").stored.version == before + 1


@pytest.mark.parametrize(
    "camera",
    [
        StoredCamera("gate", "a.mp4", "x" * 201),
        StoredCamera("gate", "a.mp4", "line\nbreak"),
        StoredCamera("gate", "a.mp4", labels={"": "x"}),
        StoredCamera("gate", "a.mp4", labels={str(n): "x" for n in range(33)}),
        StoredCamera("gate", "a" * 5000),
    ],
)
async def test_what_is_too_long_or_unprintable_is_refused_and_changes_nothing(
    tmp_path: Path, camera: StoredCamera
) -> None:
    async with registry(tmp_path) as cameras:
        with pytest.raises(InvalidArgument):
            await cameras.add(camera)
        assert ids(cameras) == []


async def test_a_watch_hears_of_each_camera_once_however_often_it_changed(tmp_path: Path) -> None:
    async with registry(tmp_path, StoredCamera("gate", "a.mp4")) as cameras:
        watch = cameras.watch()
        for name in ("one", "two", "three"):
            await cameras.update(StoredCamera("gate", "", name))
        await cameras.add(StoredCamera("yard", "b.mp4"))
        changed = await watch.changed()
        assert sorted(changed) == ["gate", "yard"]
        await cameras.remove("gate")
        assert "gate" in await watch.changed()
        cameras.unwatch(watch)


async def test_two_that_add_the_same_id_at_once_are_one_camera(tmp_path: Path) -> None:
    async with registry(tmp_path) as cameras:
        results = await asyncio.gather(
            *(cameras.add(StoredCamera("gate", f"{n}.mp4")) for n in range(5)), return_exceptions=True
        )
        assert sum(isinstance(result, CameraIdUsed) for result in results) == 4
        assert ids(cameras) == ["gate"]


async def test_an_unknown_camera_is_named(tmp_path: Path) -> None:
    async with registry(tmp_path) as cameras:
        with pytest.raises(NoSuchCamera, match="'nowhere'"):
            await cameras.update(StoredCamera("nowhere", "a.mp4"))
        with pytest.raises(NoSuchCamera, match="cameras list"):
            await cameras.remove("nowhere")
